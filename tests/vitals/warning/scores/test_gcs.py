from vitals.warning.scores.gcs import SCORE


def test_component_that_cannot_be_tested_leaves_no_total() -> None:
    answer = SCORE.compute({"e": 4, "v": "NT", "m": 6}).build_answer()
    assert (answer["total"], answer["total_min"], answer["total_max"]) == (None, 11, 15)
    assert (answer["missing"], answer["severity"]) == (["v"], None)
    assert (answer["severity_min"], answer["severity_max"]) == ("moderate", "mild")


def test_severity_is_told_if_no_answer_can_change_it() -> None:
    assert SCORE.compute({"e": 1, "v": None, "m": 2}).find_outcome("severity").value == "severe"
