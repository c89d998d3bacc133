"""When a newborn is referred at once at a home visit, 新生儿访视等儿童保健技术规范 (2012).

The norm lists eleven signs. Three are measured; the others are one box of the form, `danger_sign`: poor
responses, laboured breath or pauses, arrhythmia, marked jaundice, pallor or bleeding, convulsions, limbs that
do not move, dehydration, pus of eye or ear, a swollen belly with vomiting, an inflamed navel.
"""

from vitals.warning.parts import band, finding
from vitals.warning.points import PointsTable, list_found, reach_total
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm
from vitals.warning.vital_inputs import PULSE, RR, TEMP

_DANGER_SIGN = FlagInput(name="danger_sign", optional=True)
_TABLE = PointsTable(
    form=InputForm(inputs=(TEMP, RR, PULSE, _DANGER_SIGN)),
    parts=(
        band(TEMP, ("35.5", 1), ("37.4", 0), (None, 1)),
        band(RR, ("19", 1), ("60", 0), (None, 1)),
        band(PULSE, ("99", 1), ("160", 0), (None, 1)),
        finding(_DANGER_SIGN),
    ),
    conclusions=(reach_total("refer_now", 1), list_found("criteria")),
    total_name=None,
)

SCORE = Score(
    name="CN_NEWBORN_VISIT",
    title_en="Newborn home visit: refer at once, Chinese norm of 2012",
    title_zh="新生儿访视立即转诊标准",
    source="新生儿访视等儿童保健技术规范(卫办妇社发〔2012〕49号),立即转诊",
    limits="To 28 days. Signs that nobody measures count as not found if left out, as open if null.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
