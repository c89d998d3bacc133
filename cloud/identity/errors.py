"""Why somebody is turned away."""

from datetime import timedelta

from cloud.errors import CloudError


class IdentityError(CloudError):
    """Base of this package's errors."""


class LoginRefused(IdentityError):
    """Name and password do not belong together; which of the two is wrong is not said."""

    def __str__(self) -> str:
        return "name or password is wrong"


class LoginThrottled(IdentityError):
    """Too many failures for this name."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"too many failures; try again in {round(self.retry_after.total_seconds())} s"


class NotLoggedIn(IdentityError):
    """No session, or one that ended."""

    def __str__(self) -> str:
        return "log in first"


class NotAllowed(IdentityError):
    """The subject lacks the right that is asked for."""

    def __str__(self) -> str:
        return "this account may not do that"
