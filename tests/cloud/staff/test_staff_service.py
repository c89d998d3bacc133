from datetime import UTC, date, datetime, time, timedelta

import pytest

from cloud.act import AuditUnavailable
from cloud.identity.model import Role
from cloud.staff.model import (
    Licence,
    LicenceKind,
    PractitionerKind,
    Shift,
    SigningRefusal,
    StaffInvalid,
    StaffTaken,
    StaffUnknown,
    TeamPlace,
)
from cloud.staff.service import DutyPattern
from tests.cloud.people.conftest import NOW
from tests.cloud.places.conftest import ADMINISTRATOR, BELOW, DOCTOR, STRANGER, lay, ward_room_bed
from tests.cloud.staff.conftest import form_team, hire

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

HOUR = timedelta(hours=1)
STANDING = (NOW, None)
SITE = TeamPlace(site_id="site-county", location_id=None)
NUMBER = "110330102000001"
LICENCE = Licence(
    kind=LicenceKind.PHYSICIAN, issuer="x", valid_from=date(2026, 1, 1), valid_until=date(2027, 1, 1)
)


def on_duty(staff, location):
    return {(one.person_id, one.location_id) for one in staff.on_duty_at(DOCTOR, location)}


def test_licence_lets_sign_until_it_is_revoked_and_its_number_lies_sealed(staff, clock, database):
    doctor = hire(staff)
    assert staff.may_sign(doctor, at=NOW).refusal is SigningRefusal.NO_LICENCE
    record = staff.add_qualification(ADMINISTRATOR, doctor, licence=LICENCE, number=NUMBER)

    assert record.may_sign.is_allowed
    assert record.numbers == ("***********0001",)
    stored = database.execute("SELECT sealed_number FROM qualification").fetchone()[0]
    assert NUMBER.encode() not in stored
    clock.now += HOUR
    number = record.qualifications[0].qualification_id
    revoked = staff.revoke_qualification(ADMINISTRATOR, doctor, qualification_id=number)
    assert revoked.may_sign.refusal is SigningRefusal.LICENCE_REVOKED
    assert staff.may_sign(doctor, at=NOW).is_allowed
    assert staff.may_sign("person-none", at=NOW).refusal is SigningRefusal.NO_ROLE


def test_licence_of_somebody_else_is_not_revoked(staff):
    one, two = hire(staff), hire(staff)
    record = staff.add_qualification(ADMINISTRATOR, one, licence=LICENCE, number=NUMBER)
    number = record.qualifications[0].qualification_id
    with pytest.raises(StaffUnknown):
        staff.revoke_qualification(ADMINISTRATOR, two, qualification_id=number)


def test_what_is_beyond_reach_is_unknown(staff):
    doctor, team = hire(staff), form_team(staff)
    theirs = hire(staff, at="stranger", subject=STRANGER)
    below = hire(staff, at="town-a")
    for attempt in (
        lambda: staff.read_practitioner(BELOW, doctor),
        lambda: staff.begin_role(BELOW, below, organisation_id="county", kind=PractitionerKind.NURSE),
        lambda: staff.create_account(BELOW, doctor, name="doctor", role=Role.CLINICIAN),
        lambda: staff.read_team(BELOW, team),
        lambda: staff.add_duty(ADMINISTRATOR, team, person_id=theirs, during=STANDING),
        lambda: staff.add_place(ADMINISTRATOR, team, TeamPlace(site_id="site-stranger", location_id=None)),
        lambda: staff.list_teams(BELOW, "county"),
        lambda: staff.list_practitioners(BELOW, "nowhere"),
    ):
        with pytest.raises(StaffUnknown):
            attempt()
    assert staff.read_practitioner(BELOW, below).practitioner.person_id == below


def test_role_twice_at_a_time_is_refused(staff):
    with pytest.raises(StaffTaken, match="already"):
        staff.begin_role(
            ADMINISTRATOR, hire(staff), organisation_id="county", kind=PractitionerKind.PHYSICIAN
        )


