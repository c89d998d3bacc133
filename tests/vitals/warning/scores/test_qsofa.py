from vitals.warning.scores.qsofa import SCORE


def decide(**inputs: object) -> tuple[object, float | None, tuple[str, ...]]:
    result = SCORE.compute(inputs)
    return result.find_outcome("positive").value, result.total, result.missing


def test_two_criteria_are_positive_although_the_third_is_missing() -> None:
    assert decide(rr=22, sbp=100) == (True, None, ("gcs", "altered_mentation"))


def test_one_criterion_leaves_it_open_and_none_of_two_makes_it_negative() -> None:
    assert decide(rr=22, sbp=120)[0] is None
    assert decide(rr=12, sbp=120)[0] is False
    assert decide(rr=12)[0] is None


def test_altered_mentation_can_be_stated_or_follow_from_the_coma_scale() -> None:
    assert decide(rr=22, sbp=120, gcs=14)[:2] == (True, 2)
    assert decide(rr=22, sbp=120, altered_mentation=True)[:2] == (True, 2)
    assert decide(rr=22, sbp=120, gcs=15)[:2] == (False, 1)
    assert decide(rr=22, sbp=120, gcs=15, altered_mentation=True)[:2] == (True, 2)


def test_between_two_charted_values_is_rounded_half_up() -> None:
    assert decide(rr=21.5, sbp=100.49, gcs=15)[1] == 2
    assert decide(rr=21.49, sbp=100.5, gcs=15)[1] == 0
