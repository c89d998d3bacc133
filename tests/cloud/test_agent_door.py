"""The agents' door over real TLS, as the edge agent itself goes through it."""

import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager
from datetime import timedelta

import httpx
import pytest

from cloud.agent_door import DoorServer, build_door, door_context
from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.files import server_pair
from cloud.enrolment.model import Admission
from cloud.people.service import PeopleService, open_sealer
from cloud.rights.service import EncounterBook
from cloud.store.connection import build_pool
from edge_agent import door
from edge_agent.errors import AuthorityForeign, DoorRefused, DoorUnreachable
from edge_agent.identity import IdentityFiles, read_identity
from edge_agent.membership import Membership
from edge_agent.people_context import OfflineRegistration, PeopleContext, new_registration_name
from tests.cloud.enrolment.conftest import ADMIN, open_room
from tests.fixtures.certificates import agent_identity, tls_context
from vitals.wire.invitation import Invitation, new_code

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
CLOSED = [
    ("POST", "/agent/v1/renew"),
    ("GET", "/agent/v1/people-context"),
    ("POST", "/agent/v1/registrations"),
]


class Cloud:
    def __init__(self, service, clock, recorder, *, port, keys):
        self.service, self.clock, self.recorder, self.port, self.keys = service, clock, recorder, port, keys

    def invitation(self, agent="hut-1"):
        made = self.service.invite(ADMIN, Admission(agent=agent))
        return Invitation(code=made.code, host="127.0.0.1", port=self.port)

    def ask(self, method, path, *, pair=None, **options):
        context = tls_context(self.keys / AUTHORITY_FILE, pair)
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.request(method, f"https://127.0.0.1:{self.port}{path}", **options)


@contextmanager
def serving(app, context):
    server = DoorServer(app, context)
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the door did not open"
            time.sleep(0.02)
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def cloud(database_url, database, tmp_path):
    database.execute("INSERT INTO organisation (organisation_id, name_zh, name_en) VALUES ('north', '', '')")
    database.execute(
        "INSERT INTO site (site_id, organisation_id, name_zh, name_en) VALUES ('north-site', 'north', '', '')"
    )
    keys, pool = tmp_path / "keys", build_pool(database_url)
    with open_room(database_url, keys) as (service, clock, recorder), pool:
        sealer = open_sealer(database, home=tmp_path)
        people = PeopleService(
            pool, sealer=sealer, encounters=EncounterBook(), recorder=recorder, clock=clock
        )
        pair = server_pair(keys, service.authority, name="door", hosts=["127.0.0.1"], now=clock())
        context = door_context(pair, service.authority.certificate)
        with serving(build_door(service, people), context) as port:
            yield Cloud(service, clock, recorder, port=port, keys=keys)


@pytest.fixture
def files(tmp_path):
    return IdentityFiles(folder=tmp_path / "edge")


@pytest.fixture
def people(tmp_path, files):
    return PeopleContext(files.folder, keys=tmp_path / "edge-keys")


def bind_patient(database, agent="hut-1"):
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort, "
        "spo2_scale, birth_date) VALUES ('p-1', 'north', 'north-site', '1', '张三', '', '', 2, "
        "current_date - interval '70 years')"
    )
    database.execute("INSERT INTO source (src, agent) VALUES ('s-1', %s)", (agent,))
    database.execute(
        "INSERT INTO binding (src, patient_id, during) "
        "VALUES ('s-1', 'p-1', tstzrange(now() - interval '1 hour', NULL))"
    )


def test_agent_enrols_with_a_code_and_its_key_stays_with_it(cloud, files):
    identity = door.enrol(files, cloud.invitation())

    assert identity.agent == "hut-1"
    assert read_identity(files) == identity
    assert files.pair.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in files.pair.read_bytes()


def test_code_is_never_sent_to_a_server_of_another_authority(cloud, files):
    foreign = Invitation(code=new_code(bytes(32)), host="127.0.0.1", port=cloud.port)
    with pytest.raises(AuthorityForeign):
        door.enrol(files, foreign)

    assert cloud.recorder.acts == []
    assert not files.pair.exists()


def test_used_code_is_refused_and_nothing_is_kept(cloud, files, tmp_path):
    invitation = cloud.invitation()
    door.enrol(files, invitation)
    second = IdentityFiles(folder=tmp_path / "second")
    with pytest.raises(DoorRefused, match="does not open"):
        door.enrol(second, invitation)

    assert not second.pair.exists()


