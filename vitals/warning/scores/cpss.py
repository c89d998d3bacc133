"""CPSS: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.points import any_sign
from vitals.warning.score import Score

_TABLE = any_sign("facial_droop", "arm_drift", "speech_abnormal")

SCORE = Score(
    name="CPSS",
    title_en="Cincinnati Prehospital Stroke Scale",
    title_zh="辛辛那提院前卒中量表",
    source="Kothari RU et al. Ann Emerg Med 1999;33:373-378",
    limits="Adults. A negative result does not rule out a stroke, least of all in the posterior circulation.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
