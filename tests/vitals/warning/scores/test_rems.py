from vitals.warning.scores.rems import SCORE

WELL: dict[str, object] = {"age": 30, "map": 90, "pulse": 80, "rr": 16, "spo2": 98, "gcs": 15}


def test_saturation_of_85_has_points_although_a_public_rule_file_has_none() -> None:
    assert [SCORE.compute(WELL | {"spo2": spo2}).total for spo2 in (74, 75, 85, 85.49, 85.5, 86)] == [
        4, 3, 3, 3, 1, 1,
    ]  # fmt: skip


def test_age_counts_completed_years() -> None:
    assert [SCORE.compute(WELL | {"age": age}).total for age in (44.99, 45, 74.99, 75)] == [0, 2, 5, 6]


def test_whole_range_is_0_to_26() -> None:
    result = SCORE.compute({})
    assert (result.total_min, result.total_max) == (0, 26)
