from vitals.warning.scores.mewc import SCORE

WELL: dict[str, object] = {
    "sbp": 115, "dbp": 70, "pulse": 80, "rr": 16, "spo2": 98, "urine_ml_h_2h": 60,
    "agitation_confusion": False, "preeclampsia_headache_or_dyspnoea": False,
}  # fmt: skip


def trigger(**changes: object) -> object:
    return SCORE.compute(WELL | changes).find_outcome("trigger").value


def test_one_criterion_triggers_whatever_is_missing() -> None:
    answer = SCORE.compute({"pulse": 121}).build_answer()
    assert (answer["trigger"], answer["criteria"], answer["complete"]) == (True, ["pulse"], False)


def test_missing_criterion_is_never_taken_for_normal() -> None:
    assert {name: trigger(**{name: None}) for name in WELL} == dict.fromkeys(WELL)


def test_signs_are_strict() -> None:
    assert [trigger(sbp=sbp) for sbp in (89.49, 89.5, 160.49, 160.5)] == [True, False, False, True]
    assert [trigger(urine_ml_h_2h=urine) for urine in (34.9, 34.95)] == [True, False]
