"""Parts of a score: known, open, or decided although something is missing."""

import pytest

from vitals.warning.parts import AllPart, AnyPart, ChoicePart, StatedPart, band, finding, item
from vitals.warning.score_input import FlagInput, ItemInput
from vitals.warning.score_result import ScorePart
from vitals.warning.vital_inputs import DBP, GCS, SBP

SIGN = FlagInput(name="sign")
TICKED = FlagInput(name="ticked", optional=True)
LOW_SBP = band(SBP, ("89", 1), (None, 0))
LOW_DBP = band(DBP, ("60", 1), (None, 0))
ANY = AnyPart(name="bp", criteria=(LOW_SBP, LOW_DBP))
ALL = AllPart(name="both", criteria=(LOW_SBP, LOW_DBP))
STATED = StatedPart(name="mentation", ways=(band(GCS, ("14", 1), (None, 0)), finding(SIGN)))


def points(part: ScorePart) -> tuple[int | None, int, int]:
    return part.points, part.points_min, part.points_max


def test_part_carries_the_value_that_was_scored() -> None:
    part = LOW_SBP.judge({"sbp": 89.4})
    assert (part.input, part.given, part.value, points(part)) == ("sbp", 89.4, 89, (1, 1, 1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sbp": 80, "dbp": None}, (1, 1, 1)),
        ({"sbp": None, "dbp": 50}, (1, 1, 1)),
        ({"sbp": 120, "dbp": None}, (None, 0, 1)),
        ({"sbp": None, "dbp": None}, (None, 0, 1)),
        ({"sbp": 120, "dbp": 70}, (0, 0, 0)),
    ],
    ids=str,
)
def test_any_is_decided_by_one_that_is_met(given: dict[str, float | None], expected: object) -> None:
    assert points(ANY.judge(given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sbp": 120, "dbp": None}, (0, 0, 0)),
        ({"sbp": 80, "dbp": None}, (None, 0, 1)),
        ({"sbp": 80, "dbp": 50}, (1, 1, 1)),
    ],
    ids=str,
)
def test_all_is_decided_by_one_that_is_not_met(given: dict[str, float | None], expected: object) -> None:
    assert points(ALL.judge(given)) == expected


def test_group_shows_the_value_that_decided_it_and_none_while_open() -> None:
    assert ANY.judge({"sbp": 120, "dbp": 50.2}).value == 50
    assert ANY.judge({"sbp": 120, "dbp": None}).value is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"gcs": 15, "sign": None}, (0, 0, 0)),
        ({"gcs": None, "sign": True}, (1, 1, 1)),
        ({"gcs": 15, "sign": True}, (1, 1, 1)),
        ({"gcs": None, "sign": None}, (None, 0, 1)),
    ],
    ids=str,
)
def test_fact_is_known_by_one_way_and_the_worse_of_two_counts(
    given: dict[str, int], expected: object
) -> None:
    assert points(STATED.judge(given)) == expected


def test_box_that_was_not_ticked_is_not_found_but_null_is_unknown() -> None:
    part = finding(TICKED, points=2)
    assert points(part.judge({})) == (0, 0, 0)
    assert points(part.judge({"ticked": None})) == (None, 0, 2)
    assert points(part.judge({"ticked": True})) == (2, 2, 2)


def test_required_input_that_was_left_out_is_unknown() -> None:
    assert points(finding(SIGN).judge({})) == (None, 0, 1)


def test_source_can_count_unknown_as_an_answer() -> None:
    part = ChoicePart(name="x", choice=TICKED, points_by_choice={True: 0, False: 1}, if_unknown=1)
    assert [points(part.judge(given)) for given in ({}, {"ticked": None})] == [(1, 1, 1), (1, 1, 1)]
    assert points(part.judge({"ticked": True})) == (0, 0, 0)


def test_untestable_item_is_open_or_counts_what_the_scale_says() -> None:
    scale_item = ItemInput(name="v", low=1, high=5, untestable="NT")
    open_part = item(scale_item).judge({"v": "NT"})
    assert (open_part.value, points(open_part)) == ("NT", (None, 1, 5))
    assert points(item(scale_item, untestable=0).judge({"v": "NT"})) == (0, 0, 0)


def test_group_of_boxes_of_which_none_was_ticked_is_not_found_and_shows_no_value() -> None:
    part = AnyPart(name="any", criteria=(finding(TICKED),)).judge({})
    assert (part.value, points(part)) == (None, (0, 0, 0))


def test_inputs_of_a_group_are_named_once() -> None:
    assert AllPart(name="x", criteria=(LOW_SBP, ANY)).inputs == ("sbp", "dbp")
    assert STATED.inputs == ("gcs", "sign")
