"""Every route x every role x own and other organisation x with and without a right to see the person.

What is expected stands beside each route.
"""

import itertools
import json
import re
import time
from dataclasses import dataclass
from hashlib import sha256

import pytest
from argon2 import PasswordHasher
from fastapi.routing import APIRoute, APIWebSocketRoute
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

from cloud.identity import queries
from cloud.identity.access import Answer, People, access_of
from cloud.identity.model import Account, Role, hash_token, new_token
from cloud.identity.routes import COOKIE
from cloud.identity.service import utc_now
from cloud.people.service import KEY_FILE
from cloud.seed import ORGANISATION, TEAM
from cloud.staff.model import LicenceKind, licence_context
from cloud.store.sealing import KeyFile, open_ring
from tests.fixtures.wire_messages import SOURCE, seconds

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(600)]

OTHER = "other-hospital"
PASSWORD = "the matrix"
PATIENT_OF = {ORGANISATION: "p-1", OTHER: "p-other"}
ANOTHER_OF = {ORGANISATION: "p-1-again", OTHER: "p-other-again"}
EVERYBODY = [*PATIENT_OF.values(), *ANOTHER_OF.values()]
CODE = "ABCDEFGH2345"
REASON = "not responding, alone in the ambulance"
CONSENT = {
    "to_organisation": f"part-{ORGANISATION}-0",  # neither side: nobody records a consent to the own one
    "up_to": "general",
    "text": "share-for-care",
    "version": 1,
    "language": "en",
}
ABSENT = "absent"
# What stands in a path, by whose it is: each organisation has one of everything.
PATHS = {
    owner: {
        "patient_id": PATIENT_OF[owner],
        "organisation_id": owner,
        "site_id": site,
        "location_id": f"ward-{owner}",
        "consortium_id": f"league-{owner}",
        "practitioner_id": f"staff-{owner}",
        "team_id": f"team-{owner}",
        "role_id": number,
        "qualification_id": number,
        "duty_id": number,
        "account_name": f"spare-{owner}",
        "client_id": f"client-{owner}",
        "agent": f"agent-{owner}",
        "letter": number,
    }
    for owner, site, number in ((ORGANISATION, "first-ward", "901"), (OTHER, "other-ward", "902"))
}
NAMES = {"name_zh": "名", "name_en": "Name"}
BODIES = {
    "/api/organisations/{organisation_id}": {"name_en": "Name"},
    "/api/organisations/{organisation_id}/parts": {**NAMES, "level": "village"},
    "/api/organisations/{organisation_id}/areas": {"areas": [{"division": "330102", "name_zh": "上城区"}]},
    "/api/organisations/{organisation_id}/sites": NAMES,
    "/api/organisations/{organisation_id}/consortia": NAMES,
    "/api/organisations/{organisation_id}/teams": NAMES,
    "/api/organisations/{organisation_id}/practitioners": {
        "display_zh": "名",
        "display_en": "Name",
        "role": "nurse",
    },
    "/api/practitioners/{practitioner_id}/qualifications": {
        "kind": "nurse",
        "number": "N-1",
        "issuer": "x",
        "valid_from": "2026-01-01",
    },
    "/api/people": {"name_zh": "王五"},
    "/api/people/resolve": {"text": "REC-4711", "kind": "hospital_record"},
    "/api/people/{patient_id}/identifiers": {"text": "REC-4711", "kind": "hospital_record"},
    "/api/people/{patient_id}/unmerge": {"reason": "not the same"},
    "/api/people/{patient_id}/consents": CONSENT,
    "/api/people/{patient_id}/family": {"relation": "self"},
    "/api/people/{patient_id}/break-glass": {"category": "other", "reason": REASON},
    "/api/break-glass": {
        "category": "other",
        "reason": REASON,
        "kind": "hospital_record",
        "text": "REC-4712",
        "issuer": "anywhere",
    },
    "/api/break-glass/{break_glass_id}/review": {"verdict": "justified", "note": REASON},
    "/api/me/family/accept": {"code": CODE, "known": "1956-03-04"},
    "/api/join": {
        "code": CODE,
        "known": "1956-03-04",
        "name": "li.ming",
        "display": "李明",
        "password": "seven green boats",
    },
    "/api/password": {"old": PASSWORD, "new": "short"},
    "/api/password/reset": {"name": "nobody", "code": CODE, "new": "seven green boats"},
    "/api/step-up": {"password": PASSWORD},
    "/api/second-factor/totp/confirm": {"code": "000000"},
    "/api/second-factor/passkeys": {"title": "phone", "passkey": {}},
    "/api/login/second-factor": {"totp": "000000"},
    "/api/clients": {"title": "laboratory", "scopes": ["read_patients"]},
    "/api/people/{patient_id}/deletion": {"reason": "asked in writing"},
    "/api/deletions/{deletion_id}": {"approved": False},
    "/api/agents/invitations": {"agent": "hut-of-the-matrix"},
    "/api/agents/{agent}/revoke": {"reason": "stolen"},
    "/api/agents/{agent}/commands": {"name": "birth"},
}
# Routes that want more than the right to ask: what they say to the body above.
WANTS_MORE = {
    ("POST", "/api/login/second-factor"): 401,
    ("POST", "/api/join"): 401,
    ("POST", "/api/password"): 422,
    ("POST", "/api/password/reset"): 401,
    ("POST", "/api/login/passkey-options"): 401,
    ("POST", "/api/step-up/passkey-options"): 409,
    ("POST", "/api/second-factor/totp/confirm"): 401,
    ("DELETE", "/api/second-factor/totp"): 404,
    ("POST", "/api/second-factor/passkeys/options"): 409,
    ("POST", "/api/second-factor/passkeys"): 401,
    ("DELETE", "/api/second-factor/passkeys/{passkey_id}"): 404,
    ("POST", "/api/oauth/token"): 401,
    ("POST", "/api/oauth/revoke"): 401,
    ("GET", "/api/oidc/{key}/start"): 404,
    ("GET", "/api/oidc/{key}/callback"): 404,
    # Whoever may ask is told until when the law keeps the record.
    ("POST", "/api/people/{patient_id}/deletion"): 409,
}
STATUS = {
    Answer.LOG_IN_FIRST: 401,
    Answer.NOT_ALLOWED: 403,
    Answer.STEP_UP_FIRST: 403,
    Answer.NOT_THERE: 404,
}
SOURCE_BESIDE = {"p-1-again": SOURCE, "p-other-again": "s-other"}
SOURCE_OF = {"p-1": SOURCE, "p-other": "s-other"}
PAST = {"from_at": 1, "to_at": 2, "reason": "seen"}
ABOUT_BINDINGS = {
    "/api/bindings": lambda patient, beside: {"code": SOURCE_BESIDE[beside], "patient": patient},
    "/api/bindings/correct": lambda patient, beside: {
        "src": SOURCE_BESIDE[beside],
        "from_at": 0,
        "from_patient": patient,
        "patient": beside,
        "reason": "mixed up",
    },
    "/api/bindings/{binding_id}/end": lambda _patient, _beside: {"reason": "returned"},
    "/api/unclaimed/claim": lambda patient, beside: PAST | {"src": SOURCE_BESIDE[beside], "patient": patient},
    "/api/unclaimed/dismiss": lambda patient, _beside: PAST | {"src": SOURCE_OF.get(patient, "s-absent")},
}
CLOSED = {Answer.LOG_IN_FIRST: 4401}


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Somebody who asks, with or without a right to see every patient; `role` None has no session."""

    role: Role | None
    organisation: str
    is_related: bool = False
    is_stepped_up: bool = True

    @property
    def name(self):
        return f"{self.role}-{self.organisation}"

    def may_see(self):
        return self.is_related and self.role in (Role.CLINICIAN, Role.NURSE, Role.RESIDENT)


ROLES = [role for role in Role if role is not Role.SYSTEM]
# Role, a right to see every patient, a fresh second proof.
WHO = [
    (None, False, False),
    *((role, is_related, True) for role in ROLES for is_related in (False, True)),
    *((role, True, False) for role in (Role.CLINICIAN, Role.ADMINISTRATOR)),
]


def askers(role, is_related, is_stepped_up):
    return [
        Asker(role=role, organisation=organisation, is_related=is_related, is_stepped_up=is_stepped_up)
        for organisation in PATIENT_OF
    ]


@pytest.fixture
def two_hospitals(cloud_server, database, tmp_path):
    """A second organisation with a patient, and one account of each role in both."""
    database.execute("SET synchronous_commit = off")
    queries.upsert_organisation(database, OTHER, site_id="other-ward", name_zh="另", name_en="Other")
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "VALUES ('p-other', %(other)s, 'other-ward', '9', '李四', 'Li Si', 'li si'),"
        " ('p-other-again', %(other)s, 'other-ward', '', '李四', '', ''),"
        " ('p-1-again', %(own)s, 'first-ward', '', '张三', '', '')",
        {"other": OTHER, "own": ORGANISATION},
    )
    database.execute("UPDATE patient SET birth_date = '1956-03-04'")
    password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    for organisation, site in ((ORGANISATION, "first-ward"), (OTHER, "other-ward")):
        database.execute(
            "INSERT INTO agent (agent, site_id) VALUES (%s, %s)", (f"agent-{organisation}", site)
        )
        database.execute(
            "INSERT INTO dead_letter (dead_letter_id, topic, payload, reason, detail, received_at) "
            "OVERRIDING SYSTEM VALUE VALUES (%s, %s, '', 'contract', '', now())",
            (PATHS[organisation]["letter"], f"q/v1/00/agent-{organisation}/vitals"),
        )
    database.execute("INSERT INTO source (src, agent) VALUES ('s-other', %s)", (f"agent-{OTHER}",))
    database.execute(
        "INSERT INTO binding (src, patient_id, during) VALUES ('s-other', 'p-other', tstzrange(now(), NULL))"
    )
    for role, organisation in itertools.product(ROLES, PATIENT_OF):
        name = f"{role}-{organisation}"
        account = Account(
            name=name,
            person_id=f"person-{name}",
            organisation_id=organisation,
            display_zh=name,
            display_en=name,
            role=role,
            password_hash=password_hash,
        )
        queries.insert_account(database, account)
    for owner in PATIENT_OF:
        furnish(database, owner, home=tmp_path / "home")
    for organisation in PATIENT_OF:
        database.execute(
            "INSERT INTO api_client (client_id, organisation_id, title, secret_hash, scopes, created_at, "
            "created_by) VALUES (%s, %s, 'x', '', '{}', now(), 'x')",
            (f"client-{organisation}", organisation),
        )
    key_file = KeyFile(tmp_path / "home" / KEY_FILE)
    sealer = open_ring(key_file, key_file.read())
    database.execute(
        "INSERT INTO person_identifier (patient_id, organisation_id, kind, issuer, digest, sealed, standing, "
        "added_at, added_by) "
        "VALUES ('p-other', %s, 'hospital_record', 'anywhere', %s, %s, 'held', now(), 'x')",
        (
            OTHER,
            sealer.digest("hospital_record\0anywhere\0REC-4712"),
            sealer.seal("REC-4712", context="p-other\0hospital_record\0anywhere"),
        ),
    )
    deadline = time.monotonic() + 10
    while cloud_server.assembly.watching.hub.state.patient("p-other") is None:
        assert time.monotonic() < deadline, "the wall did not learn of the second hospital"
        time.sleep(0.05)
    return cloud_server


def furnish(database, owner, *, home):
    """One of everything that a path names."""
    ids = PATHS[owner] | {"owner": owner, "parts": [f"part-{owner}-{number}" for number in range(40)]}
    for statement in (
        "INSERT INTO organisation SELECT part, '', '', 'village', %(owner)s "
        "FROM unnest(%(parts)s::text[]) part",
        "INSERT INTO location VALUES (%(location_id)s, %(site_id)s, 'ward', NULL, 'X', '', '')",
        "INSERT INTO location VALUES ('bed-' || %(owner)s, %(site_id)s, 'bed', NULL, 'X', '', '')",
        "INSERT INTO consortium VALUES (%(consortium_id)s, '', '')",
        "INSERT INTO affiliation "
        "VALUES (%(consortium_id)s, %(owner)s, 'lead', tstzrange('2020-01-01', NULL))",
        "INSERT INTO person VALUES (%(practitioner_id)s, %(owner)s, '', '')",
        "INSERT INTO account VALUES (%(account_name)s, %(practitioner_id)s, 'nurse', 'none')",
        "INSERT INTO practitioner_role OVERRIDING SYSTEM VALUE VALUES "
        "(%(role_id)s, %(practitioner_id)s, %(owner)s, 'technician', tstzrange('2020-01-01', '2021-01-01'))",
        "INSERT INTO practitioner_role (person_id, organisation_id, role, during) VALUES "
        "(%(practitioner_id)s, %(owner)s, 'nurse', tstzrange('2020-01-01', NULL))",
        "INSERT INTO team VALUES (%(team_id)s, %(owner)s, '', '')",
        "INSERT INTO team_place VALUES (%(team_id)s, %(site_id)s, %(location_id)s)",
        "INSERT INTO duty OVERRIDING SYSTEM VALUE VALUES "
        "(%(duty_id)s, %(team_id)s, %(practitioner_id)s, tstzrange('2020-01-01', '2020-01-02'))",
    ):
        database.execute(statement, ids)
    key_file = KeyFile(home / KEY_FILE)
    sealer = open_ring(key_file, key_file.read())
    sealed = sealer.seal("N-1", context=licence_context(ids["practitioner_id"], LicenceKind.NURSE))
    database.execute(
        "INSERT INTO qualification OVERRIDING SYSTEM VALUE VALUES (%(qualification_id)s, "
        "%(practitioner_id)s, 'nurse', %(sealed)s, 'x', daterange('2020-01-01', NULL))",
        ids | {"sealed": sealed},
    )


def relate(database, asker):
    """Exactly the rights that this asker is to have; what an earlier request gave is taken away."""
    database.execute("DELETE FROM care_relation")
    database.execute("DELETE FROM family_link")
    database.execute("DELETE FROM patient_merge")
    if database.execute("SELECT FROM break_glass").fetchone() is not None:
        database.execute("DELETE FROM patient_notice")
        database.execute("ALTER TABLE break_glass DISABLE TRIGGER USER")
        database.execute("DELETE FROM break_glass")
        database.execute("ALTER TABLE break_glass ENABLE TRIGGER USER")
    if not asker.is_related:
        return
    relation = {
        "patients": EVERYBODY,
        "person": f"person-{asker.name}",
        # A patient has one account: where staff are to invite for one, there is none yet.
        "relation": "self" if asker.role is Role.RESIDENT else "guardian",
    }
    database.execute(
        "INSERT INTO care_relation (kind, patient_id, person_id, during, origin) "
        "SELECT 'care', one, %(person)s, tstzrange('2020-01-01', NULL), 'matrix' "
        "FROM unnest(%(patients)s::text[]) one",
        relation,
    )
    database.execute(
        "INSERT INTO family_link SELECT 'link-' || one, %(relation)s, one, %(person)s, 'everything', 'x', "
        "sha256(one::bytea), now(), tstzrange('2020-01-01', NULL), 'x' FROM unnest(%(patients)s::text[]) one",
        relation,
    )


def provide(database, path, owner):
    """A new object where the path names one that can be used up, for the patient of an organisation."""
    patient = PATIENT_OF.get(owner)
    if patient is None:
        return {
            "consent_id": "absent",
            "link_id": "absent",
            "break_glass_id": "absent",
            "deletion_id": "999999",
        }
    number = next(_NUMBERS)
    ids = {"consent_id": f"c-{number}", "link_id": f"l-{number}", "break_glass_id": f"g-{number}"}
    values = ids | {"patient": patient, "owner": owner, "code": sha256(CODE.encode()).digest()}
    if path.endswith("/unmerge"):
        database.execute(
            "INSERT INTO patient_merge "
            "(organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) VALUES "
            "(%(owner)s, %(patient)s, %(patient)s || '-again', now(), 'x', 'x')",
            values,
        )
    if "{consent_id}" in path:
        database.execute(
            "INSERT INTO consent VALUES (%(consent_id)s, %(patient)s, 'patient', '', '', NULL, %(owner)s, "
            "'{operation}', 'general', 't', 1, 'zh', sha256(''), '', tstzrange('2020-01-01', NULL))",
            values,
        )
    if "{link_id}" in path or path.endswith("/accept"):
        database.execute(
            "INSERT INTO family_link VALUES (%(link_id)s, 'family', %(patient)s, NULL, 'notices', '', "
            "%(code)s, now() + interval '1 hour', tstzrange('2020-01-01', NULL), 'x')",
            values,
        )
    if "{deletion_id}" in path:
        row = database.execute(
            "INSERT INTO deletion_request (patient_id, organisation_id, requested_at, requested_by, reason) "
            "VALUES (%(link_id)s, %(owner)s, now(), 'x', 'x') RETURNING deletion_id",
            values,
        ).fetchone()
        ids["deletion_id"] = str(row[0])
    if "{break_glass_id}" in path:
        database.execute(
            "INSERT INTO break_glass VALUES (%(break_glass_id)s, %(patient)s, 'staff-' || %(owner)s, "
            "'nurse', %(owner)s, 'other', 'x', tstzrange('2020-01-01', '2020-01-02'))",
            values,
        )
    return ids


def routes_of(routes):
    """Every route, also of the routers inside."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from routes_of(inner.routes)


