from vitals.warning.scores.cn_home_bp_2024 import SCORE


def raised(sbp: float | None, dbp: float | None) -> object:
    return SCORE.compute({"mean_home_sbp": sbp, "mean_home_dbp": dbp}).find_outcome("raised").value


def test_either_mean_raises_and_both_are_needed_to_exclude() -> None:
    assert [raised(135, None), raised(None, 85), raised(134, None), raised(None, 84), raised(134, 84)] == [
        True, True, None, None, False,
    ]  # fmt: skip


def test_mean_is_rounded_half_up_to_whole_mmhg() -> None:
    assert [raised(134.49, 84), raised(134.5, 84), raised(120, 84.5)] == [False, True, True]
