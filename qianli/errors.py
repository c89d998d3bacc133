"""What stops a command, said so that a person knows what to do next."""

from vitals.errors import QianliError


class StartRefused(QianliError):
    """A command cannot go on; both sentences name the reason and the way out."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(zh, en)
        self.zh = zh
        self.en = en

    def __str__(self) -> str:
        """One line per language."""
        return f"{self.zh}\n{self.en}"


class CommandInvalid(QianliError):
    """What a command was given cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
