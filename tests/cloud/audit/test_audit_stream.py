import threading
import time

import pytest
from structlog.testing import capture_logs

from cloud.act import AuditUnavailable
from cloud.audit import queries, stream
from cloud.audit.stream import AuditStream
from cloud.store.connection import connect
from tests.cloud.audit.entries import ACTS, KEY, START

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def audit(database_url):
    made = AuditStream(database_url, KEY, clock=lambda: START)
    made.start()
    yield made
    made.stop()


def take_away(database):
    """The audit cannot be written, and everything else works."""
    database.execute("ALTER TABLE audit_entry RENAME TO audit_entry_away")


def give_back(database):
    database.execute("ALTER TABLE audit_entry_away RENAME TO audit_entry")


def stored(database):
    with database.transaction():
        return [entry.act() for entry in queries.iterate_entries(database, after=0, upto=10_000)]


def await_stored(database, number):
    deadline = time.monotonic() + 10
    while queries.find_head(database).sequence < number:
        assert time.monotonic() < deadline, "the entries did not come"
        time.sleep(0.02)
    return stored(database)


def test_what_was_waited_for_is_stored(audit, database):
    audit.begin(*ACTS[:3])()

    assert stored(database) == list(ACTS[:3])


def test_many_that_wait_share_a_transaction(audit, database):
    with database.transaction():
        queries.lock_chain(database)
        threads = [threading.Thread(target=audit.begin(act)) for act in ACTS]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, stored(database))) == sorted(map(str, ACTS))
    assert database.execute("SELECT count(DISTINCT xmin::text) FROM audit_entry").fetchone()[0] <= 2


def test_connection_that_died_meanwhile_refuses_nobody(audit, database):
    audit.begin(ACTS[0])()
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    audit.begin(ACTS[1])()

    assert stored(database) == list(ACTS[:2])


def test_look_that_cannot_be_written_down_is_refused(audit, database):
    take_away(database)

    with pytest.raises(AuditUnavailable, match="cannot be written"):
        audit.begin(ACTS[0])()


def test_refused_look_is_not_written_later(audit, database):
    take_away(database)
    with pytest.raises(AuditUnavailable):
        audit.begin(ACTS[0])()
    give_back(database)
    audit.begin(ACTS[1])()

    assert stored(database) == [ACTS[1]]


def test_what_happened_already_is_written_when_the_database_is_back(audit, database):
    take_away(database)
    with capture_logs() as logs:
        audit.note(ACTS[0])
        audit.note(ACTS[1], ACTS[2])
        time.sleep(0.7)
        give_back(database)
        assert await_stored(database, 3) == list(ACTS[:3])

    assert [entry["event"] for entry in logs].count("audit_not_written") == 1
    assert "audit_written_again" in [entry["event"] for entry in logs]


def test_look_that_waits_too_long_is_refused_and_withdrawn(audit, database, monkeypatch):
    monkeypatch.setattr(stream, "_PATIENCE_S", 0.2)
    with database.transaction():
        queries.lock_chain(database)
        blocked = audit.begin(ACTS[0])
        time.sleep(0.1)
        with pytest.raises(AuditUnavailable):
            audit.begin(ACTS[1])()
    blocked()
    audit.begin(ACTS[2])()

    assert stored(database) == [ACTS[0], ACTS[2]]


def test_full_queue_refuses_looks_and_says_what_it_loses(database_url, monkeypatch):
    monkeypatch.setattr(stream, "_ENTRIES_WAITING", 2)
    monkeypatch.setattr(stream, "_KEPT_FOR_NOTES", 0)
    idle = AuditStream(database_url, KEY, clock=lambda: START)
    idle.note(ACTS[0], ACTS[1])
    with pytest.raises(AuditUnavailable):
        idle.begin(ACTS[2])()
    with capture_logs() as logs:
        idle.note(ACTS[2])
        idle.stop()

    assert [(entry["event"], entry["entries"]) for entry in logs] == [
        ("audit_entries_lost", 1),
        ("audit_entries_lost", 2),
    ]


def test_looks_leave_room_for_what_happened_already(database_url, monkeypatch):
    monkeypatch.setattr(stream, "_ENTRIES_WAITING", 3)
    monkeypatch.setattr(stream, "_KEPT_FOR_NOTES", 1)
    idle = AuditStream(database_url, KEY, clock=lambda: START)
    idle.begin(ACTS[0], ACTS[1])
    with pytest.raises(AuditUnavailable):
        idle.begin(ACTS[2])()
    with capture_logs() as logs:
        idle.note(ACTS[3])

    assert logs == []


def test_chain_is_signed_after_enough_entries_and_at_the_end(database_url, database, monkeypatch):
    monkeypatch.setattr(stream, "_SIGN_AFTER_ENTRIES", 5)
    made = AuditStream(database_url, KEY, clock=lambda: START)
    made.start()
    for act in ACTS[:7]:
        made.begin(act)()
    made.stop()

    signed = [checkpoint.sequence for checkpoint in queries.find_checkpoints(database)]
    assert signed[-1] == 7
    assert len(signed) >= 2


def test_chain_is_signed_after_a_while_without_further_entries(database_url, database, monkeypatch):
    monkeypatch.setattr(stream, "_SIGN_EVERY_S", 0.3)
    made = AuditStream(database_url, KEY, clock=lambda: START)
    made.start()
    time.sleep(0.2)
    made.begin(ACTS[0])()
    deadline = time.monotonic() + 5
    while not queries.find_checkpoints(database):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    made.stop()


def test_broken_chain_is_told_and_not_signed(database_url, database):
    made = AuditStream(database_url, KEY, clock=lambda: START)
    with connect(database_url) as owner, capture_logs() as logs:
        made.start()
        made.begin(*ACTS)()
        owner.execute("ALTER TABLE audit_entry DISABLE TRIGGER append_only")
        owner.execute("UPDATE audit_entry SET person = 'x' WHERE sequence = 2")
        made.stop()

    assert [(entry["event"], entry["sequence"]) for entry in logs] == [("audit_chain_broken", 2)]
    assert queries.find_checkpoints(database) == []
