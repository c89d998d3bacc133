"""Each right by itself, when it ends, and what it is no right to; in a real database."""

import itertools

import psycopg
import pytest

from cloud.identity.model import SYSTEM, Role, subject_of
from cloud.identity.queries import asked_by, find_sight, find_sights
from cloud.identity.sight import Basis, DataClass, Sight
from tests.cloud.rights.conftest import DAUGHTER, DOCTOR, NURSE, PATIENT, STRANGER, admit, relate
from tests.fixtures.duty import end_duty, put_on_duty

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

CLIENT = subject_of(person="his-system", role=Role.CLIENT, organisation="other")
ADMINISTRATOR = subject_of(person="doctor", role=Role.ADMINISTRATOR, organisation="own")


def rows(database, subject, patient):
    return sorted(
        database.execute(
            "SELECT basis, data_class "
            "FROM sight(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, now()) "
            "WHERE patient_id = %(patient)s",
            {**asked_by(subject), "patient": patient},
        ).fetchall()
    )


def may_see(database, subject, patient, *, hours_later=0):
    return database.execute(
        "SELECT may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, %(patient)s, "
        "now() + %(hours)s * interval '1 hour')",
        {**asked_by(subject), "patient": patient, "hours": hours_later},
    ).fetchone()[0]


def consent(database, *, person=None, organisation=None, up_to="general", purpose="care"):
    database.execute(
        "INSERT INTO consent (consent_id, patient_id, capacity, given_by, recorded_by, person_id, "
        "organisation_id, purposes, up_to, text_name, text_version, text_language, text_sha256, signature, "
        "during) VALUES ('c-1', 'p-1', 'patient', '', '', %s, %s, %s, %s, 't', 1, 'zh', sha256(''), '', "
        "tstzrange('2020-01-01', NULL))",
        (person, organisation, [purpose], up_to),
    )


def link(database, person, *, relation="family", grade="everything"):
    database.execute(
        "INSERT INTO family_link (link_id, relation, patient_id, person_id, grade, proof, code_hash, "
        "code_ends_at, during, made_by) VALUES ('l-1', %s, 'p-1', %s, %s, 'seen', sha256(''), now(), "
        "tstzrange('2020-01-01', NULL), '')",
        (relation, person, grade),
    )


def break_glass(database, person, organisation):
    database.execute(
        "INSERT INTO break_glass (break_glass_id, patient_id, person_id, role, organisation_id, category, "
        "reason, during) VALUES ('g-1', 'p-1', %s, 'clinician', %s, 'other', 'x', "
        "tstzrange(now(), now() + interval '1 hour'))",
        (person, organisation),
    )


GIVE = {
    Basis.DUTY: (DOCTOR, "sensitive", lambda db: put_on_duty(db, "doctor", site="ward-1")),
    Basis.CARE: (STRANGER, "highly_sensitive", lambda db: relate(db, "care", person="stranger")),
    Basis.ENCOUNTER: (NURSE, "sensitive", lambda db: relate(db, "encounter", person="nurse")),
    Basis.REFERRAL: (STRANGER, "sensitive", lambda db: relate(db, "referral", organisation="other")),
    Basis.CONSULTATION: (STRANGER, "sensitive", lambda db: relate(db, "consultation", person="stranger")),
    Basis.TRIP: (CLIENT, "sensitive", lambda db: relate(db, "trip", person="his-system")),
    Basis.CONSENT: (STRANGER, "general", lambda db: consent(db, organisation="other")),
    Basis.FAMILY: (DAUGHTER, "general", lambda db: link(db, "daughter", grade="numbers")),
    Basis.SELF: (PATIENT, "highly_sensitive", lambda db: link(db, PATIENT.person, relation="self")),
    Basis.BREAK_GLASS: (DOCTOR, "highly_sensitive", lambda db: break_glass(db, "doctor", "own")),
}


