from typing import Any

from vitals.warning.scores.sirs import SCORE

WELL: dict[str, object] = {"temp": 37.0, "pulse": 80, "rr": 16, "wbc": 8.0}


def sub(**changes: object) -> Any:
    return SCORE.compute(WELL | changes).build_answer()["sub"]


def test_respiration_is_met_by_either_way_and_open_while_a_gas_is_awaited() -> None:
    assert sub(rr=21, paco2_mmhg=None)["resp"] == 1
    assert sub(paco2_mmhg=31.9)["resp"] == 1
    assert sub(paco2_mmhg=32)["resp"] == 0
    assert sub(paco2_mmhg=None)["resp"] is None
    assert sub(rr=None, paco2_mmhg=40)["resp"] is None


def test_white_cells_are_met_by_count_or_bands() -> None:
    assert sub(wbc=None, bands_pct=11)["wbc"] == 1
    assert sub(wbc=None, bands_pct=10)["wbc"] is None
    assert sub(wbc=3.9, bands_pct=None)["wbc"] == 1


def test_gas_and_bands_that_were_left_out_are_told() -> None:
    result = SCORE.compute(WELL)
    assert (result.total, result.assumed) == (0, ("paco2_mmhg", "bands_pct"))


def test_criteria_are_met_or_excluded_before_all_is_known() -> None:
    assert SCORE.compute({"temp": 39, "pulse": 120}).find_outcome("met").value is True
    assert SCORE.compute({"temp": 37, "pulse": 80, "rr": 16}).find_outcome("met").value is False
    assert SCORE.compute({"temp": 37, "pulse": 80}).find_outcome("met").value is None
