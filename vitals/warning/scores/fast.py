"""FAST: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.points import any_sign
from vitals.warning.score import Score

_TABLE = any_sign("face", "arm", "speech")

SCORE = Score(
    name="FAST",
    title_en="Face Arm Speech Test",
    title_zh="卒中快速识别 FAST",
    source="Harbison J et al. Stroke 2003;34:71-76",
    limits="Adults. A negative result does not rule out a stroke, least of all in the posterior circulation.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