@pytest.mark.parametrize("basis", list(GIVE))
def test_each_right_shows_its_patient_up_to_its_class_and_nobody_else(hospitals, basis):
    subject, up_to, give = GIVE[basis]
    admit(hospitals, "p-2", site="ward-2")
    assert not may_see(hospitals, subject, "p-1")
    give(hospitals)

    assert rows(hospitals, subject, "p-1") == [(basis, up_to)]
    sight = Sight(basis=basis, up_to=DataClass(up_to))
    # A client's scopes come with its token; what it may see is asked here.
    assert find_sights(hospitals, subject, ["p-1", "p-2", "p-none"]) == (
        {} if subject is CLIENT else {"p-1": sight}
    )
    assert [may_see(hospitals, subject, patient) for patient in ("p-1", "p-2", "p-none")] == [
        True,
        False,
        False,
    ]


def test_every_basis_but_the_system_has_its_case():
    assert set(GIVE) == set(Basis) - {Basis.SYSTEM}


@pytest.mark.parametrize("basis", list(GIVE))
def test_right_is_the_persons_and_the_roles_own(hospitals, basis):
    subject, _, give = GIVE[basis]
    give(hospitals)
    roles = {role: subject_of(person=subject.person, role=role, organisation="own") for role in Role}
    in_other_roles = {role for role, other in roles.items() if may_see(hospitals, other, "p-1")}

    assert not in_other_roles & {Role.ADMINISTRATOR, Role.AUDITOR}
    assert (Role.RESIDENT in in_other_roles) is (subject.role is Role.RESIDENT)
    colleague = subject_of(person="colleague", role=subject.role, organisation="own")
    assert not may_see(hospitals, colleague, "p-1")


def test_system_sees_everybody_and_whoever_is_only_of_the_same_organisation_nobody(hospitals):
    assert set(find_sights(hospitals, SYSTEM, ["p-1", "p-far"])) == {"p-1", "p-far"}
    for subject in (DOCTOR, NURSE, ADMINISTRATOR, PATIENT):
        assert find_sights(hospitals, subject, ["p-1", "p-far"]) == {}


def test_duty_is_a_right_only_while_it_lasts(hospitals):
    put_on_duty(hospitals, "doctor", site="ward-1")
    assert may_see(hospitals, DOCTOR, "p-1")
    end_duty(hospitals, "doctor")

    assert not may_see(hospitals, DOCTOR, "p-1")
    put_on_duty(hospitals, "nurse", site="ward-1", since="2999-01-01")
    assert not may_see(hospitals, NURSE, "p-1")


def test_closed_team_has_nobody_on_duty(hospitals):
    put_on_duty(hospitals, "doctor", site="ward-1")
    hospitals.execute("UPDATE team SET closed_at = now()")

    assert not may_see(hospitals, DOCTOR, "p-1")


def location(database, name, kind, *, part_of=None):
    database.execute(
        "INSERT INTO location (location_id, site_id, kind, part_of, code, name_zh, name_en) "
        "VALUES (%s, 'ward-1', %s, %s, %s, '', '')",
        (name, kind, part_of, name),
    )


def test_duty_at_a_location_reaches_whatever_lies_in_it_and_follows_when_it_is_moved(hospitals):
    for ward in ("north", "south"):
        location(hospitals, ward, "ward")
    location(hospitals, "room", "room", part_of="north")
    location(hospitals, "bed", "bed", part_of="room")
    put_on_duty(hospitals, "doctor", site="ward-1", location="north")
    assert not may_see(hospitals, DOCTOR, "p-1")  # nowhere yet
    hospitals.execute("UPDATE patient SET location_id = 'bed' WHERE patient_id = 'p-1'")
    assert may_see(hospitals, DOCTOR, "p-1")

    hospitals.execute("UPDATE location SET part_of = 'south' WHERE location_id = 'room'")
    assert not may_see(hospitals, DOCTOR, "p-1")


