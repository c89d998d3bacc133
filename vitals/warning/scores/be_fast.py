"""BE-FAST: positive as soon as one sign is found, negative only if every sign was looked for."""

from vitals.warning.points import any_sign
from vitals.warning.score import Score

_TABLE = any_sign("balance", "eyes", "face", "arm", "speech")

SCORE = Score(
    name="BE-FAST",
    title_en="Balance, Eyes, Face, Arm, Speech, Time",
    title_zh="卒中快速识别 BE-FAST",
    source="Aroor S, Singh R, Goldstein LB. Stroke 2017;48:479-481",
    limits="Adults. Finds more strokes than FAST, at more false ones. General knowledge: confirm before use.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
