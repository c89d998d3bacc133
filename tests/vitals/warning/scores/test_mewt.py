from vitals.warning.scores.mewt import SCORE

WELL: dict[str, object] = {
    "pulse": 85, "rr": 16, "map": 85, "spo2": 98, "temp": 37.0, "sbp": 115, "dbp": 70, "fhr": 140,
    "altered_mental": False, "disproportionate_pain": False, "nurse_concern": False, "sustained_min": 30,
}  # fmt: skip


def answer(**changes: object) -> dict[str, object]:
    return SCORE.compute(WELL | changes).build_answer()


def test_one_severe_value_is_enough() -> None:
    assert answer(map=54)["positive"] is True
    assert answer(nurse_concern=True)["severe"] == ["nurse_concern"]
    assert answer(spo2=89)["severe"] == answer(spo2=89)["nonsevere"] == ["spo2"]


def test_second_non_severe_value_that_may_be_missing_leaves_it_open() -> None:
    assert answer(temp=38.1, pulse=None)["positive"] is None
    assert answer(temp=38.1, fhr=None)["positive"] is None
    assert answer(temp=38.1, altered_mental=True, pulse=None)["positive"] is True


def test_one_value_that_can_add_only_one_non_severe_is_excluded() -> None:
    assert answer(fhr=None)["positive"] is False
    assert answer(pulse=None)["positive"] is None


def test_unknown_duration_leaves_open_what_would_be_positive_and_nothing_else() -> None:
    assert answer(pulse=131, sustained_min=None)["positive"] is None
    assert answer(sustained_min=None)["positive"] is False
    assert answer(pulse=131, sustained_min=20.1)["positive"] is True


def test_short_duration_is_negative_with_its_reason_and_still_lists_what_was_found() -> None:
    short = answer(pulse=131, sustained_min=20)
    assert (short["positive"], short["severe"], short["reason"]) == (
        False,
        ["pulse"],
        "not sustained >20 min",
    )
    assert answer()["reason"] is None


def test_pressures_are_one_criterion() -> None:
    assert answer(sbp=161, dbp=111)["nonsevere"] == ["bp"]
    assert answer(sbp=84, dbp=None)["nonsevere"] == ["bp"]
