import pytest

from vitals.errors import QianliError
from vitals.warning.errors import ScoreError, ScoreInputInvalid, ScoreItemOutOfRange, ScoreUnknown


@pytest.mark.parametrize(
    "error",
    [
        ScoreInputInvalid("rr", reason="must be a number or null"),
        ScoreItemOutOfRange("loc", reason="must be one of 0, 1, 2, 3 or null"),
        ScoreUnknown("NEWS3", known=("NEWS2",)),
    ],
    ids=["input", "item", "unknown"],
)
def test_every_score_error_belongs_to_the_one_root(error: ScoreError) -> None:
    assert isinstance(error, ScoreError)
    assert isinstance(error, QianliError)


def test_root_is_an_exception_but_not_a_builtin_kind() -> None:
    assert QianliError.__bases__ == (Exception,)
