from vitals.warning.scores.rts import SCORE


def test_weighted_score_has_bounds_of_its_own() -> None:
    answer = SCORE.compute({"gcs": 4, "sbp": 100}).build_answer()
    assert (answer["t_rts"], answer["t_rts_min"], answer["t_rts_max"]) == (None, 5, 9)
    assert (answer["rts"], answer["rts_min"], answer["rts_max"]) == (None, 3.8672, 5.0304)


def test_fast_breathing_scores_less_than_normal_breathing() -> None:
    whole = {"gcs": 15, "sbp": 120}
    assert [SCORE.compute(whole | {"rr": rr}).total for rr in (0, 1, 6, 10, 29.49, 29.5)] == [
        8, 9, 10, 12, 12, 11,
    ]  # fmt: skip
