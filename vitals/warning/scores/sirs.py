"""SIRS, the systemic inflammatory response syndrome.

Carbon dioxide and band forms are further ways to meet a criterion that most people never have measured: left
out, it rests on respiration, or on the count; null says that a value is awaited and leaves it open.
"""

from vitals.warning.parts import AnyPart, band
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, InputForm, NumberInput
from vitals.warning.vital_inputs import PULSE, RR, TEMP

_PACO2 = NumberInput(name="paco2_mmhg", unit="mm[Hg]", low=0, high=300, resolution=TENTH, optional=True)
_WBC = NumberInput(name="wbc", unit="10*9/L", low=0, high=1000, resolution=TENTH)
_BANDS = NumberInput(name="bands_pct", unit="%", low=0, high=100, resolution=TENTH, optional=True)
_TABLE = PointsTable(
    form=InputForm(inputs=(TEMP, PULSE, RR, _PACO2, _WBC, _BANDS)),
    parts=(
        band(TEMP, ("35.9", 1), ("38.0", 0), (None, 1)),
        band(PULSE, ("90", 0), (None, 1)),
        AnyPart(
            name="resp",
            criteria=(band(RR, ("20", 0), (None, 1)), band(_PACO2, ("31.9", 1), (None, 0))),
        ),
        AnyPart(
            name="wbc",
            criteria=(
                band(_WBC, ("3.9", 1), ("12.0", 0), (None, 1)),
                band(_BANDS, ("10.0", 0), (None, 1)),
            ),
        ),
    ),
    conclusions=(reach_total("met", 2),),
)

SCORE = Score(
    name="SIRS",
    title_en="Systemic inflammatory response syndrome criteria",
    title_zh="全身炎症反应综合征标准",
    source="Bone RC et al. ACCP/SCCM consensus conference. Chest 1992;101:1644-1655",
    limits="Adults. Unspecific: also met by effort, pain or injury.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
