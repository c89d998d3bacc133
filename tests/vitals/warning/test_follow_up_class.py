import pytest

from vitals.warning.follow_up_class import COMPLICATION, PREVIOUS, UNSETTLED, URGENT, classify, tell_follow_up
from vitals.warning.score_result import ScorePart


def signs(**points: tuple[int, int]) -> tuple[ScorePart, ...]:
    names = (URGENT, COMPLICATION, UNSETTLED, PREVIOUS)
    bounds = [points.get(name, (0, 0)) for name in names]
    return tuple(
        ScorePart(name, None, None, low, high) for name, (low, high) in zip(names, bounds, strict=True)
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (signs(), "controlled"),
        (signs(previous_visit_uncontrolled=(1, 1)), "controlled"),
        (signs(unsettled=(1, 1)), "adjust_treatment"),
        (signs(unsettled=(1, 1), previous_visit_uncontrolled=(1, 1)), "refer_upper_level"),
        (signs(new_complication=(1, 1)), "refer_upper_level"),
        (signs(urgent=(1, 1), new_complication=(0, 1), unsettled=(0, 1)), "urgent_referral"),
    ],
    ids=["well", "was not", "first visit", "second visit", "complication", "urgent whatever is open"],
)
def test_class_follows_from_the_signs(parts: tuple[ScorePart, ...], expected: str) -> None:
    assert classify(parts).value == expected


def test_open_sign_leaves_the_class_between_both_of_its_answers() -> None:
    open_class = classify(signs(unsettled=(1, 1), previous_visit_uncontrolled=(0, 1)))
    assert (open_class.value, open_class.lowest, open_class.highest) == (
        None, "adjust_treatment", "refer_upper_level",
    )  # fmt: skip


def test_visit_is_within_two_weeks_as_soon_as_it_cannot_be_a_controlled_one() -> None:
    assert tell_follow_up(signs(unsettled=(1, 1), urgent=(0, 1))).build_fields() == {"follow_up_days": 14}
    assert tell_follow_up(signs(unsettled=(0, 1))).build_fields() == {"follow_up_days": None}
    scheduled = {"follow_up": "next scheduled (>=4 face-to-face visits a year)"}
    assert tell_follow_up(signs()).build_fields() == scheduled
