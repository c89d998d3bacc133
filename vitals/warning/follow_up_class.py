"""The four classes of a follow-up visit of the Chinese primary-care norm, for hypertension and for diabetes.

国家基本公共卫生服务规范(第三版), 2017, 随访评估 and 分类干预: urgent signs first; then a new complication, or
a second visit in a row without control; then a first visit without control or with an adverse reaction; else
controlled. Each sign only ever moves a person upwards, so the class with every open sign absent and the class
with every open sign present are the exact bounds.
"""

from vitals.warning.score_result import Outcome, ScorePart

CLASSES = ("controlled", "adjust_treatment", "refer_upper_level", "urgent_referral")
URGENT = "urgent"
UNSETTLED = "unsettled"
COMPLICATION = "new_complication"
PREVIOUS = "previous_visit_uncontrolled"
_NEXT = "next scheduled (>=4 face-to-face visits a year)"
_WITHIN_DAYS = 14


def classify(parts: tuple[ScorePart, ...]) -> Outcome:
    """The class, from the parts of the four names above."""
    lowest = CLASSES[_find_class({part.input: part.points_min for part in parts})]
    highest = CLASSES[_find_class({part.input: part.points_max for part in parts})]
    return Outcome(name="cls", value=lowest if lowest == highest else None, lowest=lowest, highest=highest)


def tell_follow_up(parts: tuple[ScorePart, ...]) -> Outcome:
    """When to see the person again: within two weeks unless controlled."""
    outcome = classify(parts)
    if outcome.value == CLASSES[0]:
        return Outcome(name="follow_up", value=_NEXT, lowest=_NEXT, highest=_NEXT)
    days = None if outcome.lowest == CLASSES[0] else _WITHIN_DAYS
    return Outcome(name="follow_up_days", value=days, lowest=days, highest=days)


def _find_class(points: dict[str, int]) -> int:
    if points[URGENT]:
        return 3
    if points[COMPLICATION] or (points[UNSETTLED] and points[PREVIOUS]):
        return 2
    return points[UNSETTLED]
