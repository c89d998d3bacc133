"""What can be wrong when a score is asked for."""

from vitals.errors import QianliError


class ScoreError(QianliError):
    """Base of the errors of scores."""


class ScoreUnknown(ScoreError):
    """No score has this name."""

    def __init__(self, name: str, *, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no score named {self.name!r}; known: {', '.join(self.known)}"


class ScoreInputInvalid(ScoreError):
    """An input lies outside the score's domain. The value itself is not repeated: it is a patient's."""

    def __init__(self, field: str, *, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"input {self.field!r} {self.reason}"


class ScoreItemOutOfRange(ScoreInputInvalid):
    """A number that an item of a scale does not have: the form was filled in for another scale, or wrongly.

    The scale itself has this answer, so `qianli score` gives it on the answer's line too.
    """
