"""GCS, the Glasgow Coma Scale: eyes, verbal, motor. A component that cannot be tested leaves no total."""

from vitals.warning.parts import item
from vitals.warning.points import PointsTable, group_total
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm, ItemInput

_EYES = ItemInput(name="e", low=1, high=4, untestable="NT")
_VERBAL = ItemInput(name="v", low=1, high=5, untestable="NT")
_MOTOR = ItemInput(name="m", low=1, high=6, untestable="NT")
_TABLE = PointsTable(
    form=InputForm(inputs=(_EYES, _VERBAL, _MOTOR)),
    parts=(item(_EYES), item(_VERBAL), item(_MOTOR)),
    conclusions=(group_total("severity", (8, "severe"), (12, "moderate"), (None, "mild")),),
)

SCORE = Score(
    name="GCS",
    title_en="Glasgow Coma Scale",
    title_zh="格拉斯哥昏迷评分",
    source="Teasdale G, Jennett B. Lancet 1974;304:81-84; Teasdale G et al. Lancet Neurol 2014;13:844-854",
    limits='Lower is worse. "NT": cannot be tested, bounds and no total. Groups are general knowledge.',
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