def test_agent_renews_with_a_new_key(cloud, files):
    door.enrol(files, cloud.invitation())
    before = files.pair.read_bytes()
    door.renew(files)

    assert files.pair.read_bytes().split(b"-----END PRIVATE")[0] != before.split(b"-----END PRIVATE")[0]
    assert door.renew(files).agent == "hut-1"


@pytest.mark.parametrize(("method", "path"), CLOSED, ids=[path for _, path in CLOSED])
def test_without_a_good_certificate_everything_else_is_closed(cloud, files, method, path):
    door.enrol(files, cloud.invitation())
    never_registered = agent_identity(cloud.keys, "hut-7").pair
    body = {} if method == "GET" else {"json": {"request": "x", "registration": "r-12345678"}}

    assert cloud.ask(method, path, **body).status_code == 401
    assert cloud.ask(method, path, pair=never_registered, **body).status_code == 401
    cloud.service.revoke(ADMIN, "hut-1", reason="stolen")
    assert cloud.ask(method, path, pair=files.pair, **body).status_code == 401


def test_revoked_agent_is_out_on_an_open_connection_too(cloud, files):
    door.enrol(files, cloud.invitation())
    context = tls_context(cloud.keys / AUTHORITY_FILE, files.pair)
    url = f"https://127.0.0.1:{cloud.port}/agent/v1/people-context"
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(url).status_code == 200
        cloud.service.revoke(ADMIN, "hut-1", reason="stolen")
        assert client.get(url).status_code == 401


def test_certificate_of_a_foreign_authority_ends_the_handshake(cloud, tmp_path):
    foreign = agent_identity(tmp_path / "foreign" / "keys", "hut-1").pair
    with pytest.raises(httpx.TransportError):
        cloud.ask("GET", "/agent/v1/authority", pair=foreign)


def test_older_tls_is_refused(cloud):
    context = tls_context(cloud.keys / AUTHORITY_FILE, None)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_agent_learns_age_and_scale_of_its_own_people_and_no_name(cloud, files, database):
    door.enrol(files, cloud.invitation())
    bind_patient(database)
    mark, found = door.fetch_people(files, known="")

    assert [(one.src, one.age_years, one.spo2_scale) for one in found] == [("s-1", 70, 2)]
    assert door.fetch_people(files, known=mark) == (mark, None)
    assert [act.target.id for act in cloud.recorder.acts if act.action == "read_context"] == ["p-1"]


def test_agent_learns_nothing_of_anothers_people(cloud, files, tmp_path, database):
    door.enrol(files, cloud.invitation())
    other = IdentityFiles(folder=tmp_path / "other")
    door.enrol(other, cloud.invitation("hut-2"))
    bind_patient(database, agent="hut-1")

    assert door.fetch_people(other, known="")[1] == []


def test_person_registered_offline_arrives_once(cloud, files, database):
    door.enrol(files, cloud.invitation())
    told = {"registration": new_registration_name(), "name_zh": "王五"}
    for _ in range(2):
        door.send_registration(files, told)

    rows = database.execute("SELECT name_zh, site_id, registered_by FROM patient").fetchall()
    assert rows == [("王五", "north-site", "agent:hut-1")]


def test_body_that_is_too_long_is_cut_off(cloud, files):
    door.enrol(files, cloud.invitation())
    long = {"registration": "r-12345678", "name_zh": "x" * 200_000}
    try:
        status = cloud.ask("POST", "/agent/v1/registrations", pair=files.pair, json=long).status_code
    except httpx.TransportError:
        status = 400
    assert status in (400, 413, 422)


async def test_member_uses_a_waiting_code_renews_and_exchanges(cloud, files, people, database):
    membership = Membership(files, people, clock=lambda: cloud.clock() + timedelta(days=61))
    people.add(OfflineRegistration(registration=new_registration_name(), name_zh="赵六"))
    files.folder.mkdir(exist_ok=True)
    files.invitation.write_text(str(cloud.invitation()))
    membership._use_invitation()
    bind_patient(database)
    before = files.pair.read_bytes()

    assert membership._keep() is True
    assert not files.invitation.exists()
    assert files.pair.read_bytes() != before
    assert people.waiting() == []
    assert [one.age_years for one in people.bound_people()] == [70]


def test_code_waits_while_the_cloud_is_away(files, people):
    membership = Membership(files, people, clock=lambda: None)
    files.folder.mkdir(parents=True, exist_ok=True)
    files.invitation.write_text(f"{new_code(bytes(32))}@127.0.0.1:1")
    membership._use_invitation()

    assert files.invitation.exists()
    with pytest.raises(DoorUnreachable):
        door.renew(files)
