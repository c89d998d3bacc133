"""The root of the cloud's errors, and those that belong to the whole process."""

from vitals.errors import QianliError


class CloudError(QianliError):
    """Base of this package's errors."""


class SettingInvalid(CloudError):
    """A setting cannot be used; the text says which and how to set it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"setting {self.name} cannot be used: {self.reason}"
