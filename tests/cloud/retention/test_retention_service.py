"""Whole records on a real database."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from msgspec import structs

from cloud.act import AuditUnavailable
from cloud.binding.service import BindingService
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Purpose
from cloud.retention import queries
from cloud.retention.model import (
    CareClass,
    DeletionRefused,
    ExportsBusy,
    LastContact,
    Policy,
    PolicyInvalid,
    RecordUnknown,
    Years,
)
from cloud.retention.routes import answer_refusal
from cloud.retention.service import FORMAT
from cloud.series.latest import read_latest
from cloud.store.connection import connect
from tests.cloud.binding.conftest import QuietWall
from tests.cloud.retention.conftest import AUDITOR, DOCTOR, KEY, LONG_AGO, NOW, NUMBERS, STRANGER, Clock
from tests.fixtures.stored import bring_together, stored_cells
from tests.fixtures.wire_messages import WireAgent, open_writer
from vitals.observation import SourceId
from vitals.wire.batch import to_ms

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def exported(retention, subject, patient_id):
    archive = zipfile.ZipFile(io.BytesIO(b"".join(retention.export(subject, patient_id))))
    return {name: archive.read(name) for name in archive.namelist()}


def rows(files, table):
    return [json.loads(line) for line in files[f"tables/{table}.jsonl"].splitlines()]


def test_export_holds_everything_of_the_person_and_nothing_of_others(rooms, ids):
    files = exported(rooms[1], DOCTOR, ids["was"])
    everything = b"".join(files.values())

    assert {row["patient_id"] for row in rows(files, "patient")} == {ids["p"], ids["was"]}
    assert [row["src"] for row in rows(files, "observation")] == ["s-p", "s-was"]
    assert ids["q"].encode() not in everything
    assert b"s-q" not in everything
    assert "sealed" not in rows(files, "person_identifier")[0]
    assert len(rows(files, "patient_merge")) == 1


def block(database, *, t0, shift="0"):
    """Ten seconds of a wave on the first person's sensor."""
    database.execute(
        "INSERT INTO wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, "
        "codec, samples, sent_at, stored_at, late, lane, s, clock_shift) VALUES ('s-p', 'ecg', "
        "extract(epoch FROM %s::timestamptz) * 1000000, 100, 1, 1000, 0, 1, '', now(), now(), false, "
        "'live', 1, %s)",
        (t0, shift),
    )


def value(database, *, s, shift):
    """One more value of the first person's sensor, `s` minutes after it was put on."""
    database.execute(
        "INSERT INTO observation (src, key, measured_at, value, unit, quality, received_at, sent_at, "
        "stored_at, late, lane, s, clock_shift) VALUES ('s-p', 'spo2', %s, 97, '%%', 'good', now(), now(), "
        "now(), false, 'live', %s, %s)",
        (LONG_AGO + timedelta(minutes=s), s, shift),
    )


def test_value_of_a_doubtful_time_is_nobodys_to_export_or_erase(rooms, ids, database):
    value(database, s=2, shift=None)
    value(database, s=3, shift=timedelta(hours=1))
    value(database, s=4, shift=timedelta(minutes=-30))
    value(database, s=5, shift=timedelta(minutes=1))
    assert [row["s"] for row in rows(exported(rooms[1], DOCTOR, ids["p"]), "observation")] == [1, 1, 5]
    asked_and_decided(rooms[1], ids["p"])

    left = database.execute("SELECT s FROM observation WHERE src = 's-p' ORDER BY s").fetchall()
    assert left == [(2,), (3,), (4,), (90,)]


@pytest.fixture(params=["messages", "hours"])
def beats(request, ids, database):
    """A beat a second from the end of the first person's hour into the next, when nobody wore the sensor."""
    database.execute("UPDATE source SET cadence = '{\"heart_rate\": 1}' WHERE src = 's-p'")
    sensor, first = WireAgent(src=SourceId("s-p")), LONG_AGO + timedelta(minutes=59, seconds=50)
    at = [first + timedelta(seconds=number) for number in range(20)]
    sent = [
        structs.replace(sensor.vitals(s, 60 + s, at=moment), received_at=moment)
        for s, moment in enumerate(at, 1)
    ]
    open_writer().write(database, sent, now=NOW)
    if request.param == "hours":
        bring_together(database, before_ms=to_ms(NOW))


