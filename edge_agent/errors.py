"""What can be wrong with an edge agent."""

from pathlib import Path

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


class IdentityUnusable(AgentError):
    """The agent's key or certificate cannot be used; the text never holds the key."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.reason}"


class AuthorityForeign(AgentError):
    """The server's authority is not the one that made the code."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"{self.host} is not the server that made this code; the code was not sent"


class DoorUnreachable(AgentError):
    """The cloud's door does not answer."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host = host
        self.reason = reason

    def __str__(self) -> str:
        return f"the cloud at {self.host or 'no address'} cannot be reached: {self.reason}"


class DoorRefused(AgentError):
    """The cloud's door answers, and refuses."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"the cloud refuses ({self.status}): {self.reason}"


class IdentityForeign(AgentError):
    """The certificate names another agent than this one."""

    def __init__(self, certified: str, own: str) -> None:
        super().__init__(certified, own)
        self.certified = certified
        self.own = own

    def __str__(self) -> str:
        return (
            f"the certificate is that of agent {self.certified}, and this is {self.own}: "
            "start the agent again, or enrol with a code for this one"
        )
