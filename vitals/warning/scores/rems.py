"""REMS, the Rapid Emergency Medicine Score."""

from vitals.warning.parts import band
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm
from vitals.warning.vital_inputs import AGE, GCS, MAP, PULSE, RR, SPO2

_TABLE = PointsTable(
    form=InputForm(inputs=(AGE, MAP, PULSE, RR, SPO2, GCS)),
    parts=(
        band(AGE, ("44", 0), ("54", 2), ("64", 3), ("74", 5), (None, 6)),
        band(MAP, ("49", 4), ("69", 2), ("109", 0), ("129", 2), ("159", 3), (None, 4)),
        band(PULSE, ("39", 4), ("54", 3), ("69", 2), ("109", 0), ("139", 2), ("179", 3), (None, 4)),
        band(RR, ("5", 4), ("9", 2), ("11", 1), ("24", 0), ("34", 1), ("49", 3), (None, 4)),
        # Olsson's band is 75-85: some rule files have no points at 85 itself.
        band(SPO2, ("74", 4), ("85", 3), ("89", 1), (None, 0)),
        band(GCS, ("4", 4), ("7", 3), ("10", 2), ("13", 1), (None, 0)),
    ),
)

SCORE = Score(
    name="REMS",
    title_en="Rapid Emergency Medicine Score",
    title_zh="快速急诊内科评分",
    source="Olsson T, Terent A, Lind L. J Intern Med 2004;255:579-587",
    limits="Adults in an emergency department, not after injury. Saturation of 85 % scores 3.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
