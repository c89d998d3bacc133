"""NIHSS, the National Institutes of Health Stroke Scale.

A limb that is amputated or a joint that is fused, and speech behind a tube, cannot be tested: "UN", which is
not summed. A number that an item does not have is refused, and nothing is summed.
"""

from vitals.warning.parts import item
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import InputForm, ItemInput

_ITEMS = (
    ItemInput(name="loc", low=0, high=3),
    ItemInput(name="loc_questions", low=0, high=2),
    ItemInput(name="loc_commands", low=0, high=2),
    ItemInput(name="gaze", low=0, high=2),
    ItemInput(name="visual", low=0, high=3),
    ItemInput(name="facial", low=0, high=3),
    ItemInput(name="arm_l", low=0, high=4, untestable="UN"),
    ItemInput(name="arm_r", low=0, high=4, untestable="UN"),
    ItemInput(name="leg_l", low=0, high=4, untestable="UN"),
    ItemInput(name="leg_r", low=0, high=4, untestable="UN"),
    ItemInput(name="ataxia", low=0, high=2, untestable="UN"),
    ItemInput(name="sensory", low=0, high=2),
    ItemInput(name="language", low=0, high=3),
    ItemInput(name="dysarthria", low=0, high=2, untestable="UN"),
    ItemInput(name="neglect", low=0, high=2),
)
_TABLE = PointsTable(
    form=InputForm(inputs=_ITEMS),
    parts=tuple(item(entry, untestable=None if entry.untestable is None else 0) for entry in _ITEMS),
)

SCORE = Score(
    name="NIHSS",
    title_en="National Institutes of Health Stroke Scale",
    title_zh="美国国立卫生研究院卒中量表",
    source="National Institute of Neurological Disorders and Stroke. NIH Stroke Scale",
    limits='By trained examiners. "UN" for limbs, ataxia or dysarthria that cannot be tested: not summed.',
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
