from dataclasses import replace
from datetime import timedelta

import pytest

from cloud.act import AuditUnavailable
from cloud.binding.model import BindingOrigin, BindingRefused, BindingUnknown, EndReason, Span
from cloud.identity.errors import NotAllowed
from tests.cloud.binding.conftest import ADMINISTRATOR, CLIP, CUFF, DOCTOR, STRANGER, at, owned

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def intervals(database, src=CUFF):
    return database.execute(
        "SELECT patient_id, lower(during), upper(during), end_reason FROM binding WHERE src = %s "
        "ORDER BY lower(during)",
        (src,),
    ).fetchall()


def test_scan_hands_the_device_over_at_one_moment(bindings, hut, clock, recorder):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(30)
    made = bindings.begin_scanned(DOCTOR, f"qianli:device:{CUFF}", patient_id="p-2")

    assert intervals(hut) == [("p-1", at(0), at(30), "hand_over"), ("p-2", at(30), None, None)]
    assert (made.origin, made.begun_by, made.ends_at) == (BindingOrigin.SCAN, "doctor-1", None)
    assert recorder.words() == [
        ("begin_binding", f"{CUFF}:p-1"),
        ("end_binding", f"{CUFF}:p-1"),
        ("begin_binding", f"{CUFF}:p-2"),
    ]


def test_scanning_again_for_the_same_person_changes_nothing(bindings, hut, clock):
    first = bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(5)

    assert bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1") == first
    assert len(intervals(hut)) == 1


def test_two_changes_at_the_same_moment_follow_each_other(bindings, hut):
    for patient in ("p-1", "p-2", "p-1"):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id=patient)

    assert [row[0] for row in intervals(hut)] == ["p-1", "p-2", "p-1"]


@pytest.mark.parametrize(
    ("code", "patient", "subject"),
    [
        (CUFF, "p-x", DOCTOR),
        (CUFF, "nobody", DOCTOR),
        (CUFF, "p-\x00", DOCTOR),
        ("foreign", "p-1", DOCTOR),
        ("nothing\x00", "p-1", DOCTOR),
        (CUFF, "p-1", STRANGER),
    ],
    ids=["stranger", "nobody", "nul", "foreign device", "nul device", "other organisation"],
)
def test_foreign_people_and_devices_are_not_there(bindings, hut, code, patient, subject):
    with pytest.raises(BindingUnknown):
        bindings.begin_scanned(subject, code, patient_id=patient)
    assert intervals(hut) == []


def test_whoever_may_not_edit_binds_nothing(bindings):
    with pytest.raises(NotAllowed):
        bindings.begin_scanned(ADMINISTRATOR, CUFF, patient_id="p-1")


def test_without_an_entry_nothing_is_bound(bindings, hut, recorder):
    recorder.is_away = True
    with pytest.raises(AuditUnavailable):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")

    assert intervals(hut) == []


def test_end_says_who_and_why(bindings, clock):
    made = bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(60)
    ended = bindings.end(DOCTOR, made.binding_id, reason=EndReason.RETURNED)

    assert (ended.ends_at, ended.ended_by, ended.end_reason) == (at(60), "doctor-1", EndReason.RETURNED)
    with pytest.raises(BindingRefused):
        bindings.end(DOCTOR, made.binding_id, reason=EndReason.RETURNED)
    with pytest.raises(BindingUnknown):
        bindings.end(STRANGER, made.binding_id, reason=EndReason.RETURNED)


def test_binding_to_a_wrong_person_never_was(bindings, hut, clock, spool):
    made = bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    spool.read(120, second=10)
    clock.set(60)
    bindings.end(DOCTOR, made.binding_id, reason=EndReason.WRONG_PERSON)

    assert (intervals(hut), owned(hut, "p-1")) == ([], [])
    (correction,) = bindings.read(DOCTOR, "p-1").corrections
    assert (correction.from_patient, correction.to_patient, correction.ends_at) == ("p-1", None, at(60))


