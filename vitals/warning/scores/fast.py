"""FAST: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.parts import finding
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm

_SIGNS = tuple(FlagInput(name=name) for name in ("face", "arm", "speech"))
_TABLE = PointsTable(
    form=InputForm(inputs=_SIGNS),
    parts=tuple(finding(sign) for sign in _SIGNS),
    conclusions=(reach_total("positive", 1),),
    total_name="count",
)

SCORE = Score(
    name="FAST",
    title_en="Face Arm Speech Test",
    title_zh="卒中快速识别 FAST",
    source="Harbison J et al. Stroke 2003;34:71-76",
    limits="Adults. A negative result does not rule out a stroke, least of all in the posterior circulation.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
