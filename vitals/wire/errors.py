"""What can be wrong with bytes from the wire."""

import msgspec

from vitals.errors import QianliError

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on hostile JSON: wrong shape, bytes that are no UTF-8, nesting without end."""


class WireError(QianliError):
    """Base of this package's errors."""


class WireInvalid(WireError):
    """The payload breaks the contract; it belongs to the dead letters."""

    def __init__(self, reason: str, *, topic: str = "") -> None:
        super().__init__(reason, topic)
        self.reason = reason
        self.topic = topic

    def __str__(self) -> str:
        place = f" on {self.topic}" if self.topic else ""
        return f"message breaks the wire contract{place}: {self.reason}"


class WireVersionUnknown(WireInvalid):
    """A newer peer speaks; the payload is kept until we understand it."""

    def __init__(self, version: object, *, topic: str = "") -> None:
        super().__init__(f"version {version!r} is not known here", topic=topic)
        self.version = version
