from vitals.warning.scores.cgm_level import SCORE


def test_levels_meet_at_the_limits_of_the_consensus() -> None:
    values = (0, 2.9, 2.94, 2.95, 3.8, 3.84, 3.85, 10.0, 10.04, 10.05, 13.9, 13.95, 60)
    levels = [SCORE.compute({"glucose_mmol_l": value}).find_outcome("level").value for value in values]
    assert levels == ["low2"] * 3 + ["low1"] * 3 + ["in_range"] * 3 + ["high1"] * 2 + ["high2"] * 2


def test_limits_in_mg_dl_fall_into_the_level_that_the_consensus_gives_them() -> None:
    in_mmol = {mg: mg / 18.016 for mg in (53, 54, 69, 70, 180, 181, 250, 252)}
    levels = [
        SCORE.compute({"glucose_mmol_l": value}).find_outcome("level").value for value in in_mmol.values()
    ]
    assert levels == ["low2", "low1", "low1", "in_range", "in_range", "in_range", "high1", "high2"]
