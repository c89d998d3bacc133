"""What stops a fleet, said so that a person knows what to do next."""

from vitals.errors import QianliError


class FleetError(QianliError):
    """Base of the errors of this package."""


class ScenarioInvalid(FleetError):
    """The scenario file cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class OptionInvalid(FleetError):
    """An option of the command cannot be used."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(option, reason)
        self.option = option
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}"
