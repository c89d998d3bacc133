"""What can be wrong with an edge agent."""

from vitals.errors import QianliError


class AgentError(QianliError):
    """Base of this package's errors."""


class SpoolUnusable(AgentError):
    """The durable queue cannot be opened: without it nothing may be read from a device."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the spool {self.path} cannot be used ({self.reason}); check its disk and permissions"


class SettingInvalid(AgentError):
    """A setting cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