def test_relation_that_ended_is_no_right(hospitals):
    relate(hospitals, "referral", organisation="other", until="2021-01-01")

    assert not may_see(hospitals, STRANGER, "p-1")


def test_consent_for_another_purpose_or_withdrawn_is_no_right(hospitals):
    consent(hospitals, organisation="other", purpose="operation")
    assert not may_see(hospitals, STRANGER, "p-1")
    assert may_see(hospitals, CLIENT, "p-1")

    hospitals.execute("UPDATE consent SET withdrawn_at = now(), withdrawn_by = 'x'")
    assert not may_see(hospitals, CLIENT, "p-1")


def test_family_that_is_only_told_sees_nothing(hospitals):
    link(hospitals, "daughter", grade="notices")

    assert not may_see(hospitals, DAUGHTER, "p-1")


def test_broken_glass_shows_for_an_hour(hospitals):
    break_glass(hospitals, "doctor", "own")

    assert [may_see(hospitals, DOCTOR, "p-1", hours_later=hours) for hours in (0, 0.9, 1.1)] == [
        True,
        True,
        False,
    ]


def test_several_rights_join_to_the_first_basis_and_the_widest_class(hospitals):
    for basis in (Basis.DUTY, Basis.BREAK_GLASS):
        GIVE[basis][2](hospitals)

    assert find_sight(hospitals, DOCTOR, "p-1") == Sight(basis=Basis.DUTY, up_to=DataClass.HIGHLY_SENSITIVE)


def merge(database, merged, survivor):
    database.execute(
        "INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) "
        "VALUES ('own', %s, %s, now(), 'x', 'x')",
        (merged, survivor),
    )


@pytest.mark.parametrize("known", ["p-1", "p-2", "p-3"])
def test_right_to_one_record_is_a_right_to_the_whole_person_until_it_is_separated(hospitals, known):
    for patient in ("p-2", "p-3", "p-4"):
        admit(hospitals, patient)
    merge(hospitals, "p-1", "p-2")
    merge(hospitals, "p-3", "p-2")
    relate(hospitals, "encounter", person="doctor", patient=known)
    everybody = ["p-1", "p-2", "p-3", "p-4"]
    together = {patient for patient in everybody if may_see(hospitals, DOCTOR, patient)}
    assert together == {"p-1", "p-2", "p-3"} == set(find_sights(hospitals, DOCTOR, everybody))
    assert all(rows(hospitals, DOCTOR, patient) for patient in together)

    hospitals.execute("UPDATE patient_merge SET unmerged_at = now(), unmerged_by = 'x', unmerge_reason = 'x'")
    assert {patient for patient in everybody if may_see(hospitals, DOCTOR, patient)} == {known}
    assert set(find_sights(hospitals, DOCTOR, everybody)) == {known}


def test_the_three_ways_to_ask_agree(hospitals):
    """`sight`, `sight_among` and `may_see` for everybody and every pair of rights, with a merge."""
    admit(hospitals, "p-2")
    merge(hospitals, "p-1", "p-2")
    for _, _, give in GIVE.values():
        if give not in (GIVE[Basis.SELF][2],):
            give(hospitals)
    for subject, patient in itertools.product((DOCTOR, NURSE, STRANGER, DAUGHTER), ("p-1", "p-2", "p-far")):
        found = find_sight(hospitals, subject, patient) is not None
        assert found is may_see(hospitals, subject, patient) is bool(rows(hospitals, subject, patient))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM consent",
        "UPDATE consent SET up_to = 'highly_sensitive'",
        "DELETE FROM break_glass",
        "UPDATE break_glass SET reason = 'other'",
    ],
)
def test_record_of_a_right_is_neither_deleted_nor_rewritten(hospitals, statement):
    consent(hospitals, organisation="other")
    break_glass(hospitals, "doctor", "own")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hospitals.execute(statement)