def declared(server, kind):
    return [(route, access_of(route)) for route in routes_of(server.app.routes) if isinstance(route, kind)]


def cookie_for(database, asker):
    """A session of its own for each request: logging out must not spoil the next case."""
    if asker.role is None:
        return {}
    token = new_token()
    queries.insert_session(database, hash_token(token), name=asker.name, expires_at=utc_now() + seconds(600))
    if asker.is_stepped_up:
        session = queries.find_session(database, hash_token(token), now=utc_now())
        queries.replace_session_token(
            database,
            session.session_id,
            token_hash=hash_token(token),
            stepped_up_until=utc_now() + seconds(300),
        )
    return {"Cookie": f"{COOKIE}={token}"}


def body_for(server, path, *, into, owner):
    patient = PATIENT_OF.get(owner, "p-absent")
    if path in ABOUT_BINDINGS:
        return ABOUT_BINDINGS[path](patient, into)
    if path == "/api/me/consents":
        return CONSENT | {"patient": patient}
    if path == "/api/me/family":
        return {"patient": patient, "grade": "numbers"}
    if path == "/api/login":
        return {"name": "doctor", "password": server.passwords["doctor"]}
    if path == "/api/people/{patient_id}/merge":
        return {"into": into, "reason": "the same"}
    return BODIES.get(path) or places_body(path, own=into)


