from vitals.warning.scores.curb65 import SCORE

WELL: dict[str, object] = {"confusion": False, "rr": 12, "sbp": 130, "dbp": 80, "age": 30}


def test_without_a_laboratory_the_shorter_score_is_complete() -> None:
    answer = SCORE.compute(WELL | {"age": 65}).build_answer()
    assert (answer["total"], answer["total_min"], answer["total_max"]) == (None, 1, 2)
    assert (answer["crb65"], answer["missing"]) == (1, ["urea_mmol_l"])
    assert (answer["group_min"], answer["group_max"]) == ("low", "moderate")


def test_urea_of_7_scores_0_and_above_it_1() -> None:
    assert [SCORE.compute(WELL | {"urea_mmol_l": urea}).total for urea in (7.0, 7.04, 7.05)] == [0, 0, 1]


def test_either_pressure_is_enough() -> None:
    assert SCORE.compute(WELL | {"sbp": 89, "dbp": None, "urea_mmol_l": 3}).total == 1
    assert SCORE.compute(WELL | {"sbp": None, "dbp": 60, "urea_mmol_l": 3}).total == 1
    assert SCORE.compute(WELL | {"sbp": None, "dbp": 61, "urea_mmol_l": 3}).total is None
