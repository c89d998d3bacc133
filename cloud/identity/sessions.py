"""The sessions of an account: begun, looked up, given a new token, listed, ended."""

import re
from datetime import datetime, timedelta

from cloud.act import Action, Origin, Recorder, Target, TargetKind
from cloud.events import Clock
from cloud.identity import queries
from cloud.identity.errors import NotLoggedIn
from cloud.identity.model import (
    SESSION_LASTS,
    Account,
    Opening,
    Session,
    hash_token,
    new_token,
)
from cloud.store.connection import Database, Pool

_NOTE_USE_EVERY = timedelta(seconds=30)
_BROWSERS = ("Edg", "OPR", "MicroMessenger", "Firefox", "Chrome", "Safari")
_BROWSER_NAMES = {"Edg": "Edge", "OPR": "Opera", "MicroMessenger": "WeChat"}
_SYSTEMS = ("HarmonyOS", "OpenHarmony", "Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")


class Sessions:
    """Use cases of sessions; safe to call from several threads."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock

    def begin(self, connection: Database, account: Account, *, device: str, issuer: str | None = None) -> str:
        """A new session; returns its token."""
        token, now = new_token(), self._clock()
        queries.insert_session(
            connection,
            hash_token(token),
            name=account.name,
            expires_at=now + SESSION_LASTS,
            opening=Opening(device=device, issuer=issuer, at=now),
        )
        return token

    def find(self, token: str | None) -> Session:
        """The living session of a token.

        Raises:
            NotLoggedIn: there is none.
        """
        if not token:
            raise NotLoggedIn
        now = self._clock()
        with self._pool.connection() as connection:
            session = queries.find_session(connection, hash_token(token), now=now)
            if session is None:
                raise NotLoggedIn
            if now - session.seen_at > _NOTE_USE_EVERY:
                queries.touch_session(connection, session.session_id, now=now)
        return session

    def renew_token(
        self, connection: Database, session: Session, *, stepped_up_until: datetime | None
    ) -> str:
        """The session goes on under another token: who copied the old one has nothing."""
        token = new_token()
        queries.replace_session_token(
            connection,
            session.session_id,
            token_hash=hash_token(token),
            stepped_up_until=stepped_up_until,
        )
        return token

    def all_of(self, session: Session) -> list[Session]:
        """Every living session of the same account."""
        with self._pool.connection() as connection:
            return queries.find_sessions(connection, session.account.name, now=self._clock())

    def revoke(self, session: Session, session_id: str) -> None:
        """End one of one's own sessions; one that is not there is no error and not told apart."""
        with self._pool.connection() as connection, connection.transaction():
            if queries.revoke_one_session(
                connection, session.account.name, session_id=session_id, now=self._clock()
            ):
                self._record(session, session_id)

    def revoke_others(self, session: Session) -> int:
        """End all of one's own sessions but this; returns how many."""
        with self._pool.connection() as connection, connection.transaction():
            ended = queries.revoke_sessions(
                connection, session.account.name, but=session.session_id, now=self._clock()
            )
            if ended:
                self._record(session, "others")
        return ended

    def _record(self, session: Session, session_id: str) -> None:
        on = Target(kind=TargetKind.SESSION, id=session_id)
        self._recorder.begin(session.account.subject.act(Action.REVOKE_SESSION, on, origin=Origin.HTTP))()


def device_of(user_agent: str) -> str:
    """Browser and system, enough to recognise one's own devices and too little to track anybody."""
    browser = next((name for name in _BROWSERS if f"{name}/" in user_agent), None)
    system = next((name for name in _SYSTEMS if name in user_agent), None)
    known = [_BROWSER_NAMES.get(browser, browser) if browser else None, system]
    if any(known):
        return " · ".join(word for word in known if word)
    program = re.match(r"[A-Za-z][A-Za-z0-9_-]{0,30}", user_agent)
    return program[0] if program else ""