def places_body(path, *, own):
    """Bodies that name something of the asker, or that may be sent only once."""
    number = next(_NUMBERS)
    owner = ORGANISATION if own == ANOTHER_OF[ORGANISATION] else OTHER
    ids = PATHS[owner]
    bodies = {
        "locations": {**NAMES, "kind": "bed", "code": f"code {number}"},
        "affiliations": {"organisation": f"part-{owner}-{number % 40}"},
        "roles": {"organisation": f"part-{owner}-{number % 40}", "role": "nurse"},
        "accounts": {"name": f"name-{number}", "role": "nurse"},
        "places": {"site": ids["site_id"]},
        "remove": {"site": ids["site_id"]},
        "duties": {
            "person": ids["practitioner_id"],
            "begins_at": number * 1000,
            "ends_at": number * 1000 + 1,
        },
        "duty-pattern": {
            "person": ids["practitioner_id"],
            "first": f"{2030 + number % 900}-01-01",
            "last": f"{2030 + number % 900}-01-07",
            "shifts": [{"weekday": 0, "begins": "20:00", "ends": "08:00"}],
        },
    }
    return bodies.get(path.rsplit("/", 1)[1])


_NUMBERS = itertools.count(1)


def binding_of(database, patient_id):
    """The newest binding of the patient's source, or of none."""
    row = database.execute(
        "SELECT max(binding_id) FROM binding WHERE src = %s", (SOURCE_OF.get(patient_id),)
    ).fetchone()
    return str(row[0] or 999_999)