def test_duty_is_for_the_bed_its_room_its_ward_and_its_site(staff, places):
    ward, room, bed = ward_room_bed(places)
    expected = set()
    for location in (None, ward, room, bed):
        team = form_team(staff, TeamPlace(site_id="site-county", location_id=location))
        person = hire(staff)
        staff.add_duty(ADMINISTRATOR, team, person_id=person, during=STANDING)
        expected.add((person, location))

    assert on_duty(staff, bed) == expected
    assert {place for _, place in on_duty(staff, ward)} == {None, ward}


def test_nearest_place_of_a_team_is_told_once(staff, places):
    ward, room, bed = ward_room_bed(places)
    team = form_team(
        staff, SITE, *(TeamPlace(site_id="site-county", location_id=one) for one in (ward, room))
    )
    person = hire(staff)
    staff.add_duty(ADMINISTRATOR, team, person_id=person, during=STANDING)

    assert on_duty(staff, bed) == {(person, room)}


def test_duty_holds_from_its_first_moment_to_before_its_last(staff, places, clock):
    _, _, bed = ward_room_bed(places)
    team, person = form_team(staff, SITE), hire(staff)
    staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW, NOW + HOUR))
    seen = []
    for at in (NOW - HOUR, NOW, NOW + HOUR - timedelta(microseconds=1), NOW + HOUR):
        clock.now = at
        seen.append(bool(on_duty(staff, bed)))

    assert seen == [False, True, True, False]


def test_closed_team_and_removed_place_are_looked_after_no_longer(staff, places):
    _, _, bed = ward_room_bed(places)
    person = hire(staff)
    teams = [form_team(staff, SITE) for _ in range(2)]
    for team in teams:
        staff.add_duty(ADMINISTRATOR, team, person_id=person, during=STANDING)
    staff.close_team(ADMINISTRATOR, teams[0])
    assert len(staff.on_duty_at(DOCTOR, bed)) == 1
    staff.remove_place(ADMINISTRATOR, teams[1], SITE)

    assert on_duty(staff, bed) == set()


def test_overlapping_duty_is_refused_and_says_with_which(staff):
    team, person = form_team(staff, SITE), hire(staff)
    staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW, NOW + HOUR))
    with pytest.raises(StaffTaken, match="from 2026-11-25T04:00Z to 2026-11-25T05:00Z"):
        staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW + HOUR / 2, None))
    staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW + HOUR, None))


def test_pattern_makes_duties_in_the_sites_zone_all_or_none(staff, database):
    database.execute("UPDATE site SET zone = 'Asia/Urumqi' WHERE site_id = 'site-county'")
    team, person = form_team(staff, SITE), hire(staff)
    nights = tuple(Shift(weekday=day, begins=time(20), ends=time(8)) for day in range(7))
    pattern = DutyPattern(person_id=person, shifts=nights, first=date(2026, 11, 30), last=date(2026, 12, 13))
    assert staff.add_pattern(ADMINISTRATOR, team, pattern) == 14
    with pytest.raises(StaffTaken, match="already from 2026-11-30T14:00Z to 2026-12-01T02:00Z"):
        staff.add_pattern(ADMINISTRATOR, team, pattern)

    span = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    duties = staff.list_duties(ADMINISTRATOR, team, span=span)
    assert len(duties) == 14
    assert duties[-1].ends_at == datetime(2026, 12, 14, 2, 0, tzinfo=UTC)


def test_duty_needs_a_role_at_the_teams_organisation_or_above(staff):
    above, below = hire(staff), hire(staff, at="town-a")
    team = form_team(staff, at="town-a")
    staff.add_duty(ADMINISTRATOR, team, person_id=above, during=STANDING)
    with pytest.raises(StaffInvalid, match="no role"):
        staff.add_duty(ADMINISTRATOR, form_team(staff, at="town-b"), person_id=below, during=STANDING)


