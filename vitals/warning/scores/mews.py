"""MEWS, the Modified Early Warning Score of Subbe and others.

The printed table leaves two values without points, and sources fill them differently. A pulse of 40 gets 2
here, as where the table is reproduced with "<= 40" and in Cambio's rule MEWS.v1.1; others give it 1, which
errs to the unsafe side. A temperature of 35.0 gets 0: the table says "< 35" for 2 points, and Cambio's second
version (MEWS.v1.2) reads it so.
"""

from vitals.warning.parts import ChoicePart, band
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import ChoiceInput, InputForm
from vitals.warning.vital_inputs import PULSE, RR, SBP, TEMP

_AVPU = ChoiceInput(name="avpu", choices=("A", "V", "P", "U"))
_TABLE = PointsTable(
    form=InputForm(inputs=(RR, PULSE, SBP, TEMP, _AVPU)),
    parts=(
        band(RR, ("8", 2), ("14", 0), ("20", 1), ("29", 2), (None, 3)),
        band(PULSE, ("40", 2), ("50", 1), ("100", 0), ("110", 1), ("129", 2), (None, 3)),
        band(SBP, ("70", 3), ("80", 2), ("100", 1), ("199", 0), (None, 2)),
        band(TEMP, ("34.9", 2), ("38.4", 0), (None, 2)),
        ChoicePart(name="avpu", choice=_AVPU, points_by_choice={"A": 0, "V": 1, "P": 2, "U": 3}),
    ),
)

SCORE = Score(
    name="MEWS",
    title_en="Modified Early Warning Score",
    title_zh="改良早期预警评分",
    source="Subbe CP, Kruger M, Rutherford P, Gemmel L. QJM 2001;94:521-526, table 1",
    limits="Adults. Pulse 40 scores 2 and temperature 35.0 scores 0, where the printed table is silent.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
