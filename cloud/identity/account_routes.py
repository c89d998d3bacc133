"""One's own sessions, and the accounts that an administrator looks after."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from cloud.identity.access import CHANGES_ONE_ACCOUNT, LOGGED_IN, READS_ACCOUNTS
from cloud.identity.accounts import Accounts, ListedAccount
from cloud.identity.model import Session, Subject
from cloud.identity.routes import PathId, refusals, session_reader, subject_reader
from cloud.identity.service import IdentityService
from vitals.wire.batch import to_ms


class SessionBody(BaseModel):
    """A session of one's own."""

    id: str
    device: str
    created_at: int
    seen_at: int
    expires_at: int
    this: bool


class EndedBody(BaseModel):
    """How many sessions ended."""

    ended: int


class AccountBody(BaseModel):
    """An account of the own organisation."""

    person: str
    name: str
    display_zh: str
    display_en: str
    role: str
    second_factor: bool
    locked_until_at: int | None
    disabled_at: int | None


def build_routes(identity: IdentityService, accounts: Accounts) -> APIRouter:
    """`/api/sessions…` and `/api/accounts…`."""
    router = APIRouter(prefix="/api")
    _add_sessions(router, identity)
    _add_accounts(router, identity, accounts=accounts)
    return router


def _add_sessions(router: APIRouter, identity: IdentityService) -> None:
    read_session = session_reader(identity, LOGGED_IN)
    sessions = identity.sessions

    def list_sessions(session: Annotated[Session, Depends(read_session)]) -> list[SessionBody]:
        return [_session(one, this=session) for one in sessions.all_of(session)]

    def revoke(session_id: PathId, session: Annotated[Session, Depends(read_session)]) -> Response:
        sessions.revoke(session, session_id)
        return Response(status_code=204)

    def revoke_others(session: Annotated[Session, Depends(read_session)]) -> EndedBody:
        return EndedBody(ended=sessions.revoke_others(session))

    logged_in = [Depends(LOGGED_IN)]
    router.add_api_route(
        "/sessions",
        list_sessions,
        methods=["GET"],
        response_model=list[SessionBody],
        responses=refusals(401, 403),
        dependencies=logged_in,
    )
    router.add_api_route(
        "/sessions/{session_id}",
        revoke,
        methods=["DELETE"],
        status_code=204,
        responses=refusals(401, 403),
        dependencies=logged_in,
    )
    router.add_api_route(
        "/sessions/revoke-others",
        revoke_others,
        methods=["POST"],
        response_model=EndedBody,
        responses=refusals(401, 403),
        dependencies=logged_in,
    )


def _add_accounts(router: APIRouter, identity: IdentityService, *, accounts: Accounts) -> None:
    read_accounts = subject_reader(identity, READS_ACCOUNTS)

    def list_accounts(subject: Annotated[Subject, Depends(read_accounts)]) -> list[AccountBody]:
        return [_account(one) for one in accounts.all_for(subject)]

    router.add_api_route(
        "/accounts",
        list_accounts,
        methods=["GET"],
        response_model=list[AccountBody],
        responses=refusals(401, 403),
        dependencies=[Depends(READS_ACCOUNTS)],
    )
    changes: dict[str, Callable[[Subject, str], None]] = {
        "unlock": accounts.unlock,
        "enable": accounts.enable,
        "reset-second-factor": accounts.reset_second_factor,
    }
    for word, change in changes.items():
        router.add_api_route(
            f"/accounts/{{account_name}}/{word}",
            _changing(identity, change),
            methods=["POST"],
            status_code=204,
            operation_id=f"{word.replace('-', '_')}_account",
            responses=refusals(401, 403, 404, 409),
            dependencies=[Depends(CHANGES_ONE_ACCOUNT)],
        )


def _changing(identity: IdentityService, change: Callable[[Subject, str], None]) -> Callable[..., Response]:
    may_change = subject_reader(identity, CHANGES_ONE_ACCOUNT)

    def change_account(account_name: PathId, subject: Annotated[Subject, Depends(may_change)]) -> Response:
        change(subject, account_name)
        return Response(status_code=204)

    return change_account


def _session(session: Session, *, this: Session) -> SessionBody:
    return SessionBody(
        id=session.session_id,
        device=session.device,
        created_at=to_ms(session.created_at),
        seen_at=to_ms(session.seen_at),
        expires_at=to_ms(session.expires_at),
        this=session.session_id == this.session_id,
    )


def _account(one: ListedAccount) -> AccountBody:
    state = one.state
    return AccountBody(
        person=state.person_id,
        name=state.name,
        display_zh=state.display_zh,
        display_en=state.display_en,
        role=state.role,
        second_factor=state.has_second_factor,
        locked_until_at=None if one.locked_until is None else to_ms(one.locked_until),
        disabled_at=None if state.disabled_at is None else to_ms(state.disabled_at),
    )
