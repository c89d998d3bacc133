from vitals.warning.scores.heart import SCORE

LEAST: dict[str, object] = {"history": 0, "ecg": 0, "risk_factors": 0, "troponin": 0}


def test_age_of_65_scores_2() -> None:
    assert [SCORE.compute(LEAST | {"age": age}).total for age in (44, 45, 64, 64.9, 65)] == [0, 1, 1, 1, 2]


def test_group_of_4_to_6_is_moderate() -> None:
    groups = [
        SCORE.compute(LEAST | {"age": 30, "history": 2, "ecg": ecg, "troponin": troponin}).find_outcome(
            "group"
        )
        for ecg, troponin in ((1, 0), (2, 0), (2, 2))
    ]
    assert [group.value for group in groups] == ["low", "moderate", "moderate"]