def path_of(database, route, owner, made):
    """The route's path with the ids of an organisation; `ABSENT` has none."""
    ids = PATHS.get(owner, dict.fromkeys(PATHS[OTHER], "999") | {"patient_id": "p-absent"})
    ids = ids | {"binding_id": binding_of(database, ids["patient_id"])} | made
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: ids.get(found[1], "wall"), route.path)


def ask(server, database, asker, *, route, method, owner, into=""):
    with database.transaction():
        relate(database, asker)
        headers = cookie_for(database, asker)
        path = path_of(database, route, owner, provide(database, route.path, owner))
    body = body_for(server, route.path, into=into, owner=owner)
    if path.endswith("/duties"):
        path += "?from_at=0&to_at=1"
    # One client for all: each new one would read every certificate of the machine anew.
    client = server.clients[0] if server.clients else server.client()
    answer = client.request(method, path, headers=headers, json=body)
    client.cookies.clear()
    return answer


def is_as_declared(answer, expected, *, wants_more=None):
    if expected is Answer.GIVEN:
        return answer.status_code in ((200, 201, 204) if wants_more is None else (wants_more,))
    fields = {"error", "needs"} if expected is Answer.STEP_UP_FIRST else {"error"}
    return answer.status_code == STATUS[expected] and set(answer.json()) == fields


