"""Hypertension by the mean of home readings, 中国高血压防治指南 (2024)."""

from vitals.warning.parts import band
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import WHOLE, InputForm, NumberInput

_SBP = NumberInput(name="mean_home_sbp", unit="mm[Hg]", low=0, high=500, resolution=WHOLE)
_DBP = NumberInput(name="mean_home_dbp", unit="mm[Hg]", low=0, high=500, resolution=WHOLE)
_TABLE = PointsTable(
    form=InputForm(inputs=(_SBP, _DBP)),
    parts=(band(_SBP, ("134", 0), (None, 1)), band(_DBP, ("84", 0), (None, 1))),
    conclusions=(reach_total("raised", 1),),
    total_name=None,
)

SCORE = Score(
    name="CN_HOME_BP_2024",
    title_en="Raised home blood pressure, Chinese guideline of 2024",
    title_zh="家庭血压升高(中国高血压防治指南 2024)",
    source="中国高血压防治指南(2024年修订版),诊断标准",
    limits="The mean of home readings, not one reading; a mean is rounded half up to whole mmHg.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