def test_discharge_ends_everything_at_one_moment_and_empties_the_bed(bindings, hut, clock, recorder):
    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-1")
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(90)
    ended = bindings.discharge(DOCTOR, "p-1")

    assert {(one.src, one.ends_at, one.end_reason) for one in ended} == {
        (CUFF, at(90), EndReason.DISCHARGE),
        (CLIP, at(90), EndReason.DISCHARGE),
    }
    assert hut.execute("SELECT bed, location_id FROM patient WHERE patient_id = 'p-1'").fetchone() == (
        "",
        None,
    )
    assert recorder.words()[-1] == ("discharge_patient", "p-1")
    assert bindings.discharge(DOCTOR, "p-1") == []


def test_devices_of_a_bed_belong_to_whoever_lies_there(bindings, hut, clock):
    (bound,) = bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-1")
    assert (bound.src, bound.origin, bound.origin_id) == (CLIP, BindingOrigin.BED, "bed-1")
    clock.set(10)
    with pytest.raises(BindingRefused):
        bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-2")
    bindings.discharge(DOCTOR, "p-1")
    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-2")
    clock.set(20)
    bindings.begin_in_bed(DOCTOR, "bed-2", patient_id="p-2")

    assert intervals(hut, CLIP) == [
        ("p-1", at(0), at(10), "discharge"),
        ("p-2", at(10), at(20), "moved"),
    ]
    beds = dict(hut.execute("SELECT patient_id, bed FROM patient WHERE site_id = 'hut'").fetchall())
    assert beds == {"p-1": "", "p-2": "B2", "p-3": ""}


def test_end_of_a_trip_ends_what_the_trip_bound_and_nothing_else(bindings, hut, clock):
    bindings.begin_for_trip(DOCTOR, "trip-7", patient_id="p-1", sources=[CUFF])
    bindings.begin_scanned(DOCTOR, CLIP, patient_id="p-1")
    clock.set(40)
    (ended,) = bindings.end_trip(DOCTOR, "trip-7")

    assert (ended.src, ended.end_reason) == (CUFF, EndReason.END_OF_TRIP)
    assert intervals(hut, CLIP) == [("p-1", at(0), None, None)]


def test_household_measures_for_its_first_member_and_another_claims_a_reading(bindings, hut, clock, spool):
    made = bindings.begin_for_household(DOCTOR, CUFF, members=["p-2", "p-1", "p-2"])
    for second, value in ((10, 120), (20, 140), (30, 125)):
        spool.read(value, second=second)
    clock.set(60)
    span = Span(src=CUFF, begins_at=at(20), ends_at=at(20))
    bindings.correct(DOCTOR, span, from_patient="p-2", to_patient="p-1", reason="my wife's")

    assert made.origin is BindingOrigin.HOUSEHOLD
    members = hut.execute("SELECT patient_id FROM household_member ORDER BY position").fetchall()
    assert members == [("p-2",), ("p-1",)]
    assert (owned(hut, "p-2"), owned(hut, "p-1")) == ([120, 125], [140])


def test_correction_stands_in_both_records_and_the_old_interval_is_split(bindings, hut, clock, recorder):
    made = bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(100)
    span = Span(src=CUFF, begins_at=at(20), ends_at=at(40))
    bindings.correct(DOCTOR, span, from_patient="p-1", to_patient="p-2", reason="mixed up")

    after = at(40) + timedelta(milliseconds=1)
    assert [row[:3] for row in intervals(hut)] == [
        ("p-1", at(0), at(20)),
        ("p-2", at(20), after),
        ("p-1", after, None),
    ]
    assert bindings.read(DOCTOR, "p-1").corrections == bindings.read(DOCTOR, "p-2").corrections
    assert ("correct_binding", f"{CUFF}:p-1") in recorder.words()
    assert ("correct_binding", f"{CUFF}:p-2") in recorder.words()
    assert bindings.end(DOCTOR, made.binding_id, reason=EndReason.RETURNED).begins_at == after


