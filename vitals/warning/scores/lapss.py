"""LAPSS, the Los Angeles Prehospital Stroke Screen: positive if all six items are "yes".

The form takes "unknown" for "yes" in the four items of history: a person who cannot tell is not missed.
Glucose and the examination are found by whoever fills in the form: they have no "unknown".
"""

from vitals.warning.parts import ChoicePart, StatedPart, band, finding
from vitals.warning.points import PointsTable, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import HUNDREDTH, TENTH, WHOLE, FlagInput, InputForm, NumberInput

_AGE = NumberInput(name="age", unit="a", low=0, high=130, resolution=WHOLE, completed=True, optional=True)
_SEIZURES = FlagInput(name="seizure_history", optional=True)
_HOURS = NumberInput(name="symptom_hours", unit="h", low=0, high=8760, resolution=HUNDREDTH, optional=True)
_AMBULATORY = FlagInput(name="ambulatory_before", optional=True)
_GLUCOSE_MG = NumberInput(name="glucose_mg_dl", unit="mg/dL", low=0, high=2000, resolution=WHOLE)
_GLUCOSE_MMOL = NumberInput(name="glucose_mmol_l", unit="mmol/L", low=0, high=60, resolution=TENTH)
_ASYMMETRY = FlagInput(name="unilateral_asymmetry")
_HISTORY = ("age", "seizure_history", "symptom_hours", "ambulatory_before")

_TABLE = PointsTable(
    form=InputForm(inputs=(_AGE, _SEIZURES, _HOURS, _AMBULATORY, _GLUCOSE_MG, _GLUCOSE_MMOL, _ASYMMETRY)),
    parts=(
        band(_AGE, ("45", 0), (None, 1), if_unknown=1),
        ChoicePart(
            name="seizure_history", choice=_SEIZURES, points_by_choice={True: 0, False: 1}, if_unknown=1
        ),
        band(_HOURS, ("23.99", 1), (None, 0), if_unknown=1),
        ChoicePart(
            name="ambulatory_before", choice=_AMBULATORY, points_by_choice={True: 1, False: 0}, if_unknown=1
        ),
        StatedPart(
            name="glucose",
            ways=(
                band(_GLUCOSE_MG, ("59", 0), ("400", 1), (None, 0)),
                band(_GLUCOSE_MMOL, ("3.2", 0), ("22.2", 1), (None, 0)),
            ),
        ),
        finding(_ASYMMETRY),
    ),
    conclusions=(reach_total("positive", 6),),
    unknown_counts=_HISTORY,
    total_name="count",
)

SCORE = Score(
    name="LAPSS",
    title_en="Los Angeles Prehospital Stroke Screen",
    title_zh="洛杉矶院前卒中筛查",
    source="Kidwell CS et al. Stroke 2000;31:71-76; 24 h as in the AHA's table of stroke screens",
    limits="Not in coma or after injury. History that is unknown counts as yes; the form of 1998 had 12 h.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
