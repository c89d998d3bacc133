"""Danger level and stability in severe mental disorder, 国家基本公共卫生服务规范(第三版)."""

from vitals.warning.parts import AnyPart, ChoicePart, finding
from vitals.warning.points import PointsTable
from vitals.warning.score import Score
from vitals.warning.score_input import FlagInput, InputForm, ItemInput
from vitals.warning.score_result import Outcome, ScorePart

_DANGER = ItemInput(name="danger_level", low=0, high=5)
_SYMPTOMS = FlagInput(name="symptoms_marked_or_severe_adr")
_CLASSES = ("stable", "basically_stable", "unstable")
_ACTIONS = (
    "follow up at 3 months",
    "follow up at 2 weeks",
    "refer at once, follow up within 2 weeks",
)


def _classify(parts: tuple[ScorePart, ...]) -> Outcome:
    return _name_step("cls", _CLASSES, parts)


def _find_action(parts: tuple[ScorePart, ...]) -> Outcome:
    return _name_step("action", _ACTIONS, parts)


def _name_step(name: str, steps: tuple[str, ...], parts: tuple[ScorePart, ...]) -> Outcome:
    part = parts[0]
    return Outcome(
        name=name,
        value=None if part.points is None else steps[part.points],
        lowest=steps[part.points_min],
        highest=steps[part.points_max],
    )


_TABLE = PointsTable(
    form=InputForm(inputs=(_DANGER, _SYMPTOMS)),
    parts=(
        AnyPart(
            name="stability",
            criteria=(
                ChoicePart(
                    name="danger_level",
                    choice=_DANGER,
                    points_by_choice={0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 2},
                ),
                finding(_SYMPTOMS, points=2),
            ),
        ),
    ),
    conclusions=(_classify, _find_action),
    total_name=None,
)

SCORE = Score(
    name="CN_SMI_RISK",
    title_en="Severe mental disorder: stability, Chinese norm of 2017",
    title_zh="严重精神障碍患者危险性评估与分类",
    source="国家基本公共卫生服务规范(第三版),2017,严重精神障碍患者管理服务规范",
    limits="The interval after level 1-2 is partly verified. Levels 3-5 also ask whether to tell the police.",
    inputs=_TABLE.form.inputs,
    compute=_TABLE.compute,
)