def test_every_route_says_who_may_use_it(cloud_server):
    routes = list(routes_of(cloud_server.app.routes))
    silent = [getattr(route, "path", route) for route in routes if access_of(route) is None]

    assert silent == []
    assert len(routes) >= 9
    assert {type(route) for route in routes} == {APIRoute, APIWebSocketRoute}


@pytest.mark.parametrize(("role", "is_related", "is_stepped_up"), WHO)
def test_every_http_route_answers_every_role_as_it_declares(
    two_hospitals, database, role, is_related, is_stepped_up
):
    wrong = []
    who = askers(role, is_related, is_stepped_up)
    for (route, access), asker, owner in itertools.product(
        declared(two_hospitals, APIRoute), who, PATIENT_OF
    ):
        expected = access.answer_to(
            role,
            is_own=asker.organisation == owner,
            may_see=asker.may_see(),
            is_stepped_up=is_stepped_up,
        )
        for method in sorted(route.methods):
            answer = ask(
                two_hospitals,
                database,
                asker,
                route=route,
                method=method,
                owner=owner,
                into=ANOTHER_OF[owner],
            )
            wants_more = WANTS_MORE.get((method, route.path))
            if not is_as_declared(answer, expected, wants_more=wants_more):
                wrong.append((method, route.path, asker, owner, expected, answer.status_code))

    assert wrong == []


