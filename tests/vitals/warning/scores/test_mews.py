from typing import Any

import pytest

from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.scores.mews import SCORE

WELL: dict[str, object] = {"rr": 12, "pulse": 75, "sbp": 120, "temp": 37.0, "avpu": "A"}


def total(**changes: Any) -> float | None:
    return SCORE.compute(WELL | changes).total


def test_pulse_of_40_scores_2_where_the_printed_table_is_silent() -> None:
    assert [total(pulse=pulse) for pulse in (39, 40, 40.49, 40.5, 41)] == [2, 2, 2, 1, 1]


def test_temperature_of_35_scores_0_where_the_printed_table_is_silent() -> None:
    assert [total(temp=temp) for temp in (34.9, 34.94, 34.95, 35.0, 38.44, 38.45)] == [2, 2, 0, 0, 0, 2]


def test_confusion_is_no_answer_of_this_scale() -> None:
    with pytest.raises(ScoreInputInvalid, match="'avpu' must be one of 'A', 'V', 'P', 'U' or null"):
        total(avpu="C")