def test_duties_end_with_the_last_role_that_covers_them(staff, clock, database):
    person = hire(staff)
    record = staff.begin_role(
        ADMINISTRATOR, person, organisation_id="town-a", kind=PractitionerKind.FAMILY_DOCTOR
    )
    teams = form_team(staff, SITE), form_team(staff, at="town-a")
    for team in teams:
        for during in ((NOW, NOW + 2 * HOUR), (NOW + 9 * HOUR, None)):
            staff.add_duty(ADMINISTRATOR, team, person_id=person, during=during)
    clock.now += HOUR
    staff.end_role(ADMINISTRATOR, person, role_id=record.practitioner.roles[0].role_id)

    kept = database.execute("SELECT team_id, upper(during) FROM duty ORDER BY duty_id").fetchall()
    assert kept == [(teams[0], NOW + HOUR), (teams[1], NOW + 2 * HOUR), (teams[1], None)]


def test_duty_that_runs_ends_and_one_to_come_is_struck_out(staff, clock):
    team, person = form_team(staff, SITE), hire(staff)
    runs = staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW, NOW + 3 * HOUR))
    comes = staff.add_duty(ADMINISTRATOR, team, person_id=person, during=(NOW + 4 * HOUR, None))
    clock.now += HOUR
    for duty in (runs, runs, comes):
        staff.end_duty(ADMINISTRATOR, duty.duty_id)

    (left,) = staff.list_duties(ADMINISTRATOR, team, span=(NOW, NOW + 99 * HOUR))
    assert left.ends_at == clock.now


def test_account_is_for_what_somebody_works_as(staff):
    person = hire(staff, PractitionerKind.NURSE)
    for role in (Role.CLINICIAN, Role.ADMINISTRATOR, Role.SYSTEM, Role.RESIDENT):
        with pytest.raises(StaffInvalid, match="role"):
            staff.create_account(ADMINISTRATOR, person, name="nurse-1", role=role)
    staff.create_account(ADMINISTRATOR, person, name="Nurse-1", role=Role.NURSE)
    with pytest.raises(StaffTaken, match="taken"):
        staff.create_account(ADMINISTRATOR, person, name="nurse-1", role=Role.NURSE)
    assert [one.name for one in staff.list_accounts(ADMINISTRATOR, "county")] == ["nurse-1"]


def test_who_is_on_duty_for_a_patient_is_recorded(staff, places, recorder, database):
    _, _, bed = ward_room_bed(places)
    lay(database, "p-1", bed, at=NOW)
    database.execute(
        "INSERT INTO care_relation (kind, patient_id, person_id, during, origin) "
        "VALUES ('care', 'p-1', %s, tstzrange('2020-01-01', NULL), 'test')",
        (DOCTOR.person,),
    )
    team, person = form_team(staff, SITE), hire(staff)
    staff.add_duty(ADMINISTRATOR, team, person_id=person, during=STANDING)
    recorder.acts.clear()

    assert [one.person_id for one in staff.on_duty_for(DOCTOR, "p-1")] == [person]
    assert recorder.words() == [("find_on_duty", "p-1")]
    for patient in ("p-theirs", "p-none"):
        with pytest.raises(StaffUnknown):
            staff.on_duty_for(DOCTOR, patient)


def test_without_audit_nobody_gets_rights(staff, recorder, database):
    team, person = form_team(staff, SITE), hire(staff)
    recorder.is_away = True
    for attempt in (
        lambda: staff.add_duty(ADMINISTRATOR, team, person_id=person, during=STANDING),
        lambda: staff.create_account(ADMINISTRATOR, person, name="doctor", role=Role.CLINICIAN),
        lambda: staff.add_qualification(ADMINISTRATOR, person, licence=LICENCE, number=NUMBER),
        lambda: hire(staff),
    ):
        with pytest.raises(AuditUnavailable):
            attempt()
    counts = "SELECT count(*), (SELECT count(*) FROM account), (SELECT count(*) FROM qualification) FROM duty"
    assert database.execute(counts).fetchone() == (0, 0, 0)