def watch(server, headers, path):
    """The patients of the first frame, or the code with which the server closed."""
    url = server.address.replace("http", "ws") + path
    with connect_websocket(url, additional_headers=headers, origin=server.address) as websocket:
        try:
            return [patient["id"] for patient in json.loads(websocket.recv(timeout=5))["patients"]]
        except ConnectionClosed as closed:
            return closed.rcvd.code


def test_every_websocket_shows_every_role_what_it_declares(two_hospitals, database):
    routes = declared(two_hospitals, APIWebSocketRoute)
    assert {access.people for _, access in routes} == {People.LEFT_OUT}
    everybody = [asker for who in WHO for asker in askers(*who)]
    for (route, access), asker in itertools.product(routes, everybody):
        relate(database, asker)
        expected = access.answer_to(asker.role, is_own=True, may_see=asker.may_see())
        shown = watch(two_hospitals, cookie_for(database, asker), route.path)
        seen = list(PATIENT_OF.values()) if asker.may_see() else []

        assert shown == (seen if expected is Answer.GIVEN else CLOSED[expected]), asker


def everything_said(answer):
    return answer.status_code, [line for line in answer.headers.raw if line[0] != b"date"], answer.content


def never_there(access, asker):
    """Whose things this asker must not tell from things that are not there."""
    stranger = OTHER if asker.organisation == ORGANISATION else ORGANISATION
    unseen = {
        People.SEEN: [] if asker.may_see() else [stranger, asker.organisation],
        People.SEEN_OWN: [stranger] if asker.may_see() else [stranger, asker.organisation],
        People.HIDDEN: [stranger],
    }
    return unseen.get(access.people, [])


@pytest.mark.parametrize(("role", "is_related", "is_stepped_up"), WHO)
def test_not_yours_and_not_there_are_the_same_bytes(two_hospitals, database, role, is_related, is_stepped_up):
    compared = 0
    for (route, access), asker in itertools.product(
        declared(two_hospitals, APIRoute), askers(role, is_related, is_stepped_up)
    ):
        owners = never_there(access, asker)
        if not owners:
            continue
        (method,), into = route.methods, ANOTHER_OF[asker.organisation]
        said = [
            everything_said(
                ask(two_hospitals, database, asker, route=route, method=method, owner=owner, into=into)
            )
            for owner in (*owners, ABSENT)
        ]
        compared += len(owners)
        assert all(one == said[-1] for one in said), (asker, route.path, said)
    assert compared > 20


def test_merging_into_a_strangers_patient_and_into_nobody_are_the_same_bytes(two_hospitals, database):
    (merge,) = [
        route for route, _ in declared(two_hospitals, APIRoute) if route.path.endswith("/{patient_id}/merge")
    ]
    asker = Asker(role=Role.CLINICIAN, organisation=ORGANISATION)
    database.execute(
        "INSERT INTO duty (team_id, person_id, during) VALUES (%s, %s, tstzrange('2020-01-01', NULL))",
        (TEAM, f"person-{asker.name}"),
    )
    said = [
        ask(two_hospitals, database, asker, route=merge, method="POST", owner=ORGANISATION, into=into)
        for into in ("p-other", "p-absent", "p-\x00")
    ]
    assert [answer.status_code for answer in said[:2]] == [404, 404]
    assert everything_said(said[0]) == everything_said(said[1])
    assert said[2].status_code in (404, 422)
