from vitals.warning.scores.sipa import SCORE


def raised(**inputs: object) -> object:
    return SCORE.compute(inputs).find_outcome("raised").value


def test_limit_falls_with_age_and_is_not_reached_by_itself() -> None:
    limits = {6.99: 122, 12.99: 100, 16.99: 90}
    assert [raised(age_years=age, pulse=pulse, sbp=100) for age, pulse in limits.items()] == [False] * 3
    assert [raised(age_years=age, pulse=pulse + 0.1, sbp=100) for age, pulse in limits.items()] == [True] * 3


def test_unknown_age_is_decided_where_all_ages_agree() -> None:
    assert [raised(pulse=pulse, sbp=100) for pulse in (90, 91, 122, 123)] == [False, None, None, True]


def test_missing_pressure_leaves_it_open() -> None:
    assert raised(age_years=6, pulse=100) is None
