import threading
from datetime import timedelta

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud.act import Action, AuditUnavailable, Origin, Outcome, act_of_nobody
from cloud.audit import queries
from cloud.audit.lines import verify_lines
from cloud.audit.model import AuditQuestion, ChainBroken, TimedAct
from cloud.audit.service import (
    KEY_NAME,
    AuditReader,
    DirectRecorder,
    NothingToExport,
    SigningKeyUnusable,
    append_acts,
    export_audit,
    load_signing_key,
    sign_chain,
)
from cloud.store.connection import build_pool, connect
from tests.cloud.audit.entries import DOCTOR, ENTRIES, KEY, PATIENT, START, TIMED

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def stored(connection):
    with connection.transaction():
        return list(queries.iterate_entries(connection, after=0, upto=10_000))


def tamper(connection, statement):
    """What only the owner of the table can do."""
    connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER append_only")
    connection.execute(statement)
    connection.execute("ALTER TABLE audit_entry ENABLE TRIGGER append_only")


def test_entries_come_back_exactly_as_they_were_chained(database):
    append_acts(database, TIMED[:6])
    append_acts(database, TIMED[6:])
    append_acts(database, [])

    assert stored(database) == ENTRIES


@pytest.mark.parametrize("table", ["audit_entry", "audit_checkpoint"])
@pytest.mark.parametrize("change", ["UPDATE {} SET sequence = 9", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_database_refuses_to_change_the_past(database, table, change):
    append_acts(database, TIMED)
    sign_chain(database, KEY, now=START)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        database.execute(change.format(table))


def test_attempts_of_who_was_not_logged_in_are_no_looks_at_a_patient(database, database_url):
    refused = act_of_nobody(Action.ACCEPT_INVITATION, PATIENT, outcome=Outcome.REFUSED, origin=Origin.HTTP)
    look = DOCTOR.act(Action.READ_TREND, PATIENT, origin=Origin.HTTP)
    append_acts(database, [TimedAct(act=act, at=START) for act in (look, *[refused] * 5)])
    with build_pool(database_url) as pool:
        reader = AuditReader(pool, recorder=DirectRecorder(database, clock=lambda: START))
        found = reader.find_acts_about([PATIENT.id], before=None, limit=3)

    assert [one.act for one in found] == [look]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("p-1", "patient/p-1"),
        ("330102199001010018", "identifier/resident_id"),
        ("张三", "identifier/unknown"),
    ],
)
def test_search_keeps_the_patient_it_asks_for_and_no_number(database, database_url, typed, kept):
    with build_pool(database_url) as pool:
        reader = AuditReader(pool, recorder=DirectRecorder(database, clock=lambda: START))
        reader.search(DOCTOR, AuditQuestion(patient=typed))

    (entry,) = stored(database)
    assert f"{entry.target_kind}/{entry.target_id}" == kept


def test_rolled_back_work_leaves_no_entry(database):
    with database.transaction(force_rollback=True):
        append_acts(database, TIMED)
    append_acts(database, TIMED)

    assert stored(database) == ENTRIES


def test_several_writers_make_one_chain(database, database_url):
    def add():
        with connect(database_url) as connection:
            for timed in TIMED:
                append_acts(connection, [timed])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sign_chain(database, KEY, now=START).sequence == 4 * len(TIMED)


def test_signature_is_made_once_for_each_end_of_the_chain(database):
    assert sign_chain(database, KEY, now=START) is None
    append_acts(database, TIMED)
    first = sign_chain(database, KEY, now=START)

    assert sign_chain(database, KEY, now=START + timedelta(1)) == first
    assert queries.find_checkpoints(database) == [first]


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("UPDATE audit_entry SET person = 'x' WHERE sequence = 5", 5),
        ("DELETE FROM audit_entry WHERE sequence = 6", 6),
        ("UPDATE audit_entry SET hash = sha256('x') WHERE sequence = 14", 14),
    ],
)
def test_changed_history_is_never_signed(database, statement, sequence):
    append_acts(database, TIMED)
    tamper(database, statement)

    with pytest.raises(ChainBroken) as broken:
        sign_chain(database, KEY, now=START)
    assert broken.value.sequence == sequence
    assert queries.find_checkpoints(database) == []


def test_export_holds_everything_and_proves_it(database, tmp_path):
    path = tmp_path / "audit.jsonl"
    append_acts(database, TIMED[:5])
    sign_chain(database, KEY, now=START)
    append_acts(database, TIMED[5:])
    written = export_audit(database, KEY, path, now=START)

    lines = path.read_bytes().splitlines(keepends=True)
    found = verify_lines(lines, trusted=written.key)
    assert (found.entries, found.head_hash) == (written.entries, written.head_hash)
    assert (len(lines), path.stat().st_mode & 0o777) == (1 + len(TIMED) + 2, 0o600)


def test_change_before_a_signature_is_found_in_the_export(database, tmp_path):
    append_acts(database, TIMED)
    sign_chain(database, KEY, now=START)
    tamper(database, "UPDATE audit_entry SET outcome = 'refused' WHERE sequence = 8")
    export_audit(database, KEY, tmp_path / "audit.jsonl", now=START)

    lines = (tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True)
    with pytest.raises(ChainBroken, match="entry 8: it was changed"):
        verify_lines(lines)


def test_empty_audit_cannot_be_exported(database, tmp_path):
    with pytest.raises(NothingToExport, match="no entry yet"):
        export_audit(database, KEY, tmp_path / "audit.jsonl", now=START)


def test_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    folder = tmp_path / "home" / "keys"
    with pytest.raises(SigningKeyUnusable, match="No such file"):
        load_signing_key(folder)
    first = load_signing_key(folder, may_make=True).private_bytes_raw()

    assert load_signing_key(folder).private_bytes_raw() == first
    assert [entry.name for entry in folder.iterdir()] == [KEY_NAME]
    assert (folder / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_key_of_another_kind_is_refused_in_words(tmp_path):
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text, reason in ((other, "not an Ed25519 key"), (b"x", "not a PEM file")):
        (tmp_path / KEY_NAME).write_bytes(text)
        with pytest.raises(SigningKeyUnusable, match=reason):
            load_signing_key(tmp_path)


def test_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "keys").write_text("a file")

    with pytest.raises(SigningKeyUnusable, match="audit-signing"):
        load_signing_key(tmp_path / "keys", may_make=True)


def test_command_writes_its_entry_at_once_or_is_told_that_it_cannot(database):
    recorder = DirectRecorder(database, clock=lambda: START)
    written = recorder.begin(TIMED[0].act)
    assert stored(database) == []
    written()
    recorder.note(TIMED[1].act)
    assert [entry.action for entry in stored(database)] == [str(one.act.action) for one in TIMED[:2]]

    database.execute("DROP TABLE audit_entry CASCADE")
    with pytest.raises(AuditUnavailable):
        recorder.begin(TIMED[2].act)()
