"""Apgar, a newborn one, five and ten minutes after birth. A counted heart rate may stand for its pulse."""

from vitals.warning.parts import StatedPart, band, item
from vitals.warning.points import PointsTable, group_total
from vitals.warning.score import Score
from vitals.warning.score_input import WHOLE, InputForm, ItemInput, NumberInput

_APPEARANCE = ItemInput(name="appearance", low=0, high=2)
_PULSE = ItemInput(name="pulse", low=0, high=2)
_GRIMACE = ItemInput(name="grimace", low=0, high=2)
_ACTIVITY = ItemInput(name="activity", low=0, high=2)
_RESPIRATION = ItemInput(name="respiration", low=0, high=2)
_HEART_RATE = NumberInput(name="heart_rate_bpm", unit="/min", low=0, high=400, resolution=WHOLE)
_TABLE = PointsTable(
    form=InputForm(inputs=(_APPEARANCE, _PULSE, _GRIMACE, _ACTIVITY, _RESPIRATION, _HEART_RATE)),
    parts=(
        item(_APPEARANCE),
        StatedPart(
            name="pulse",
            ways=(
                item(_PULSE),
                band(_HEART_RATE, ("0", 0), ("99", 1), (None, 2)),
            ),
        ),
        item(_GRIMACE),
        item(_ACTIVITY),
        item(_RESPIRATION),
    ),
    conclusions=(
        group_total("group", (3, "critically low"), (6, "moderately abnormal"), (None, "reassuring")),
    ),
    shows_open_parts=False,
)

SCORE = Score(
    name="APGAR",
    title_en="Apgar score",
    title_zh="新生儿阿普加评分",
    source="Apgar V. Curr Res Anesth Analg 1953;32:260-267; groups: ACOG committee opinion 644, 2015",
    limits="Lower is worse. Not a reason to delay resuscitation.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
