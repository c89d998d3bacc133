"""The agents' door over real TLS, as the edge agent itself goes through it."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from cloud.agent_door import DoorCertificate, build_door, door_server
from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.certificates import (
    build_crl,
    fingerprint,
    issue_stand_in,
    key_pem,
    new_key,
    pem,
)
from cloud.enrolment.authority.files import open_authority
from cloud.enrolment.model import Admission
from cloud.pace import Allowance, Pace
from cloud.people.service import PeopleService, open_sealer
from cloud.rights.service import EncounterBook
from cloud.store.connection import build_pool
from edge_agent import door
from edge_agent.errors import AuthorityForeign, DoorRefused, DoorUnreachable
from edge_agent.identity import IdentityFiles, new_request, read_identity
from edge_agent.membership import Membership
from edge_agent.people_context import OfflineRegistration, PeopleContext, new_registration_name
from tests.cloud.enrolment.conftest import ADMIN, MovedClock, open_room
from tests.cloud.test_guard_served import EVERYWHERE
from tests.fixtures.certificates import agent_identity, tls_context
from vitals.wire.invitation import Invitation, new_code

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
FETCH = Path(__file__).parents[2] / "deploy" / "mosquitto" / "fetch-list.sh"
CLOSED = [
    ("POST", "/agent/v1/renew"),
    ("GET", "/agent/v1/people-context"),
    ("POST", "/agent/v1/registrations"),
]


class Cloud:
    def __init__(self, service, clock, recorder, *, port, keys, house):
        self.service, self.clock, self.recorder, self.port, self.keys = service, clock, recorder, port, keys
        self.house = house

    def invitation(self, agent="hut-1"):
        made = self.service.invite(ADMIN, Admission(agent=agent))
        return Invitation(code=made.code, host="127.0.0.1", port=self.port)

    def ask(self, method, path, *, pair=None, **options):
        context = tls_context(self.keys / AUTHORITY_FILE, pair)
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.request(method, f"https://127.0.0.1:{self.port}{path}", **options)

    def shown(self):
        """The certificate that a new connection is shown."""
        context = tls_context(self.keys / AUTHORITY_FILE, None)
        with (
            socket.create_connection(("127.0.0.1", self.port)) as connection,
            context.wrap_socket(connection, server_hostname="127.0.0.1") as tls,
        ):
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))

    def try_code(self, code, **options):
        body = {"code": str(code), "request": new_request().pem}
        return self.ask("POST", "/agent/v1/enrol", json=body, **options)

    def wrong_code(self):
        return new_code(fingerprint(self.service.authority.certificate))


@contextmanager
def serving(app, certificate):
    server = door_server(app, certificate)
    server.config.timeout_notify = 0.1  # it looks at its certificate as often as it can: once a second
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
def pace():
    """How fast agents may ask; None as in service."""
    return


@pytest.fixture
def cloud(database_url, database, tmp_path, pace):
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
        house = MovedClock(datetime.now(UTC) - timedelta(days=300))
        names = lambda: ("127.0.0.1",)  # noqa: E731 # what the port is to be told
        certificate = DoorCertificate(keys, service.authority, names=names, clock=house)
        app = build_door(service, people, hosts=certificate.hosts, pace=pace)
        with serving(app, certificate) as port:
            yield Cloud(service, clock, recorder, port=port, keys=keys, house=house)


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


def test_stand_in_for_an_agent_opens_nothing_at_the_door(cloud, files, tmp_path):
    door.enrol(files, cloud.invitation())
    key = new_key()
    certificate = issue_stand_in(
        cloud.service.authority, key.public_key(), agent="hut-1", now=datetime.now(UTC)
    )
    pair = tmp_path / "stand-in.pem"
    pair.write_bytes(key_pem(key) + pem(certificate))

    assert cloud.ask("GET", "/agent/v1/people-context", pair=pair).status_code == 401


def fetch_list(cloud, folder):
    """As the timer beside a Mosquitto elsewhere does."""
    environment = {**os.environ, "QIANLI_DOOR": f"127.0.0.1:{cloud.port}"}
    return subprocess.run(["sh", FETCH, folder], env=environment, capture_output=True, check=False)


def test_broker_elsewhere_fetches_the_list_and_takes_none_that_is_forged(cloud, tmp_path, monkeypatch):
    folder = tmp_path / "broker"
    folder.mkdir()
    shutil.copy(cloud.keys / AUTHORITY_FILE, folder)
    assert fetch_list(cloud, folder).returncode == 0
    fetched = (folder / "revoked.pem").read_bytes()
    foreign = open_authority(tmp_path / "foreign", now=datetime.now(UTC))
    forged = pem(build_crl(foreign, [], number=9, now=datetime.now(UTC)))
    monkeypatch.setattr(cloud.service, "revocation_list", lambda: forged)

    assert fetched == (cloud.keys / "revoked.pem").read_bytes()
    assert fetch_list(cloud, folder).returncode != 0
    assert (folder / "revoked.pem").read_bytes() == fetched
    assert {path.name for path in folder.iterdir()} == {AUTHORITY_FILE, "revoked.pem"}


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


def test_body_that_says_it_is_too_long_is_not_read(cloud, files):
    door.enrol(files, cloud.invitation())
    long = {"registration": "r-12345678", "name_zh": "x" * 200_000}

    assert cloud.ask("POST", "/agent/v1/registrations", pair=files.pair, json=long).status_code == 413


def test_body_in_chunks_is_cut_off_where_it_is_too_large(cloud, files):
    door.enrol(files, cloud.invitation())
    # One piece more than is taken: whoever goes on sending finds the connection closed before the answer.
    pieces = (b" " * 4096 for _ in range(17))

    assert cloud.ask("POST", "/agent/v1/renew", pair=files.pair, content=pieces).status_code == 413


@pytest.mark.parametrize("path", ["/", "/agent/v1/authority", "/agent/v1/people-context", "/agent/v1/none"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_every_answer_carries_the_security_headers(cloud, method, path):
    answer = cloud.ask(method, path)

    assert set(answer.headers) >= EVERYWHERE
    assert path == "/" or answer.headers["cache-control"] == "no-store"
    assert answer.status_code == 200 or list(answer.json()) == ["error"]


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1:1@evil.example", ""])
def test_door_answers_to_the_names_of_its_certificate_only(cloud, host):
    answer = cloud.ask("GET", "/agent/v1/authority", headers={"Host": host})

    assert answer.status_code == 403
    assert "evil" not in answer.text + str(answer.headers)


def test_page_of_another_site_gets_nothing_through_a_browser(cloud):
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}

    assert cloud.ask("GET", "/agent/v1/authority", headers=foreign).status_code == 403
    assert cloud.try_code(cloud.invitation().code, headers=foreign).status_code == 403


def test_failure_tells_a_number_and_neither_trace_nor_text(cloud, files, monkeypatch):
    door.enrol(files, cloud.invitation())

    def fail(_holder, *, known):
        raise ValueError("Zhang San 110105194912310021", known)

    monkeypatch.setattr(cloud.service, "people_of", fail)
    answer = cloud.ask("GET", "/agent/v1/people-context", pair=files.pair)

    assert answer.status_code == 500
    assert "Zhang" not in answer.text
    assert "Traceback" not in answer.text
    assert set(answer.headers) >= EVERYWHERE


class TestSlowPace:
    @pytest.fixture
    def pace(self):
        return Pace(source=Allowance(per_s=0.01, burst=45))

    def test_too_many_requests_are_told_when_to_come_again_and_a_code_costs_twenty(self, cloud):
        answers = [cloud.try_code(cloud.wrong_code()) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [403, 403, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert cloud.ask("GET", "/agent/v1/revoked").status_code == 200


def test_wrong_used_old_and_invented_codes_are_told_alike(cloud, files):
    used, old = cloud.invitation("hut-1"), cloud.invitation("hut-2")
    door.enrol(files, used)
    cloud.clock.now += timedelta(minutes=16)
    answers = [cloud.try_code(code) for code in (used.code, old.code, cloud.wrong_code())]

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].status_code == 403


def test_sixth_try_from_an_address_is_refused_even_with_the_right_code(cloud):
    right = cloud.invitation().code
    with ThreadPoolExecutor(12) as many:  # at once: none may slip by while another is being looked up
        tried = list(many.map(lambda _: cloud.try_code(cloud.wrong_code()).status_code, range(12)))

    assert sorted(tried) == [403] * 5 + [429] * 7
    assert cloud.try_code(right).status_code == 429
    cloud.clock.now += timedelta(minutes=5)
    assert cloud.try_code(right).status_code == 201


def test_right_codes_are_not_counted_as_tries(cloud):
    codes = [cloud.invitation(f"hut-{number}").code for number in range(8)]

    assert [cloud.try_code(code).status_code for code in codes] == [201] * 8


def test_certificate_is_renewed_while_the_door_is_open(cloud):
    before = cloud.shown()
    cloud.house.now = datetime.now(UTC)
    deadline = time.monotonic() + 10
    while (after := cloud.shown()) == before:
        assert time.monotonic() < deadline, "the door shows its old certificate"
        time.sleep(0.1)

    assert after.not_valid_after_utc - before.not_valid_after_utc > timedelta(days=299)
    assert cloud.ask("GET", "/agent/v1/authority").status_code == 200


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
