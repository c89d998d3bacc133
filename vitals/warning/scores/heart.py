"""HEART, the risk of a major cardiac event in chest pain."""

from vitals.warning.parts import band, item
from vitals.warning.points import PointsTable, group_total
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm, ItemInput
from vitals.warning.vital_inputs import AGE

_HISTORY = ItemInput(name="history", low=0, high=2)
_ECG = ItemInput(name="ecg", low=0, high=2)
_RISK_FACTORS = ItemInput(name="risk_factors", low=0, high=2)
_TROPONIN = ItemInput(name="troponin", low=0, high=2)
_TABLE = PointsTable(
    form=InputForm(inputs=(_HISTORY, _ECG, AGE, _RISK_FACTORS, _TROPONIN)),
    parts=(
        item(_HISTORY),
        item(_ECG),
        # "65 or more" as Six gives it; some rule files end the middle band with 65.
        band(AGE, ("44", 0), ("64", 1), (None, 2)),
        item(_RISK_FACTORS, name="risk"),
        item(_TROPONIN),
    ),
    conclusions=(group_total("group", (3, "low"), (6, "moderate"), (None, "high")),),
)

SCORE = Score(
    name="HEART",
    title_en="HEART score for chest pain",
    title_zh="胸痛 HEART 评分",
    source="Six AJ, Backus BE, Kelder JC. Neth Heart J 2008;16:191-196",
    limits="Adults with chest pain in an emergency department, not with ST elevation. Age of 65 scores 2.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
