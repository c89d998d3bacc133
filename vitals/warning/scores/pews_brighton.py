"""Brighton PEWS, the Paediatric Early Warning Score of Monaghan.

A nurse states the three items; or what was measured stands for one: of several descriptors the highest
counts. Rates are given relative to the normal range for the child's age: above it positive, within it 0,
below it negative. Their descriptors add signs (colour, recession) that only a person sees; an item that is
stated too is raised by a measurement, never lowered.
"""

from vitals.warning.parts import AnyPart, Part, StatedPart, band, finding, item
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, WHOLE, FlagInput, InputForm, ItemInput, NumberInput
from vitals.warning.vital_inputs import vital_keys

_BEHAVIOUR = ItemInput(name="behaviour", low=0, high=3)
_CARDIOVASCULAR = ItemInput(name="cardiovascular", low=0, high=3)
_RESPIRATORY = ItemInput(name="respiratory", low=0, high=3)
_NEBULISER = FlagInput(name="nebuliser_15min")
_VOMITING = FlagInput(name="vomiting_post_op")
_REFILL = NumberInput(name="capillary_refill_s", unit="s", low=0, high=60, resolution=WHOLE)
_HR_ABOVE = NumberInput(name="hr_above_normal_for_age", unit="/min", low=-300, high=300, resolution=WHOLE)
_RR_ABOVE = NumberInput(name="rr_above_normal_for_age", unit="/min", low=-150, high=200, resolution=WHOLE)
_OXYGEN = NumberInput(
    name="o2_l_min", unit="L/min", low=0, high=100, resolution=TENTH, keys=vital_keys("o2_flow")
)

_MEASURED_CARDIOVASCULAR: Part = AnyPart(
    name="measured",
    criteria=(
        band(_REFILL, ("2", 0), ("3", 1), ("4", 2), (None, 3)),
        # "Tachycardia of 20" and "of 30 above normal rate"; bradycardia 3.
        band(_HR_ABOVE, ("-1", 3), ("19", 0), ("29", 2), (None, 3)),
    ),
)
_MEASURED_RESPIRATORY: Part = AnyPart(
    name="measured",
    criteria=(
        # "> 10", "> 20 above normal parameters", "5 below normal parameters".
        band(_RR_ABOVE, ("-5", 3), ("10", 0), ("20", 1), (None, 2)),
        band(_OXYGEN, ("2.9", 0), ("5.9", 1), ("7.9", 2), (None, 3)),
    ),
)
_TABLE = PointsTable(
    form=InputForm(
        inputs=(
            *(_BEHAVIOUR, _CARDIOVASCULAR, _RESPIRATORY, _NEBULISER, _VOMITING),
            *(_REFILL, _HR_ABOVE, _RR_ABOVE, _OXYGEN),
        )
    ),
    parts=(
        item(_BEHAVIOUR),
        StatedPart(name="cardiovascular", ways=(item(_CARDIOVASCULAR), _MEASURED_CARDIOVASCULAR)),
        StatedPart(name="respiratory", ways=(item(_RESPIRATORY), _MEASURED_RESPIRATORY)),
        # Monaghan adds two for either; the rule file of Cambio adds them for each.
        AnyPart(name="extra", criteria=(finding(_NEBULISER, points=2), finding(_VOMITING, points=2))),
    ),
    shows_open_parts=False,
)

SCORE = Score(
    name="PEWS_BRIGHTON",
    title_en="Brighton Paediatric Early Warning Score",
    title_zh="布莱顿儿童早期预警评分",
    source="Monaghan A. Paediatr Nurs 2005;17:32-35",
    limits=(
        "Children in hospital. Nebulisers and vomiting add 2 together, not 4. Oxygen scores from 3 L/min; "
        "reprints differ (3, 4 or 6)."
    ),
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
