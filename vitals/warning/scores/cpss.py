"""CPSS: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.parts import finding
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm

_SIGNS = tuple(FlagInput(name=name) for name in ("facial_droop", "arm_drift", "speech_abnormal"))
_TABLE = PointsTable(
    form=InputForm(inputs=_SIGNS),
    parts=tuple(finding(sign) for sign in _SIGNS),
    conclusions=(reach_total("positive", 1),),
    total_name="count",
)

SCORE = Score(
    name="CPSS",
    title_en="Cincinnati Prehospital Stroke Scale",
    title_zh="辛辛那提院前卒中量表",
    source="Kothari RU et al. Ann Emerg Med 1999;33:373-378",
    limits="Adults. A negative result does not rule out a stroke, least of all in the posterior circulation.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
