"""Why somebody is turned away."""

from datetime import timedelta

from cloud.errors import CloudError


class IdentityError(CloudError):
    """Base of this package's errors."""


class LoginRefused(IdentityError):
    """Name and password do not belong together; which of the two is wrong is not said."""

    def __str__(self) -> str:
        return "name or password is wrong"


class ProofRefused(IdentityError):
    """A code, recovery code, passkey or password given as a further proof is not right."""

    def __str__(self) -> str:
        return "this proof is not right"


class LoginThrottled(IdentityError):
    """Too many failures for this name, or from this source."""

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


class StepUpNeeded(IdentityError):
    """The session needs a fresh proof for this (`POST /api/step-up`)."""

    needs = "step_up"

    def __str__(self) -> str:
        return "prove again who you are first"


class CodeRefused(IdentityError):
    """A code that was handed over does not open this: why not is not said."""

    def __str__(self) -> str:
        return "code or details are wrong"


class ChoiceRefused(IdentityError):
    """What somebody wants as a name or a password cannot be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class EnrolmentNeeded(IdentityError):
    """The account must have a second factor before it may do anything else."""

    needs = "enrolment"

    def __str__(self) -> str:
        return "set up a second factor first"


class NotThere(IdentityError):
    """What was named does not exist, or is of another organisation."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"no such {self.kind}"


class Conflict(IdentityError):
    """The state of the account does not allow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ClientRefused(IdentityError):
    """Id and secret of a client do not belong together; which of the two is wrong is not said."""

    def __str__(self) -> str:
        return "invalid_client"


class ScopeRefused(IdentityError):
    """A client asks for more than it was given."""

    def __str__(self) -> str:
        return "invalid_scope"


class OidcFileInvalid(CloudError):
    """The file with the hospitals' providers cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"QIANLI_OIDC_FILE: {self.reason}"


class OidcRefused(IdentityError):
    """A provider's answer cannot be trusted, or names somebody who has no role here; the log says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return "this sign-in cannot be accepted"


class OidcUnreachable(IdentityError):
    """The provider does not answer."""

    def __str__(self) -> str:
        return "the sign-in of the hospital does not answer; try again in a moment"
