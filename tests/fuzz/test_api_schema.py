"""Every route of the schema as every role: no failure of ours, and no answer that the schema does not name.

Routes and roles are found, not listed. `QIANLI_FUZZ` sets how many requests each pair of them gets (times
three hundred, as in test_hostile_input), `QIANLI_SEED` which.
"""

import contextlib
import os

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cloud.identity import queries
from cloud.identity.cookies import SESSION as COOKIE
from cloud.identity.model import Account, Role, hash_token, new_token
from cloud.identity.service import utc_now
from cloud.pace import Allowance, Pace
from cloud.schema import public_operations
from cloud.seed import ORGANISATION
from tests.fixtures.wire_messages import seconds

pytestmark = [pytest.mark.fuzz, pytest.mark.enable_socket, pytest.mark.timeout(3600)]

COUNT = max(1, int(os.environ.get("QIANLI_FUZZ", "300")) // 150)
SEED = int(os.environ.get("QIANLI_SEED", "20261125"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
WHO_LOGS_IN = tuple(role for role in Role if role is not Role.SYSTEM)
ROLES = (None, *WHO_LOGS_IN)
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if COUNT > 2 else [GenerationMode.POSITIVE]
"""To make wrong requests by the schema takes a second of computing for each route: in the long form only."""
SPOILT = (
    None,
    True,
    -1,
    10**30,
    "",
    "\x00",
    "\ud800",
    "x" * 5000,
    "../..",
    "' OR 1=1 --",
    "千" * 80,
    [],
    [None],
    {},
    {"a": 1},
)
SPOILT_NAMES = ("\x00", "x" * 300, "' OR 1=1 --", "千", " ", "p-1%00", "110105194912310021")
THERE = {"patient_id": "p-1"}
"""Names that exist, so that a request comes further than to the first look; every other time, by the role."""


@pytest.fixture
def pace():
    return Pace(source=Allowance(per_s=1e6, burst=1e6), session=Allowance(per_s=1e6, burst=1e6))


@pytest.fixture
def accounts(cloud_server, database):
    """The name of one account of each role."""
    names = {}
    for role in WHO_LOGS_IN:
        names[role] = f"fuzz-{role}"
        account = Account(
            name=names[role],
            person_id=f"person-{role}",
            organisation_id=ORGANISATION,
            display_zh=names[role],
            display_en=names[role],
            role=role,
            password_hash="none",
        )
        queries.insert_account(database, account)
    return names


@pytest.fixture
def schema(cloud_server):
    described = httpx.get(f"{cloud_server.address}/api/openapi.json").json()
    return schemathesis.openapi.from_dict(described)


def session_of(database, accounts, role):
    if role is None:
        return {}
    token = new_token()
    queries.insert_session(
        database, hash_token(token), name=accounts[role], expires_at=utc_now() + seconds(3600)
    )
    session = queries.find_session(database, hash_token(token), now=utc_now())
    queries.replace_session_token(  # a fresh proof, so that the routes which need one are reached too
        database, session.session_id, token_hash=hash_token(token), stepped_up_until=utc_now() + seconds(300)
    )
    return {"Cookie": f"{COOKIE}={token}"}


def complaint(case, address, headers):
    """What is wrong with the answer to one request, in one line."""
    answer = case.call(base_url=address, headers=headers, timeout=20)
    try:
        case.validate_response(answer, checks=CHECKS)
    except (schemathesis.core.failures.FailureGroup, AssertionError) as failures:
        told = [f"{type(one).__name__}: {one}" for one in getattr(failures, "exceptions", [failures])]
        return f"{answer.status_code} {case.as_curl_command()} -> {answer.text[:200]} {told}"
    return None


def spoil(draw, case):
    """One part of a right request made wrong; None leaves it right."""
    part = draw(st.sampled_from([None, "body", "path", "query"]))
    if part == "body" and isinstance(case.body, dict):
        key = draw(st.sampled_from([*case.body, "further"]))
        case.body = {**case.body, key: draw(st.sampled_from(SPOILT))}
    elif part == "path" and case.path_parameters:
        key = draw(st.sampled_from(sorted(case.path_parameters)))
        case.path_parameters[key] = draw(st.sampled_from(SPOILT_NAMES))
    elif part == "query" and case.query:
        key = draw(st.sampled_from(sorted(case.query)))
        case.query[key] = draw(st.sampled_from(SPOILT_NAMES))


def ask(operation, mode, *, address, sessions, complaints):
    """Some requests of one kind to one route, each of them as everybody."""

    @seed(SEED)
    @settings(
        max_examples=COUNT * 2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data(), operation.as_strategy(generation_mode=mode), st.booleans())
    def run(choice, case, is_there):
        if is_there:
            case.path_parameters.update({key: THERE[key] for key in case.path_parameters if key in THERE})
        if mode is GenerationMode.POSITIVE:
            spoil(choice.draw, case)
        found = (complaint(case, address, headers) for headers in sessions)
        complaints.extend(one for one in found if one is not None)

    with contextlib.suppress(Unsatisfiable):  # a route without input cannot be asked wrongly
        run()


@pytest.mark.parametrize("mode", MODES)
def test_every_answer_is_one_that_the_schema_names(cloud_server, database, accounts, schema, mode):
    complaints = []
    operations = [found.ok() for found in schema.get_all_operations()]
    public = public_operations(cloud_server.app)
    assert len(operations) >= 10
    for operation in operations:
        asking = ROLES[:1] if (operation.path, operation.method) in public else ROLES
        sessions = [session_of(database, accounts, role) for role in asking]
        ask(operation, mode, address=cloud_server.address, sessions=sessions, complaints=complaints)
    assert complaints == []


def test_schema_names_the_refusals_of_every_route(schema):
    silent = []
    for operation in (found.ok() for found in schema.get_all_operations()):
        named = set(operation.definition.raw["responses"])
        if not {"400", "403", "429", "500", "503"} <= named:
            silent.append(operation.label)
    assert silent == []