def test_continuous_values_are_given_away_and_erased_to_the_second(rooms, ids, database, beats):
    given = rows(exported(rooms[1], DOCTOR, ids["p"]), "observation")
    assert [row["value"] for row in given if row["key"] == "heart_rate"] == list(range(61, 71))
    assert {tuple(row) for row in given} == {tuple(given[0])}
    _, tombstone = asked_and_decided(rooms[1], ids["p"])

    left = [cell["value"] for cell in stored_cells(database, "s-p") if cell["key"] == "heart_rate"]
    assert left == list(range(71, 81))
    assert tombstone.counts["observation"] == 12


def test_newest_value_of_a_person_is_erased_too(rooms, ids, database, beats):
    database.execute("UPDATE binding SET during = tstzrange(lower(during), lower(during) + '70 minutes')")
    asked_and_decided(rooms[1], ids["p"])
    (content,) = database.execute(
        "SELECT cells FROM latest JOIN source USING (src_no) WHERE src = 's-p'"
    ).fetchone()

    assert read_latest(content) == {}
    assert database.execute("SELECT count(*) FROM series_chunk").fetchone() == (0,)


@pytest.mark.timeout(30)
def test_deletion_does_not_wait_for_a_sensor_that_measures_others_now(
    rooms, ids, database, database_url, beats
):
    with connect(database_url) as writer, writer.transaction():
        writer.execute("SELECT FROM latest JOIN source USING (src_no) WHERE src = 's-p' FOR UPDATE OF latest")

        _, tombstone = asked_and_decided(rooms[1], ids["p"])

    assert tombstone.counts["observation"] == 12


