"""The follow-up visit of a person with hypertension, 国家基本公共卫生服务规范(第三版).

The form of the norm lists findings to tick. One that is left out was not ticked and counts as not found; null
says that nobody knows, and leaves the class open.
"""

from vitals.warning.follow_up_class import COMPLICATION, PREVIOUS, UNSETTLED, URGENT, classify, tell_follow_up
from vitals.warning.parts import AllPart, AnyPart, band, finding
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm
from vitals.warning.vital_inputs import AGE, DBP, SBP

_DANGER = FlagInput(name="danger_symptom", optional=True)
_PREGNANT = FlagInput(name="pregnant_or_lactating_with_high_bp", optional=True)
_REACTION = FlagInput(name="adverse_drug_reaction", optional=True)
_COMPLICATION = FlagInput(name=COMPLICATION, optional=True)
_PREVIOUS = FlagInput(name=PREVIOUS, optional=True)
_TABLE = PointsTable(
    form=InputForm(inputs=(AGE, SBP, DBP, _DANGER, _PREGNANT, _REACTION, _COMPLICATION, _PREVIOUS)),
    parts=(
        AnyPart(
            name=URGENT,
            criteria=(
                band(SBP, ("179", 0), (None, 1)),
                band(DBP, ("109", 0), (None, 1)),
                finding(_DANGER),
                finding(_PREGNANT),
            ),
        ),
        finding(_COMPLICATION),
        AnyPart(
            name=UNSETTLED,
            criteria=(
                # Controlled is below 140/90; from 65 years on below 150/90.
                band(SBP, ("149", 0), (None, 1)),
                AllPart(
                    name="sbp_under_65",
                    criteria=(band(SBP, ("139", 0), (None, 1)), band(AGE, ("64", 1), (None, 0))),
                ),
                band(DBP, ("89", 0), (None, 1)),
                finding(_REACTION),
            ),
        ),
        finding(_PREVIOUS),
    ),
    conclusions=(classify, tell_follow_up),
    total_name=None,
)

SCORE = Score(
    name="CN_HYPERTENSION_FOLLOWUP",
    title_en="Hypertension follow-up visit, Chinese norm of 2017",
    title_zh="高血压患者随访分类干预",
    source="国家基本公共卫生服务规范(第三版),2017,高血压患者健康管理服务规范",
    limits="Targets 140/90 and, from 65 years, 150/90 are general knowledge: confirm before use. Adults.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
