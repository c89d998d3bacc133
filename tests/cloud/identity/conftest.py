"""Sign-in over HTTP on a real database: one hospital, another beside it, and a clock that can be moved."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import Depends, FastAPI

from cloud.guard import Guard
from cloud.identity import account_routes, queries, routes
from cloud.identity.access import Access, People
from cloud.identity.accounts import Accounts
from cloud.identity.clients import routes as client_routes
from cloud.identity.joining import routes as joining_routes
from cloud.identity.joining.service import Joining
from cloud.identity.model import Account, Role, Scope, SecondFactorPolicy
from cloud.identity.passwords import routes as password_routes
from cloud.identity.passwords.service import Passwords
from cloud.identity.proofs import routes as proof_routes
from cloud.identity.proofs import totp
from cloud.identity.service import IdentityService, SignInRules
from cloud.rights.service import InvitationBook
from cloud.store.connection import build_pool
from cloud.store.sealing import Sealer
from tests.cloud.people.conftest import Clock, Notebook

PASSWORD = "a long password"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = QUICK.hash(PASSWORD)
SIGNS = Access(scopes=frozenset({Scope.SIGN}), needs_step_up=True)
READS = Access(scopes=frozenset({Scope.READ_PATIENTS}), people=People.LEFT_OUT)


class InProcess(httpx.BaseTransport):
    """Requests reach the application without a socket, so that they may also be https."""

    def __init__(self, app):
        self._inner = httpx.ASGITransport(app)

    def handle_request(self, request):
        return asyncio.run(self._ask(request))

    async def _ask(self, request):
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)


def code_of(secret, now):

    return totp.code_at(base64.b32decode(secret), totp.step_at(now))


@dataclass(kw_only=True)
class Clinic:
    """The service and an application around it with two further routes: one to sign, one to read."""

    database: object
    identity: IdentityService
    app: FastAPI
    clock: Clock
    recorder: Notebook
    end_of_issuer: Callable[..., str | None] | None = None
    browsers: list[httpx.Client] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)

    def add(self, name, role=Role.CLINICIAN, organisation="own"):
        account = Account(
            name=name,
            person_id=f"person-{name}",
            organisation_id=organisation,
            display_zh=name,
            display_en=name,
            role=role,
            password_hash=HASH,
        )
        queries.insert_account(self.database, account)
        return account

    def end_of(self, issuer, visitor):
        return None if self.end_of_issuer is None else self.end_of_issuer(issuer, visitor)

    def browser(self, name=None, *, origin="http://localhost", password=PASSWORD):
        browser = httpx.Client(transport=InProcess(self.app), base_url=origin)
        self.browsers.append(browser)
        if name is not None:
            assert self.log_in(browser, name, password).status_code == 200
        return browser

    def log_in(self, browser, name, password=PASSWORD, **headers):
        return browser.post("/api/login", json={"name": name, "password": password}, headers=headers)

    def stepped_up(self, name):
        browser = self.browser(name)
        assert browser.post("/api/step-up", json={"password": PASSWORD}).status_code == 200
        return browser

    def with_totp(self, name):
        """A browser whose account has an app now, the app's secret, and the recovery codes."""
        browser = self.stepped_up(name)
        secret = browser.post("/api/second-factor/totp").json()["secret"]
        answer = browser.post("/api/second-factor/totp/confirm", json={"code": code_of(secret, self.clock())})
        assert answer.status_code == 200, answer.text
        return browser, secret, answer.json()["recovery_codes"]

    def code(self, secret):
        return code_of(secret, self.clock())


def build_clinic(database, pool, clock, policy=SecondFactorPolicy.OFFERED):
    recorder = Notebook()
    identity = IdentityService(
        pool,
        sealer=Sealer(b"k" * 32),
        recorder=recorder,
        clock=clock,
        rules=SignInRules(second_factor=policy, hasher=QUICK),
    )
    accounts = Accounts(pool, recorder=recorder, clock=clock, lock_out=identity.lock_out)
    app = FastAPI()
    app.add_middleware(Guard)
    clinic = Clinic(database=database, identity=identity, app=app, clock=clock, recorder=recorder)
    app.include_router(routes.build_routes(identity, end_of_issuer=clinic.end_of))
    app.include_router(proof_routes.build_routes(identity))
    app.include_router(account_routes.build_routes(identity, accounts))
    app.include_router(client_routes.build_routes(identity))
    passwords = Passwords(identity, recorder=recorder, clock=clock)
    app.include_router(password_routes.build_routes(identity, passwords))
    joining = Joining(
        identity,
        invitations=InvitationBook(),
        numbers_of=lambda _, patients: [text for one, text in clinic.numbers.items() if one in patients],
        recorder=recorder,
    )
    app.include_router(joining_routes.build_routes(identity, joining))
    for path, access in (("/api/sign", SIGNS), ("/api/read", READS)):
        reader = routes.subject_reader(identity, access)
        app.add_api_route(path, lambda: {}, methods=["POST"], dependencies=[Depends(access), Depends(reader)])
    for refusal in routes.REFUSALS:
        app.add_exception_handler(refusal, routes.answer_refusal)
    return clinic


@pytest.fixture
def clock():
    return Clock(now=datetime(2026, 11, 25, 4, 0, tzinfo=UTC))


@pytest.fixture
def pool(database, database_url):
    for organisation in ("own", "other"):
        queries.upsert_organisation(
            database, organisation, site_id=f"{organisation}-site", name_zh=organisation, name_en=organisation
        )
    with build_pool(database_url) as opened:
        yield opened


@pytest.fixture
def clinic(database, pool, clock):
    built = build_clinic(database, pool, clock)
    built.add("doctor")
    built.add("admin", Role.ADMINISTRATOR)
    built.add("stranger", organisation="other")
    yield built
    for browser in built.browsers:
        browser.close()


@pytest.fixture
def strict_clinic(database, pool, clock):
    built = build_clinic(database, pool, clock, SecondFactorPolicy.REQUIRED)
    built.add("doctor")
    built.add("resident", Role.RESIDENT)
    yield built
    for browser in built.browsers:
        browser.close()