def test_wave_that_ends_with_another_or_in_doubt_is_nobodys(rooms, ids, database):
    block(database, t0=LONG_AGO)
    block(database, t0=LONG_AGO + timedelta(minutes=59, seconds=55))
    block(database, t0=LONG_AGO + timedelta(minutes=10), shift="-11 minutes")
    block(database, t0=LONG_AGO + timedelta(minutes=20), shift="1 minute")
    found = rows(exported(rooms[1], DOCTOR, ids["p"]), "wave_block")
    _, tombstone = asked_and_decided(rooms[1], ids["p"])

    assert [(row["t0_us"] - int(LONG_AGO.timestamp()) * 10**6) // 60_000_000 for row in found] == [0, 20]
    assert tombstone.counts["wave_block"] == 2
    assert database.execute("SELECT count(*) FROM wave_block").fetchone() == (2,)


@pytest.mark.parametrize("up_to", ["general", "sensitive"])
def test_whole_record_is_given_to_whoever_sees_as_much(rooms, ids, database, recorder, up_to):
    database.execute("DELETE FROM care_relation")
    database.execute("INSERT INTO person VALUES ('doctor', 'own', '', '') ON CONFLICT DO NOTHING")
    database.execute(
        "INSERT INTO consent VALUES ('c', %s, 'patient', '', '', 'doctor', NULL, '{care}', %s, 't', 1, 'zh', "
        "sha256(''), '', tstzrange('2020-01-01', NULL))",
        (ids["p"], up_to),
    )
    if up_to == "general":
        with pytest.raises(NotAllowed):
            rooms[1].export(DOCTOR, ids["p"])
        assert recorder.acts == []
    else:
        rooms[1].export(DOCTOR, ids["p"])
        assert {act.basis for act in recorder.acts} == {"consent"}


def test_export_is_summed_and_signed(rooms, ids):
    files = exported(rooms[1], DOCTOR, ids["p"])
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    said = json.loads(files["signature.json"])

    assert sums == {
        name: sha256(content).hexdigest()
        for name, content in files.items()
        if name not in ("SHA256SUMS", "signature.json")
    }
    KEY.public_key().verify(bytes.fromhex(said["signature"]), FORMAT + files["SHA256SUMS"])


def test_export_is_a_fhir_bundle_and_a_page_too(rooms, ids):
    files = exported(rooms[1], DOCTOR, ids["p"])
    resources = [entry["resource"] for entry in json.loads(files["fhir.json"])["entry"]]

    assert [one["resourceType"] for one in resources] == ["Patient", "Observation", "Observation"]
    assert resources[0]["name"][0]["text"] == "张三<b>"
    assert resources[1]["valueQuantity"]["value"] == 97
    assert "张三&lt;b&gt;" in files["index.html"].decode()
    assert "<b>" not in files["index.html"].decode()


def test_numbers_are_open_to_the_person_only(rooms, ids):
    oneself = replace(DOCTOR, purpose=Purpose.SELF)

    assert NUMBERS["p"].encode() not in b"".join(exported(rooms[1], DOCTOR, ids["p"]).values())
    assert NUMBERS["p"].encode() in exported(rooms[1], oneself, ids["p"])["identifiers.jsonl"]


def test_export_is_recorded_before_anything_is_given(rooms, ids, recorder):
    recorder.is_away = True
    with pytest.raises(AuditUnavailable):
        rooms[1].export(DOCTOR, ids["p"])
    recorder.is_away = False
    rooms[1].export(DOCTOR, ids["p"])

    assert set(recorder.words()) == {("export_person", ids["p"]), ("export_person", ids["was"])}


@pytest.mark.parametrize("subject", [STRANGER, AUDITOR], ids=["other organisation", "no scope"])
def test_stranger_is_answered_like_nobody(rooms, ids, subject):
    for asked in (ids["p"], "p-none", "nul\0"):
        with pytest.raises(RecordUnknown):
            rooms[1].export(subject, asked)


def test_long_record_goes_out_in_pieces(rooms, ids, database):
    database.execute("UPDATE binding SET during = tstzrange(lower(during), lower(during) + '2 days')")
    database.execute(
        "INSERT INTO observation SELECT src, key, measured_at + n * interval '1 second', random(), unit, "
        "quality, flags, device_time, received_at, sent_at, stored_at, late, lane, s + n "
        "FROM observation, generate_series(10000, 40000) AS n WHERE src = 's-p' AND s = 1"
    )
    pieces = list(rooms[1].export(DOCTOR, ids["p"]))

    assert len(pieces) > 20
    assert max(map(len, pieces)) < 300_000


def asked_and_decided(retention, patient_id, *, by=AUDITOR, approved=True):
    asked = retention.request_deletion(DOCTOR, patient_id, reason="asked in writing")
    return asked, retention.decide(by, asked.deletion_id, approved=approved)


def test_deletion_leaves_nothing_but_a_tombstone(rooms, ids, database, recorder):
    people, retention = rooms
    _, tombstone = asked_and_decided(retention, ids["p"])

    tables = queries.find_personal_tables(database)
    group = [ids["p"], ids["was"]]
    assert len(tables) >= 6
    assert {queries.count_rows(database, name, where, group=group) for name, where in tables.items()} == {0}
    assert database.execute("SELECT count(*) FROM observation WHERE src IN ('s-p', 's-was')").fetchone() == (
        2,
    )
    assert (tombstone.counts["patient"], tombstone.counts["observation"], tombstone.counts["binding"]) == (
        2,
        2,
        2,
    )
    rows = sum(tombstone.counts.values())
    assert ("erase_person", f"1:{rows}:{tombstone.hash.hex()}") in recorder.words()
    assert people.resolve(DOCTOR, NUMBERS["p"], kind=None).found == ()


def test_deletion_touches_nobody_else(rooms, ids, database):
    before = exported(rooms[1], DOCTOR, ids["q"])
    asked_and_decided(rooms[1], ids["p"])

    after = exported(rooms[1], DOCTOR, ids["q"])
    assert {name: after[name] for name in after if name.startswith("tables/")} == {
        name: before[name] for name in before if name.startswith("tables/")
    }


@pytest.mark.parametrize(("bed", "years"), [("", 15), ("12", 30)], ids=["outpatient", "inpatient"])
def test_record_is_kept_as_long_as_the_law_says(rooms, ids, database, bed, years):
    """The last contact was the end of a binding, one hour into 2000 respectively 2015."""
    last = NOW.replace(year=NOW.year - years) + timedelta(days=1)
    database.execute("UPDATE patient SET bed = %s, registered_at = %s", (bed, last))

    with pytest.raises(DeletionRefused, match=rf"kept until {NOW.year}-11-26"):
        rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
    database.execute("UPDATE patient SET registered_at = %s", (last - timedelta(days=2),))
    assert rooms[1].request_deletion(DOCTOR, ids["p"], reason="x").deletion_id == 1


@pytest.fixture
def in_bed(rooms, ids, database, recorder):
    """`p` lay in a bed fifteen years and a month ago, and is discharged as the wards do it."""
    clock = Clock()
    clock.now = NOW - timedelta(days=15 * 365 + 34)
    database.execute(
        "INSERT INTO location (location_id, site_id, kind, code, name_zh, name_en) "
        "VALUES ('bed-1', 'own-1', 'bed', 'B1', '一', 'One')"
    )
    bindings = BindingService(rooms[1]._pool, recorder=recorder, wall=QuietWall(), clock=clock)
    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id=ids["p"])
    clock.now += timedelta(days=2)
    bindings.discharge(DOCTOR, ids["p"])
    return clock.now


def test_inpatient_record_stays_one_after_discharge(rooms, ids, database, in_bed):
    bed = database.execute("SELECT bed, location_id FROM patient WHERE patient_id = %s", (ids["p"],))
    assert bed.fetchone() == ("", None)
    with pytest.raises(DeletionRefused, match=f"inpatient records are kept until {in_bed.year + 30}"):
        rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
    assert rooms[1].request_deletion(DOCTOR, ids["q"], reason="x").deletion_id == 1


