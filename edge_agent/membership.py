"""Keeps the agent a member: uses a waiting code, renews in time, tells and asks the cloud about people."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from edge_agent import door
from edge_agent.errors import DoorRefused, DoorUnreachable, IdentityUnusable
from edge_agent.identity import Identity, IdentityFiles, read_identity
from edge_agent.people_context import PeopleContext
from vitals.errors import QianliError
from vitals.wire.invitation import InvitationInvalid, parse_invitation

log = structlog.get_logger()
LOOK_EVERY_S = 0.3
EXCHANGE_EVERY_S = 30.0
_REFUSED_FOR_GOOD = frozenset({400, 403, 404, 409, 422})


class Membership:
    """One task; what it does can also be done by hand from the panel and the command line."""

    def __init__(self, files: IdentityFiles, people: PeopleContext, *, clock: Callable[[], datetime]) -> None:
        self._files = files
        self._people = people
        self._clock = clock
        self.problem: str | None = None
        self.refused: dict[str, str] = {}
        """Why the cloud refuses a registration for good, by its name: a person at the panel decides."""
        self._try_code_at = 0.0

    def identity(self) -> Identity | None:
        """Who we are, if we were ever let in and the file can be read."""
        try:
            return read_identity(self._files)
        except IdentityUnusable as error:
            self.problem = str(error)
            return None

    async def run(self) -> None:
        """Work until cancelled."""
        exchange_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                await asyncio.to_thread(self._use_invitation)
                if loop.time() >= exchange_at and await asyncio.to_thread(self._keep):
                    exchange_at = loop.time() + EXCHANGE_EVERY_S
            except Exception as error:  # the root of a task: measuring goes on
                log.exception("membership_failed")
                self.problem = repr(error)
                await asyncio.sleep(EXCHANGE_EVERY_S)
            await asyncio.sleep(LOOK_EVERY_S)

    def enrol(self, invitation: str) -> Identity:
        """Use a code now.

        Raises:
            InvitationInvalid, AgentError.
        """
        identity = door.enrol(self._files, parse_invitation(invitation))
        self.problem = None
        log.info("enrolled", agent=identity.agent)
        return identity

    def _use_invitation(self) -> None:
        """A code that was put beside us, by `qianli up` or by hand."""
        if time.monotonic() < self._try_code_at:
            return
        try:
            text = self._files.invitation.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return
        try:
            self.enrol(text)
        except DoorUnreachable:
            return  # the cloud is not there yet; the code waits
        except DoorRefused as error:
            self._note_problem(error)
            if error.status not in _REFUSED_FOR_GOOD:
                self._try_code_at = time.monotonic() + EXCHANGE_EVERY_S
                return  # the cloud is busy or half there: the code is still good
        except (InvitationInvalid, QianliError) as error:
            self._note_problem(error)
        self._files.invitation.unlink(missing_ok=True)

    def _keep(self) -> bool:
        """Renew when due, and exchange; False when there is nobody to be yet."""
        identity = self.identity()
        if identity is None:
            return False
        try:
            if identity.is_due(self._clock()):
                identity = door.renew(self._files)
                log.info("certificate_renewed", agent=identity.agent)
            self._tell_registrations()
            mark, people = door.fetch_people(self._files, known=self._people.mark)
            if people is not None:
                self._people.put_bound_people(people, mark=mark)
            self.problem = None
        except (DoorUnreachable, DoorRefused, IdentityUnusable) as error:
            self._note_problem(error)
        return True

    def _note_problem(self, error: Exception) -> None:
        if self.problem != str(error):
            log.warning("cloud_not_reached", reason=str(error))
        self.problem = str(error)

    def _tell_registrations(self) -> None:
        for one in self._people.waiting():
            if one.registration in self.refused:
                continue
            try:
                door.send_registration(self._files, msgspec.to_builtins(one))
            except DoorRefused as error:
                if error.status not in _REFUSED_FOR_GOOD:
                    raise
                log.warning("registration_refused", registration=one.registration, status=error.status)
                self.refused[one.registration] = error.reason
                continue
            self._people.settle(one.registration)
