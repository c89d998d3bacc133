"""BE-FAST: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.parts import finding
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm

_SIGNS = tuple(FlagInput(name=name) for name in ("balance", "eyes", "face", "arm", "speech"))
_TABLE = PointsTable(
    form=InputForm(inputs=_SIGNS),
    parts=tuple(finding(sign) for sign in _SIGNS),
    conclusions=(reach_total("positive", 1),),
    total_name="count",
)

SCORE = Score(
    name="BE-FAST",
    title_en="Balance, Eyes, Face, Arm, Speech, Time",
    title_zh="卒中快速识别 BE-FAST",
    source="Aroor S, Singh R, Goldstein LB. Stroke 2017;48:479-481",
    limits="Adults. Finds more strokes than FAST, at more false ones. General knowledge: confirm before use.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
