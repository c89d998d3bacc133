"""The follow-up visit of a person with type 2 diabetes, 国家基本公共卫生服务规范(第三版).

As for hypertension: a finding that is left out was not ticked. A fast pulse and a fever are findings too.
"""

from dataclasses import replace

from vitals.warning.follow_up_class import COMPLICATION, PREVIOUS, UNSETTLED, URGENT, classify, tell_follow_up
from vitals.warning.parts import AnyPart, band, finding
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import TENTH, FlagInput, InputForm, NumberInput
from vitals.warning.vital_inputs import DBP, PULSE, SBP, TEMP

_GLUCOSE = NumberInput(name="fasting_glucose", unit="mmol/L", low=0, high=60, resolution=TENTH)
_PULSE = replace(PULSE, name="sustained_pulse", optional=True, keys=())
_TEMP = replace(TEMP, optional=True)
_DANGER = FlagInput(name="danger_symptom", optional=True)
_PREGNANT = FlagInput(name="pregnant_or_lactating_with_high_glucose", optional=True)
_REACTION = FlagInput(name="adverse_drug_reaction", optional=True)
_COMPLICATION = FlagInput(name=COMPLICATION, optional=True)
_PREVIOUS = FlagInput(name=PREVIOUS, optional=True)
_TABLE = PointsTable(
    form=InputForm(
        inputs=(
            *(_GLUCOSE, SBP, DBP, _PULSE, _TEMP),
            *(_DANGER, _PREGNANT, _REACTION, _COMPLICATION, _PREVIOUS),
        )
    ),
    parts=(
        AnyPart(
            name=URGENT,
            criteria=(
                band(_GLUCOSE, ("3.9", 1), ("16.6", 0), (None, 1)),
                band(SBP, ("179", 0), (None, 1)),
                band(DBP, ("109", 0), (None, 1)),
                band(_PULSE, ("100", 0), (None, 1)),
                band(_TEMP, ("39.0", 0), (None, 1)),
                finding(_DANGER),
                finding(_PREGNANT),
            ),
        ),
        finding(_COMPLICATION),
        AnyPart(name=UNSETTLED, criteria=(band(_GLUCOSE, ("6.9", 0), (None, 1)), finding(_REACTION))),
        finding(_PREVIOUS),
    ),
    conclusions=(classify, tell_follow_up),
    total_name=None,
)

SCORE = Score(
    name="CN_T2DM_FOLLOWUP",
    title_en="Type 2 diabetes follow-up visit, Chinese norm of 2017",
    title_zh="2型糖尿病患者随访分类干预",
    source="国家基本公共卫生服务规范(第三版),2017,2型糖尿病患者健康管理服务规范",
    limits="Adults. The sign at 3.9 mmol/L (referral) and the target of 7.0 are only partly verified.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
