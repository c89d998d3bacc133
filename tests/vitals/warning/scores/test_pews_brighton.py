import pytest

from vitals.warning.scores.pews_brighton import SCORE

ITEMS: dict[str, object] = {"behaviour": 0, "cardiovascular": 0, "respiratory": 0}
NO_EXTRA: dict[str, object] = {"nebuliser_15min": False, "vomiting_post_op": False}


def test_nebulisers_and_vomiting_add_two_together() -> None:
    both = {"nebuliser_15min": True, "vomiting_post_op": True}
    assert SCORE.compute(ITEMS | both).total == 2
    assert SCORE.compute(ITEMS | {"nebuliser_15min": True}).total == 2
    assert SCORE.compute(ITEMS | {"nebuliser_15min": False}).total is None


@pytest.mark.parametrize(
    ("inputs", "points"),
    [
        ({"capillary_refill_s": 2, "hr_above_normal_for_age": 0}, 0),
        ({"capillary_refill_s": 2.5, "hr_above_normal_for_age": 0}, 1),
        ({"capillary_refill_s": 4, "hr_above_normal_for_age": 0}, 2),
        ({"capillary_refill_s": 1, "hr_above_normal_for_age": 19}, 0),
        ({"capillary_refill_s": 1, "hr_above_normal_for_age": 30}, 3),
        ({"capillary_refill_s": 1, "hr_above_normal_for_age": -10}, 3),
    ],
    ids=str,
)
def test_circulation_takes_the_highest_descriptor(inputs: dict[str, object], points: int) -> None:
    assert SCORE.compute(inputs).build_answer()["sub"] == {"cardiovascular": points}


@pytest.mark.parametrize(
    ("rise", "flow", "points"),
    [(0, 0, 0), (10, 0, 0), (11, 0, 1), (20, 0, 1), (21, 0, 2), (-5, 0, 3), (0, 3, 1), (0, 6, 2), (0, 8, 3)],
)
def test_breathing_takes_the_highest_descriptor(rise: float, flow: float, points: int) -> None:
    answer = SCORE.compute({"rr_above_normal_for_age": rise, "o2_l_min": flow}).build_answer()
    assert answer["sub"] == {"respiratory": points}


def test_one_measurement_of_two_leaves_the_item_open_unless_it_is_the_highest() -> None:
    assert SCORE.compute({"capillary_refill_s": 3}).build_answer()["sub"] == {}
    assert SCORE.compute({"capillary_refill_s": 5}).build_answer()["sub"] == {"cardiovascular": 3}


def test_measurement_raises_a_stated_item_and_never_lowers_it() -> None:
    measured = {"capillary_refill_s": 4, "hr_above_normal_for_age": 0}
    totals = [
        SCORE.compute(ITEMS | NO_EXTRA | measured | {"cardiovascular": stated}).total for stated in (0, 3)
    ]
    assert totals == [2, 3]