def test_stay_is_a_contact_for_the_night_too(ids, database, in_bed):
    def found(before):
        return {patient for patient, _ in queries.find_not_seen_since(database, SYSTEM, before)}

    assert found(in_bed) == {ids["q"]}
    assert found(in_bed + timedelta(days=1)) == {ids["q"], ids["p"]}
    assert queries.find_last_contact(database, SYSTEM, [ids["p"]]).at == in_bed


def test_third_export_at_a_time_is_refused_until_another_ends(rooms, ids, recorder):
    running = [rooms[1].export(DOCTOR, ids["p"]) for _ in range(2)]
    next(running[0])
    before = len(recorder.acts)
    with pytest.raises(ExportsBusy):
        rooms[1].export(DOCTOR, ids["q"])
    assert len(recorder.acts) == before
    while running:
        running.pop()  # a reader who goes away, one of them before the first piece
        assert zipfile.is_zipfile(io.BytesIO(b"".join(rooms[1].export(DOCTOR, ids["q"]))))


def test_export_without_its_entry_takes_no_turn(rooms, ids, recorder):
    recorder.is_away = True
    for _ in range(3):
        with pytest.raises(AuditUnavailable):
            rooms[1].export(DOCTOR, ids["p"])


def test_busy_export_is_told_to_come_again():
    answer = answer_refusal(None, ExportsBusy())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert b"try again" in answer.body


def test_contact_after_the_request_refuses_the_decision(rooms, ids, database):
    asked = rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
    database.execute("UPDATE patient SET registered_at = %s", (NOW,))

    with pytest.raises(DeletionRefused, match="kept until"):
        rooms[1].decide(AUDITOR, asked.deletion_id, approved=True)
    assert rooms[1].list_deletions(AUDITOR)[0].decided_at is None


def test_worn_sensor_refuses_deletion(rooms, ids, database):
    database.execute("UPDATE binding SET during = tstzrange(lower(during), NULL) WHERE src = 's-p'")

    with pytest.raises(DeletionRefused, match="kept until"):
        rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")


def test_rejected_request_deletes_nothing_and_is_decided_once(rooms, ids, database):
    asked, tombstone = asked_and_decided(rooms[1], ids["p"], approved=False)

    assert tombstone is None
    assert database.execute("SELECT count(*) FROM patient").fetchone() == (3,)
    with pytest.raises(DeletionRefused, match="decided already"):
        rooms[1].decide(AUDITOR, asked.deletion_id, approved=True)


def test_nobody_decides_alone_and_only_who_may(rooms, ids):
    asked = rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
    both = replace(AUDITOR, person=DOCTOR.person)

    with pytest.raises(DeletionRefused, match="one's own"):
        rooms[1].decide(both, asked.deletion_id, approved=True)
    with pytest.raises(NotAllowed):
        rooms[1].decide(DOCTOR, asked.deletion_id, approved=True)
    with pytest.raises(NotAllowed):
        rooms[1].request_deletion(AUDITOR, ids["p"], reason="x")
    with pytest.raises(RecordUnknown):
        rooms[1].decide(replace(AUDITOR, organisation="other"), asked.deletion_id, approved=True)
    with pytest.raises(DeletionRefused, match="waits"):
        rooms[1].request_deletion(DOCTOR, ids["was"], reason="x")


def test_without_its_entry_nothing_is_deleted(rooms, ids, database, recorder):
    asked = rooms[1].request_deletion(DOCTOR, ids["p"], reason="x")
    recorder.is_away = True

    with pytest.raises(AuditUnavailable):
        rooms[1].decide(AUDITOR, asked.deletion_id, approved=True)
    assert database.execute("SELECT count(*) FROM patient").fetchone() == (3,)
    assert database.execute("SELECT count(*) FROM tombstone").fetchone() == (0,)


def test_policy_may_be_longer_than_the_law_never_shorter():
    longer = Years(outpatient=20)
    assert Policy(general=longer, sensitive=longer, highly_sensitive=longer).general.outpatient == 20
    with pytest.raises(PolicyInvalid, match="29 is not between 30"):
        Policy(general=Years(inpatient=29))


def test_leap_day_ends_on_the_last_of_february():
    contact = LastContact(at=LONG_AGO.replace(year=2012, month=2, day=29), care=CareClass.OUTPATIENT)
    assert Policy().kept_until(contact) == LONG_AGO.replace(year=2027, month=2, day=28)
