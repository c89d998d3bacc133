"""What can be wrong with a score that is asked for and with a rule that is loaded."""

import re

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


class RuleError(QianliError):
    """Base of the errors of rules."""


class ExpressionInvalid(RuleError):
    """A condition cannot be read, at that column of its text (1 is the first)."""

    def __init__(self, text: str, *, column: int, reason: str) -> None:
        super().__init__(text, column, reason)
        self.text = text
        self.column = column
        self.reason = reason

    def __str__(self) -> str:
        return _on_one_line(f"{self.reason} (at column {self.column} of `{self.text}`)")


class RuleInvalid(RuleError):
    """A rule file says something that cannot be, at that line."""

    def __init__(self, reason: str, *, line: int, origin: str = "", rule: str = "") -> None:
        super().__init__(reason, line, origin, rule)
        self.reason = reason
        self.line = line
        self.origin = origin
        self.rule = rule

    def __str__(self) -> str:
        place = f"{self.origin}:{self.line}" if self.origin else f"line {self.line}"
        return _on_one_line(
            f"{place}: {self.rule}: {self.reason}" if self.rule else f"{place}: {self.reason}"
        )


def _on_one_line(text: str) -> str:
    """Each break becomes one space, so that columns stay what they are."""
    return re.sub(r"\s", " ", text)
