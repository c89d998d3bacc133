"""MEWC, the Maternal Early Warning Criteria: any one calls for a prompt evaluation at the bedside.

The signs of the paper are strict: 90 and 160 mmHg do not trigger.
"""

from vitals.warning.parts import band, finding
from vitals.warning.points import PointsTable, list_found, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, FlagInput, InputForm, NumberInput
from vitals.warning.vital_inputs import DBP, PULSE, RR, SBP, SPO2

_URINE = NumberInput(name="urine_ml_h_2h", unit="mL/h", low=0, high=5000, resolution=TENTH)
_MENTAL = FlagInput(name="agitation_confusion")
_PREECLAMPSIA = FlagInput(name="preeclampsia_headache_or_dyspnoea")
_TABLE = PointsTable(
    form=InputForm(inputs=(SBP, DBP, PULSE, RR, SPO2, _URINE, _MENTAL, _PREECLAMPSIA)),
    parts=(
        band(SBP, ("89", 1), ("160", 0), (None, 1)),
        band(DBP, ("100", 0), (None, 1)),
        band(PULSE, ("49", 1), ("120", 0), (None, 1)),
        band(RR, ("9", 1), ("30", 0), (None, 1)),
        band(SPO2, ("94", 1), (None, 0)),
        band(_URINE, ("34.9", 1), (None, 0), name="urine"),
        finding(_MENTAL, name="mental"),
        finding(_PREECLAMPSIA, name="preeclampsia"),
    ),
    conclusions=(reach_total("trigger", 1), list_found("criteria")),
    total_name="count",
)

SCORE = Score(
    name="MEWC",
    title_en="Maternal Early Warning Criteria",
    title_zh="产妇早期预警标准",
    source="Mhyre JM et al. Obstet Gynecol 2014;124:782-786",
    limits="In pregnancy and after birth. Oliguria means below 35 mL/h for two hours, given as that mean.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
