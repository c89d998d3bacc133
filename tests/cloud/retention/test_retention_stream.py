"""What the policy removes on a real database, and what it leaves."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256

import pytest
from psycopg.rows import dict_row
from structlog.testing import capture_logs

from cloud.act import AuditUnavailable
from cloud.retention import queries
from cloud.retention.formats.lines import to_line
from cloud.retention.model import CLASS_BY_TABLE, DeletionRefused, Kind, Policy, Years
from cloud.retention.stream import PROPOSER, Keeping, RetentionStream
from cloud.series.stores.choice import choose_series
from cloud.waves.service import Waves
from qianli.__main__ import main
from tests.cloud.retention.conftest import AUDITOR, DOCTOR, LONG_AGO, NOW

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
WAVES = Waves()
LONGER = Years(outpatient=60, inpatient=60)
POLICY = Policy(sensitive=LONGER, waveform_years=3)


@pytest.fixture
def apply(rooms, recorder):
    def make(policy=POLICY, *, hour=None):
        return RetentionStream(
            rooms[1]._pool,
            recorder=recorder,
            clock=rooms[1]._clock,
            keeping=Keeping(policy=policy, hour=hour),
            waves=Waves(),
        )

    return make


def add_wave(database, src, at):
    database.execute(
        "INSERT INTO wave_block VALUES (%s, 'ecg', extract(epoch FROM %s::timestamptz) * 1000000, 250, 1, 1, "
        "0, 1, 'x', now(), now(), false, 'live', 1)",
        (src, at),
    )


def add_log(database, at):
    database.execute(
        "INSERT INTO dead_letter (topic, payload, reason, detail, received_at) "
        "VALUES ('t', 'x', 'r', '', %s)",
        (at,),
    )


def count(database, table):
    return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 only our own words


def test_every_table_about_people_has_a_class(database):
    tables = {*queries.find_personal_tables(database), *queries.MEASURED_TABLES}

    assert tables == set(CLASS_BY_TABLE)


def test_waves_and_logs_go_at_their_age_and_are_proved(apply, ids, database, recorder):
    for at in (NOW - timedelta(days=3 * 365 + 2), NOW - timedelta(days=3 * 365)):
        add_wave(database, "s-p", at)
    for days in (185, 183):
        add_log(database, NOW - timedelta(days=days))
    apply(Policy(waveform_years=3)).apply()

    assert (count(database, "wave_block"), count(database, "dead_letter")) == (1, 1)
    rows = database.execute(
        "SELECT kind, table_name, row_count, encode(hash, 'hex'), removal_id FROM removal ORDER BY removal_id"
    ).fetchall()
    assert [row[:3] for row in rows] == [
        ("waveforms", "wave_block", 1),
        ("refused_messages", "dead_letter", 1),
    ]
    for *_, rows_removed, digest, number in rows:
        assert ("remove_old", f"{number}:{rows_removed}:{digest}") in recorder.words()


def test_hash_is_that_of_the_rows_as_an_export_writes_them(apply, ids, database):
    add_log(database, NOW - timedelta(days=200))
    with database.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM dead_letter").fetchone()
    (removed,) = [one for one in apply().apply() if one.table == "dead_letter"]

    assert removed.hash == sha256(to_line(row)).digest()


def test_numbers_go_before_the_record_where_the_policy_says_so(apply, ids, database, recorder):
    apply().apply()

    assert database.execute("SELECT count(*) FROM observation").fetchone() == (3,)  # what was nobody's
    assert count(database, "patient") == 3
    assert count(database, "deletion_request") == 0
    said = database.execute(
        "SELECT kind, table_name, patient_id, row_count FROM removal ORDER BY 3"
    ).fetchall()
    assert sorted(said) == sorted(
        [("general", "observation", ids["p"], 2), ("general", "observation", ids["q"], 1)]
    )
    assert ("remove_old", ids["p"]) in recorder.words()


def test_who_was_seen_within_the_period_keeps_everything(apply, ids, database):
    database.execute("UPDATE patient SET registered_at = %s", (NOW - timedelta(days=365),))

    assert apply().apply() == []
    assert count(database, "observation") == 6


def test_whole_record_is_proposed_once_and_a_person_decides(apply, rooms, ids, database):
    for _ in range(2):
        assert apply(Policy()).apply() == []
    asked = rooms[1].list_deletions(AUDITOR)

    assert {one.patient_id for one in asked} == {ids["p"], ids["q"]}
    assert {one.requested_by for one in asked} == {PROPOSER}
    assert count(database, "patient") == 3
    for one in asked:
        rooms[1].decide(AUDITOR, one.deletion_id, approved=one.patient_id == ids["p"])
    apply(Policy()).apply()
    assert len(rooms[1].list_deletions(AUDITOR)) == 2
    assert database.execute("SELECT patient_id FROM patient").fetchall() == [(ids["q"],)]


def test_second_run_finds_nothing_and_a_removal_cannot_be_erased(apply, ids, database):
    assert len(apply().apply()) == 2
    assert apply().apply() == []
    with pytest.raises(Exception, match="append-only"):
        database.execute("DELETE FROM removal")


def test_without_an_entry_nothing_is_removed(apply, ids, database, recorder, monkeypatch):
    def refuse():
        raise AuditUnavailable

    monkeypatch.setattr(recorder, "begin", lambda *_acts: refuse)
    add_log(database, NOW - timedelta(days=200))
    with pytest.raises(AuditUnavailable):
        apply().apply()

    assert (count(database, "dead_letter"), count(database, "removal")) == (1, 0)


def test_record_that_fails_stays_and_stops_no_other(apply, ids, database):
    """The first person of the night has a row that cannot be read."""
    first, second = sorted((ids["p"], ids["q"]))
    srcs = {ids["p"]: "s-p", ids["q"]: "s-q"}
    database.execute("UPDATE observation SET stored_at = 'infinity' WHERE src = %s", (srcs[first],))
    with capture_logs() as logs:
        removed = apply().apply()

    assert {one.patient_id for one in removed} == {second}
    assert database.execute("SELECT count(*) FROM observation WHERE src = %s", (srcs[first],)).fetchone() == (
        2,
    )
    failed = [entry for entry in logs if entry["event"] == "retention_failed"]
    assert failed == [
        {"event": "retention_failed", "log_level": "error", "patient": first, "error": "DataError"}
    ]


def test_sensor_that_fails_stops_no_other(apply, ids, database):
    for src in ("s-p", "s-q"):
        add_wave(database, src, LONG_AGO)
    add_log(database, NOW - timedelta(days=185))
    database.execute("UPDATE wave_block SET stored_at = 'infinity' WHERE src = 's-p'")
    with capture_logs() as logs:
        apply(POLICY).apply()

    assert database.execute("SELECT src FROM wave_block").fetchall() == [("s-p",)]
    assert count(database, "dead_letter") == 0
    failed = [entry for entry in logs if entry["event"] == "retention_failed"]
    assert [entry.get("part") or entry.get("patient") for entry in failed] == ["s-p", ids["p"]]


@pytest.mark.parametrize(
    "begin",
    [
        lambda connection: queries.lock_group(
            connection, [], measured=queries.Measured(series=choose_series(connection), waves=WAVES)
        ),
        lambda connection: queries.remove_old(connection, Kind.SIGN_INS, before=NOW, limit=1),
    ],
    ids=["a person", "what is old"],
)
def test_deletion_may_take_as_long_as_it_takes(database, begin):
    shown = "SELECT current_setting('statement_timeout')"
    database.execute("SET statement_timeout = '30s'")
    with database.transaction():
        begin(database)
        assert database.execute(shown).fetchone() == ("0",)
    assert database.execute(shown).fetchone() == ("30s",)


async def test_it_runs_at_its_hour_and_never_without_one(apply, ids, database, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("cloud.retention.stream.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await apply(hour=3).run()
    await apply(hour=None).run()

    assert slept == [15 * 3600, 15 * 3600]
    assert count(database, "removal") == 2


def test_command_removes_and_leaves_an_entry(ids, database, database_url, tmp_path, monkeypatch, capsys):
    path = tmp_path / "policy.toml"
    path.write_text("[sensitive]\noutpatient = 60\ninpatient = 60\n")
    for name, value in (
        ("DATABASE_URL", database_url),
        ("RETENTION_FILE", str(path)),
        ("HOME", str(tmp_path)),
    ):
        monkeypatch.setenv(f"QIANLI_{name}", value)
    assert main(["retention", "apply"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["removed"] == {"observation": 3}
    found = database.execute("SELECT count(*) FROM audit_entry WHERE action = 'remove_old'").fetchone()
    assert found == (4,)

    path.write_text("sign_in_days = 30")
    assert main(["retention", "policy"]) == 1
    assert "网络安全法" in capsys.readouterr().err


def test_decision_still_waits_for_the_longest_period(rooms, ids, database):
    rooms[1]._policy = POLICY
    with pytest.raises(DeletionRefused, match=f"kept until {LONG_AGO.year + 60}"):
        rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
