"""What can be wrong with the database."""

from pathlib import Path

from cloud.errors import CloudError


class StoreError(CloudError):
    """Base of this package's errors."""


class DatabaseUnreachable(StoreError):
    """No connection within the time allowed."""

    def __init__(self, waited_s: float, reason: str) -> None:
        super().__init__(waited_s, reason)
        self.waited_s = waited_s
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"no database after {self.waited_s:.0f} s ({self.reason}); "
            "check that PostgreSQL runs and that QIANLI_DATABASE_URL names it"
        )


class DatabaseTooOld(StoreError):
    """The server lacks what the schema needs."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version

    def __str__(self) -> str:
        return f"PostgreSQL {self.version // 10000} is too old: version 14 or later is needed"


class MigrationChanged(StoreError):
    """A migration that was applied once has another text now."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"migration {self.name} was changed after it had been applied; write a new migration instead"


class DatabaseNewer(StoreError):
    """The database was migrated by a later version of this program."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the database knows migration {self.name}, this version does not: install the newer version"


class MigrationFailed(StoreError):
    """PostgreSQL refused a migration; nothing of it was kept."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"migration {self.name} failed and was rolled back: {self.reason}"


class KeyFileInvalid(StoreError):
    """A key file cannot be used; the text never holds the key."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"key file {self.path} cannot be used: {self.reason}"


class SealBroken(StoreError):
    """A hidden value does not open: another key, another row, or changed bytes."""

    def __str__(self) -> str:
        return "a sealed value does not open with this key"