def test_current_binding_is_corrected_into_the_other_person_for_good(bindings, hut, clock):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    clock.set(100)
    span = Span(src=CUFF, begins_at=at(0), ends_at=None)
    bindings.correct(DOCTOR, span, from_patient="p-1", to_patient="p-2", reason="wrong scan")

    assert intervals(hut) == [("p-2", at(0), None, None)]


def test_correcting_what_the_person_never_had_is_refused(bindings):
    span = Span(src=CUFF, begins_at=at(-20), ends_at=at(-10))
    with pytest.raises(BindingUnknown):
        bindings.correct(DOCTOR, span, from_patient="p-1", to_patient="p-2", reason="mixed up")
    with pytest.raises(BindingRefused):
        bindings.correct(
            DOCTOR, replace(span, ends_at=at(999)), from_patient="p-1", to_patient=None, reason="future"
        )


def test_reading_ends_a_binding_that_was_made_for_one(bindings, hut, clock, spool):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1", is_once=True)
    spool.write([*spool.messages(141, second=70), *spool.messages(120, second=30)])
    clock.set(80)
    bindings.settle_once(CUFF)

    after = at(30) + timedelta(milliseconds=1)
    assert intervals(hut) == [("p-1", at(0), after, "reading_taken")]
    assert owned(hut, "p-1") == [120]


def test_binding_for_one_reading_waits_only_so_long(bindings, hut, spool):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1", is_once=True, lasts=timedelta(minutes=2))
    spool.read(150, second=121)
    bindings.settle_once(CUFF)

    assert intervals(hut) == [("p-1", at(0), at(120), "idle")]
    assert owned(hut, "p-1") == []


def test_devices_are_those_of_the_own_organisation_without_people(bindings):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")

    assert [(one.src, one.is_bound) for one in bindings.find_devices(ADMINISTRATOR)] == [
        (CUFF, True),
        (CLIP, False),
    ]
    assert [one.src for one in bindings.find_devices(STRANGER)] == ["foreign"]


def join(database, merged, *, into):
    database.execute(
        "INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) "
        "VALUES ('own', %s, %s, %s, 'doctor-1', 'the same person')",
        (merged, into, at(0)),
    )


def test_discharge_ends_what_the_joined_records_wear_and_empties_their_bed(bindings, hut, clock):
    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-1")
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    join(hut, "p-1", into="p-2")
    assert CUFF in {one.src for one in bindings.read(DOCTOR, "p-2").bindings}
    clock.set(60)

    ended = bindings.discharge(DOCTOR, "p-2")

    assert CUFF in {one.src for one in ended}
    assert intervals(hut) == [("p-1", at(0), at(60), "discharge")]
    assert bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-3") is not None


def test_joined_person_takes_the_bed_that_one_of_the_records_lies_in(bindings, hut, clock):
    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-1")
    join(hut, "p-1", into="p-2")
    clock.set(60)

    bindings.begin_in_bed(DOCTOR, "bed-1", patient_id="p-2")

    lying = hut.execute("SELECT patient_id FROM patient WHERE location_id = 'bed-1'").fetchall()
    assert lying == [("p-2",)]


def test_claim_of_what_a_joined_record_has_takes_nothing_away(bindings, hut, clock, spool):
    bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
    spool.read(120, second=10)
    join(hut, "p-1", into="p-2")
    clock.set(60)
    before = intervals(hut)

    bindings.claim(DOCTOR, Span(src=CUFF, begins_at=at(5), ends_at=at(20)), patient_id="p-2", reason="own")

    assert intervals(hut) == before


def test_putting_somebody_into_a_ward_takes_no_device_of_a_bed_with_its_number(bindings, hut):
    hut.execute(
        "INSERT INTO location (location_id, site_id, kind, code, name_zh, name_en) "
        "VALUES ('ward-b1', 'hut', 'ward', 'B1', '', '')"
    )
    bindings.begin_scanned(DOCTOR, CLIP, patient_id="p-1")

    bindings.begin_in_bed(DOCTOR, "ward-b1", patient_id="p-2")

    assert [row[0] for row in intervals(hut, CLIP)] == ["p-1"]
