"""Keys change while people are looked for and registered, and whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cloud.identity import queries as identity_queries
from cloud.identity.proofs.service import SEALED_SECRETS
from cloud.people.service import KEY_FILE, PeopleService, open_sealer
from cloud.people.stream import move_all_seals, move_seals, switch_digests
from cloud.rights.service import EncounterBook
from cloud.staff.model import LicenceKind, licence_context
from cloud.store.connection import build_pool, connect
from cloud.store.sealing import KeyFile
from cloud.store.suite import Suite
from tests.cloud.people.conftest import DOCTOR, NOW, Notebook, new_person, record_number
from tests.fixtures.duty import hire
from vitals.identifiers.identifier import IdentifierKind

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.enable_socket]
PEOPLE = 60
LICENCES = 6000
NOTHING_MOVED = {"newest": 1, "moved": 0, "waiting": {}, "done": True}
RECORD = IdentifierKind.HOSPITAL_RECORD


@pytest.fixture
def people(database, database_url, tmp_path):
    identity_queries.upsert_organisation(database, "own", site_id="own-1", name_zh="甲", name_en="Own")
    pool = build_pool(database_url)
    pool.open()
    sealer = open_sealer(database, home=tmp_path)
    service = PeopleService(
        pool, sealer=sealer, encounters=EncounterBook(), recorder=Notebook(), clock=lambda: NOW
    )
    for number in range(PEOPLE):
        service.register(DOCTOR, new_person(record_number(f"R{number}"), name=f"人{number}"))
    yield service
    pool.close()


def found(people, number):
    return [one.person.name_zh for one in people.resolve(DOCTOR, f"R{number}", kind=RECORD).found]


def keys(database_url, home, *words, suite="ed25519"):
    environment = {**os.environ, "QIANLI_DATABASE_URL": database_url, "QIANLI_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "qianli", "keys", *words],
        env={**environment, "QIANLI_SIGNATURES": suite},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_everybody_is_found_at_every_step_of_a_rotation(people, database, tmp_path):
    KeyFile(tmp_path / KEY_FILE).add(Suite.SM2)
    mover = open_sealer(database, home=tmp_path)
    for step in range(0, PEOPLE, 10):
        assert not switch_digests(database, mover)
        assert move_seals(database, mover, limit=10).sealed == 10
        people.register(DOCTOR, new_person(record_number(f"N{step}"), name=f"新{step}"))
        assert found(people, step) == [f"人{step}"]
        assert (
            people.register(DOCTOR, new_person(record_number(f"R{step}"), name=f"人{step}")).outcome
            == "already_there"
        )
    move_all_seals(database, mover)
    assert switch_digests(database, mover)
    assert [found(people, number) for number in range(PEOPLE)] == [
        [f"人{number}"] for number in range(PEOPLE)
    ]
    assert people.register(DOCTOR, new_person(record_number("R1"), name="人1")).outcome == "already_there"
    assert database.execute(
        "SELECT count(*) FROM person_identifier WHERE get_byte(sealed, 0) <> 2"
    ).fetchone() == (0,)


def test_rotation_that_is_killed_again_and_again_loses_nobody(people, database_url, tmp_path):
    for round_s in (0.5, 0.8, 1.1):
        process = keys(database_url, tmp_path, "rotate", suite="sm2")
        timer = threading.Timer(round_s, process.send_signal, [signal.SIGKILL])
        timer.start()
        process.communicate()
        timer.cancel()
        assert [found(people, number) for number in (0, 7, 59)] == [["人0"], ["人7"], ["人59"]]
    process = keys(database_url, tmp_path, "move")
    standing = json.loads(process.communicate()[0])

    assert (process.returncode, standing["done"]) == (0, True)
    assert [found(people, number) for number in range(PEOPLE)] == [[f"人{n}"] for n in range(PEOPLE)]
    with connect(database_url) as fresh:
        assert open_sealer(fresh, home=tmp_path).newest_number == standing["newest"]


def test_rotation_leaves_an_entry_and_status_changes_nothing(people, database, database_url, tmp_path):
    before = (tmp_path / KEY_FILE).read_text()
    process = keys(database_url, tmp_path, "status")
    assert json.loads(process.communicate()[0]) == NOTHING_MOVED
    assert (tmp_path / KEY_FILE).read_text() == before

    process = keys(database_url, tmp_path, "rotate")
    assert json.loads(process.communicate()[0]) == NOTHING_MOVED | {"newest": 2, "moved": PEOPLE}
    entry = database.execute(
        "SELECT action, target_id FROM audit_entry ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    assert entry == ("rotate_keys", "2")


def license_many(database, sealer):
    """Licences and authenticator apps, sealed as the rooms do."""
    hire(database, "nurse", "own")
    context = licence_context("nurse", LicenceKind.NURSE)
    with database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO qualification (person_id, kind, sealed_number, issuer, valid) "
            "VALUES ('nurse', 'nurse', %s, %s, '[2020-01-01,)')",
            [(sealer.seal(f"N-{number}", context=context), f"{number}") for number in range(LICENCES)],
        )
    database.execute("INSERT INTO account VALUES ('nurse', 'nurse', 'nurse', 'x')")
    database.execute(
        "INSERT INTO totp (account_name, sealed_secret, created_at) VALUES ('nurse', %s, now())",
        (sealer.seal("SECRET", context=SEALED_SECRETS.context("nurse")),),
    )


def keys_used(database):
    rows = database.execute("SELECT DISTINCT get_byte(sealed_number, 0) FROM qualification").fetchall()
    return {row[0] for row in rows}


def opened(database, sealer):
    """Every licence number as the service reads it, in order."""
    context = licence_context("nurse", LicenceKind.NURSE)
    rows = database.execute("SELECT sealed_number FROM qualification ORDER BY issuer::int").fetchall()
    return [sealer.unseal(sealed, context=context) for (sealed,) in rows]


def test_move_that_is_killed_halfway_goes_on_and_all_is_readable_meanwhile(
    people, database, database_url, tmp_path
):
    running = open_sealer(database, home=tmp_path)
    license_many(database, running)
    process = keys(database_url, tmp_path, "rotate")
    while keys_used(database) == {1} and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()

    assert keys_used(database) == {1, 2}
    assert opened(database, running) == [f"N-{number}" for number in range(LICENCES)]
    standing = json.loads(keys(database_url, tmp_path, "move").communicate()[0])
    assert (standing["waiting"], standing["done"]) == ({}, True)
    assert keys_used(database) == {2}
    assert opened(database, running) == [f"N-{number}" for number in range(LICENCES)]
    (secret,) = database.execute("SELECT sealed_secret FROM totp").fetchone()
    assert (secret[0], running.unseal(secret, context="totp of nurse")) == (2, "SECRET")


def test_value_that_no_key_opens_is_told_and_holds_nothing_up(people, database, database_url, tmp_path):
    license_many(database, open_sealer(database, home=tmp_path))
    database.execute("UPDATE qualification SET sealed_number = 'x' WHERE issuer IN ('0', '4000')")
    standing = json.loads(keys(database_url, tmp_path, "rotate").communicate()[0])

    assert (standing["waiting"], standing["done"]) == ({"qualification": 2}, False)
    assert standing["moved"] == PEOPLE + LICENCES - 2 + 1


def test_identifiers_that_no_key_opens_hold_no_rotation_up(people, database, database_url, tmp_path):
    broken = [found(people, number)[0] for number in (0, 7, 59)]
    patients = database.execute(
        "SELECT patient_id FROM patient WHERE name_zh = ANY(%s) ORDER BY patient_id", (broken,)
    ).fetchall()
    for (patient_id,), sealed in zip(patients, (b"", b"x", bytes([1]) + bytes(40)), strict=True):
        database.execute(
            "UPDATE person_identifier SET sealed = %s WHERE patient_id = %s", (sealed, patient_id)
        )
    process = keys(database_url, tmp_path, "rotate")
    told, complaint = process.communicate()

    standing = json.loads(told)
    assert (standing["moved"], standing["waiting"]) == (PEOPLE - 3, {"person_identifier": 3})
    assert open_sealer(database, home=tmp_path).newest_number == 2
    assert all(patient_id in complaint for (patient_id,) in patients)
    assert [found(people, number) for number in range(1, 7)] == [[f"人{number}"] for number in range(1, 7)]
    again = people.register(DOCTOR, new_person(record_number("R1"), name="人1"))
    assert again.outcome == "already_there"
    lost = people.register(DOCTOR, new_person(record_number("R7"), name="人7"))
    assert lost.outcome == "created"


def test_more_broken_identifiers_than_a_batch_hide_no_later_one(people, database, tmp_path):
    database.execute("UPDATE person_identifier SET sealed = 'x' WHERE identifier_id % 3 > 0")
    KeyFile(tmp_path / KEY_FILE).add()
    mover = open_sealer(database, home=tmp_path)
    after, sealed = 0, 0
    while sealed < PEOPLE // 3:
        assert not switch_digests(database, mover)
        moved = move_seals(database, mover, after=after, limit=2)
        after, sealed = moved.last, sealed + moved.sealed

    assert len(move_all_seals(database, mover).broken) == PEOPLE - PEOPLE // 3
    assert switch_digests(database, mover)
    assert mover.fingerprint == mover.newest_fingerprint


def test_unknown_suite_is_told(database_url, tmp_path):
    process = keys(database_url, tmp_path, "status", suite="rot13")

    assert (process.communicate()[0], process.returncode) == ("", 1)
