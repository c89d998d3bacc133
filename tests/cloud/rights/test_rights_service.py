"""Consent, family and emergencies on a real database, with a notebook for an audit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cloud.act import AuditUnavailable, Outcome
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Purpose
from cloud.identity.queries import find_sight
from cloud.identity.sight import Basis, DataClass, Sight
from cloud.rights.model import (
    AccountThere,
    Capacity,
    Category,
    Grade,
    Grantee,
    NewConsent,
    NewLink,
    NoticeKind,
    PersonNotThere,
    Relation,
    RightEnded,
    RightInvalid,
    SignatureState,
    TypedNumber,
    Verdict,
)
from cloud.rights.service import EncounterBook
from tests.cloud.rights.conftest import (
    AUDITOR,
    DAUGHTER,
    DOCTOR,
    FOREIGN_AUDITOR,
    KNOWN,
    NURSE,
    PATIENT,
    REASON,
    STRANGER,
    admit,
    link_account,
    relate,
)
from tests.fixtures.duty import put_on_duty

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def new_consent(**changes):
    fields = {
        "patient_id": "p-1",
        "capacity": Capacity.PATIENT,
        "to": Grantee(organisation_id="other"),
        "purposes": (Purpose.CARE,),
        "up_to": DataClass.SENSITIVE,
        "text_name": "share-for-care",
        "text_version": 1,
        "text_language": "zh",
    }
    return NewConsent(**fields | changes)


def family(grade, patient="p-1", **changes):
    return NewLink(relation=Relation.FAMILY, patient_id=patient, grade=grade, **changes)


def test_encounter_lasts_twelve_hours_and_is_not_begun_twice(hospitals):
    for _ in range(2):
        EncounterBook().open(hospitals, NURSE, "p-1")
    EncounterBook().open(hospitals, AUDITOR, "p-1")
    found = hospitals.execute(
        "SELECT person_id, kind, upper(during) - lower(during) FROM care_relation"
    ).fetchall()

    assert found == [("nurse", "encounter", timedelta(hours=12))]


def test_consent_lets_the_other_hospital_see_until_it_is_withdrawn(rights, hospitals, notebook):
    link_account(rights, hospitals, PATIENT)
    consent = rights.give_consent(PATIENT, new_consent())
    assert (consent.given_by, consent.recorded_by) == (PATIENT.person, PATIENT.person)
    assert find_sight(hospitals, STRANGER, "p-1") == Sight(basis=Basis.CONSENT, up_to=DataClass.SENSITIVE)
    rights.withdraw_consent(PATIENT, consent.consent_id)

    assert find_sight(hospitals, STRANGER, "p-1") is None
    with pytest.raises(RightEnded):
        rights.withdraw_consent(PATIENT, consent.consent_id)
    (kept,) = rights.own_consents(PATIENT).things
    assert kept.withdrawn_by == PATIENT.person
    assert ("withdraw_consent", "p-1", "self") in notebook.words()


def test_consent_on_paper_keeps_the_hash_of_its_words_and_is_signed_by_its_witness(hospitals, rights):
    relate(hospitals, "care", person="nurse")
    consent = rights.give_consent(NURSE, new_consent())
    (text,) = [one for one in rights.consent_texts() if one.language == "zh"]

    assert consent.text_sha256 == text.sha256
    assert (consent.given_by, consent.state) == ("", SignatureState.SIGNED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text_version": 99}, "text"),
        ({"text_name": "other"}, "text"),
        ({"to": Grantee(person_id="nobody")}, "to"),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "until"),
        ({"capacity": Capacity.GUARDIAN}, "capacity"),
    ],
    ids=["old text", "no text", "nobody", "over", "not the guardian"],
)
def test_consent_that_cannot_be_names_its_field(rights, hospitals, changes, field):
    link_account(rights, hospitals, PATIENT)
    with pytest.raises(RightInvalid) as refused:
        rights.give_consent(PATIENT, new_consent(**changes))

    assert refused.value.field == field


@pytest.mark.parametrize("kind", ["encounter", "referral", "consultation", "trip", "consent", "break_glass"])
def test_right_that_is_taken_or_ends_by_itself_gives_none_to_others(rights, hospitals, kind):
    if kind == "break_glass":
        break_it(rights)
    elif kind == "consent":
        link_account(rights, hospitals, PATIENT)
        rights.give_consent(PATIENT, new_consent(to=Grantee(person_id="doctor")))
    else:
        relate(hospitals, kind, person="doctor")
    assert find_sight(hospitals, DOCTOR, "p-1") is not None

    with pytest.raises(NotAllowed):
        rights.give_consent(DOCTOR, new_consent(up_to=DataClass.GENERAL))
    with pytest.raises(NotAllowed):
        rights.invite(DOCTOR, OWN)


def test_emergency_beside_a_duty_widens_no_consent(rights, hospitals):
    put_on_duty(hospitals, "doctor", site="ward-1")
    break_it(rights)
    with pytest.raises(RightInvalid) as refused:
        rights.give_consent(DOCTOR, new_consent(up_to=DataClass.HIGHLY_SENSITIVE))

    assert refused.value.field == "up_to"
    assert rights.give_consent(DOCTOR, new_consent()).up_to is DataClass.SENSITIVE


@pytest.mark.parametrize(
    "to", [Grantee(person_id="doctor"), Grantee(organisation_id="own")], ids=["oneself", "own hospital"]
)
def test_nobody_records_a_consent_to_the_own_side(rights, hospitals, to):
    put_on_duty(hospitals, "doctor", site="ward-1")
    with pytest.raises(RightInvalid) as refused:
        rights.give_consent(DOCTOR, new_consent(to=to))

    assert refused.value.field == "to"


def test_patient_is_told_of_a_consent_that_staff_recorded(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    own = rights.give_consent(PATIENT, new_consent())
    recorded = rights.give_consent(NURSE, new_consent())
    found = rights.notices(PATIENT)

    assert [notice.kind for notice in found.things] == [NoticeKind.CONSENT_RECORDED]
    assert own.consent_id != recorded.consent_id == found.things[0].about.consent_id
    assert found.names.people["nurse"] == ("nurse 中文", "nurse")
    assert found.names.organisations["other"] == ("other院", "other")


def test_asking_again_for_notices_that_are_known_records_nothing(rights, hospitals, notebook):
    link_account(rights, hospitals, PATIENT)
    break_it(rights)
    (known,) = rights.notices(PATIENT).things
    notebook.acts.clear()

    assert rights.notices(PATIENT, after=known.notice_id).things == ()
    assert notebook.acts == []
    break_it(rights)
    (newer,) = rights.notices(PATIENT, after=known.notice_id).things
    assert newer.notice_id > known.notice_id
    assert notebook.words()[-1] == ("read_notices", "p-1", "self")


def test_nobody_consents_for_a_patient_who_is_not_theirs(rights, hospitals):
    for subject in (DOCTOR, STRANGER, PATIENT, AUDITOR):
        with pytest.raises(PersonNotThere):
            rights.give_consent(subject, new_consent())


def test_family_is_linked_by_a_code_that_works_once(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    invitation = rights.invite(PATIENT, family(Grade.NUMBERS))
    code = invitation.code
    link = rights.accept(DAUGHTER, f" {code[:6]}-{code[6:]} ".lower(), known=KNOWN)

    assert (link.person_id, link.grade) == ("daughter", Grade.NUMBERS)
    assert find_sight(hospitals, DAUGHTER, "p-1") == Sight(basis=Basis.FAMILY, up_to=DataClass.GENERAL)
    with pytest.raises(PersonNotThere):
        rights.accept(PATIENT, code, known=KNOWN)
    assert code not in repr(invitation)


def test_account_that_does_not_know_the_patient_gets_nothing_for_a_code(rights, hospitals, notebook):
    relate(hospitals, "care", person="nurse")
    code = rights.invite(NURSE, OWN).code
    for _ in range(4):
        with pytest.raises(PersonNotThere):
            rights.accept(DAUGHTER, code, known="1957-01-01")
    assert rights.accept(PATIENT, code, known="19560304").person_id == PATIENT.person

    refused = [act for act in notebook.acts if act.outcome is Outcome.REFUSED]
    assert [(act.person, act.target.id) for act in refused] == [("daughter", "p-1")] * 4


def test_five_wrong_answers_end_a_code_for_accounts_too(rights, hospitals):
    relate(hospitals, "care", person="nurse")
    code = rights.invite(NURSE, OWN).code
    for known in [*["1957-01-01"] * 5, KNOWN]:
        with pytest.raises(PersonNotThere):
            rights.accept(PATIENT, code, known=known)

    link = hospitals.execute("SELECT wrong_tries, revoked_by FROM family_link").fetchone()
    assert link == (5, "wrong-tries")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE family_link SET code_ends_at = now() WHERE person_id IS NULL",
        "UPDATE family_link SET revoked_at = now(), revoked_by = 'x' WHERE person_id IS NULL",
    ],
    ids=["too old", "revoked"],
)
def test_code_that_is_over_is_like_one_that_never_was(rights, hospitals, change):
    link_account(rights, hospitals, PATIENT)
    code = rights.invite(PATIENT, family(Grade.EVERYTHING)).code
    hospitals.execute(change)

    with pytest.raises(PersonNotThere):
        rights.accept(DAUGHTER, code, known=KNOWN)


def test_family_sees_nothing_after_it_was_revoked_or_ended(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    soon = datetime.now(UTC) + timedelta(hours=1)
    code = rights.invite(PATIENT, family(Grade.EVERYTHING, ends_at=soon)).code
    link = rights.accept(DAUGHTER, code, known=KNOWN)
    later = hospitals.execute(
        "SELECT may_see('daughter', 'resident', 'own', 'p-1', now() + interval '2 hours')"
    ).fetchone()
    assert later == (False,)
    rights.revoke(PATIENT, link.link_id)

    assert find_sight(hospitals, DAUGHTER, "p-1") is None
    with pytest.raises(RightEnded):
        rights.revoke(PATIENT, link.link_id)


def test_family_may_give_itself_up_but_takes_nothing_from_others(rights, hospitals):
    own = link_account(rights, hospitals, PATIENT)
    link = rights.accept(DAUGHTER, rights.invite(PATIENT, family(Grade.EVERYTHING)).code, known=KNOWN)
    with pytest.raises(PersonNotThere):
        rights.revoke(DAUGHTER, own.link_id)
    with pytest.raises(PersonNotThere):
        rights.invite(DAUGHTER, family(Grade.EVERYTHING))
    rights.revoke(DAUGHTER, link.link_id)

    assert find_sight(hospitals, DAUGHTER, "p-1") is None
    assert [one.relation for one in rights.own_family(PATIENT).given] == [Relation.FAMILY, Relation.SELF]


def test_staff_link_accounts_and_only_the_patient_links_the_family(rights, hospitals):
    relate(hospitals, "care", person="nurse")
    link_account(rights, hospitals, PATIENT)
    with pytest.raises(NotAllowed):
        rights.invite(NURSE, family(Grade.EVERYTHING))
    own = NewLink(relation=Relation.SELF, patient_id="p-1", grade=Grade.EVERYTHING)
    with pytest.raises(NotAllowed):
        rights.invite(PATIENT, own)
    with pytest.raises(PersonNotThere):
        rights.invite(DOCTOR, own)


OWN = NewLink(relation=Relation.SELF, patient_id="p-1", grade=Grade.EVERYTHING)


def test_second_account_of_a_patient_needs_the_end_of_the_first(rights, hospitals):
    first = link_account(rights, hospitals, PATIENT)
    with pytest.raises(AccountThere):
        rights.invite(NURSE, OWN)

    rights.revoke(NURSE, first.link_id)
    assert rights.accept(DAUGHTER, rights.invite(NURSE, OWN).code, known=KNOWN).relation is Relation.SELF


def test_account_of_a_merged_record_is_the_patients_too(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    admit(hospitals, "p-2")
    relate(hospitals, "care", person="nurse", patient="p-2")
    hospitals.execute(
        "INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) "
        "VALUES ('own', 'p-1', 'p-2', now(), 'x', 'x')"
    )
    with pytest.raises(AccountThere):
        rights.invite(NURSE, replace(OWN, patient_id="p-2"))


def test_newer_code_for_the_patients_account_ends_the_older(rights, hospitals):
    relate(hospitals, "care", person="nurse")
    older, newer = rights.invite(NURSE, OWN), rights.invite(NURSE, OWN)

    with pytest.raises(PersonNotThere):
        rights.accept(PATIENT, older.code, known=KNOWN)
    assert rights.accept(PATIENT, newer.code, known=KNOWN).link_id == newer.link_id


def test_link_that_is_over_makes_room_for_another(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    hospitals.execute("UPDATE family_link SET during = tstzrange('2020-01-01', '2021-01-01')")
    assert rights.invite(NURSE, OWN).code


def test_invitations_at_once_leave_one_that_waits(rights, hospitals):
    relate(hospitals, "care", person="nurse")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: rights.invite(NURSE, OWN), range(8)))
    waiting = hospitals.execute("SELECT count(*) FROM family_link WHERE revoked_at IS NULL").fetchone()
    assert waiting == (1,)


def guardian(patient, proof="birth certificate no. 7"):
    return NewLink(relation=Relation.GUARDIAN, patient_id=patient, grade=Grade.EVERYTHING, proof=proof)


def test_guardian_acts_for_a_minor_until_the_eighteenth_birthday(rights, hospitals):
    born = date.today().replace(day=1) - timedelta(days=10 * 365)  # noqa: DTZ011 a day more or less is the same
    admit(hospitals, "child", born=born)
    relate(hospitals, "care", person="nurse", patient="child")
    code = rights.invite(NURSE, guardian("child")).code
    link = rights.accept(DAUGHTER, code, known=born.isoformat())
    assert link.ends_at == datetime(born.year + 18, born.month, born.day, tzinfo=UTC)
    consent = rights.give_consent(DAUGHTER, new_consent(patient_id="child", capacity=Capacity.GUARDIAN))

    assert consent.given_by == "daughter"
    assert find_sight(hospitals, STRANGER, "child") is not None


@pytest.mark.parametrize(
    ("born", "proof"),
    [(None, "birth certificate"), (date(1990, 1, 1), "birth certificate"), (date(2020, 1, 1), "seen")],
    ids=["age unknown", "of age", "no proof"],
)
def test_nobody_is_made_guardian_without_proof_or_of_an_adult(rights, hospitals, born, proof):
    admit(hospitals, "child", born=born)
    relate(hospitals, "care", person="nurse", patient="child")

    with pytest.raises(RightInvalid):
        rights.invite(NURSE, guardian("child", proof))


def break_it(rights, subject=DOCTOR, patient="p-1", reason=REASON):
    return rights.break_glass(subject, patient, category=Category.UNCONSCIOUS, reason=reason)


def test_broken_glass_shows_the_patient_and_tells_the_account_at_once(rights, hospitals, notebook):
    link_account(rights, hospitals, PATIENT)
    glass = break_it(rights)
    assert find_sight(hospitals, DOCTOR, "p-1").basis is Basis.BREAK_GLASS
    (notice,) = rights.notices(PATIENT).things

    assert (notice.kind, notice.about.reason) == (NoticeKind.BREAK_GLASS, REASON)
    told = hospitals.execute("SELECT told_at - written_at FROM patient_notice").fetchone()[0]
    assert timedelta(0) <= told <= timedelta(seconds=60)
    assert ("break_glass", "p-1", "break_glass") in notebook.words()
    assert glass.ends_at - glass.opened_at == timedelta(hours=1)


def test_family_that_is_only_told_is_told_of_a_broken_glass(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    rights.accept(DAUGHTER, rights.invite(PATIENT, family(Grade.NOTICES)).code, known=KNOWN)
    break_it(rights)

    assert [notice.patient_id for notice in rights.notices(DAUGHTER).things] == ["p-1"]
    assert rights.notices(STRANGER).things == ()


def test_without_its_entry_in_the_audit_the_glass_stays_whole(rights, hospitals, notebook):
    notebook.is_away = True
    with pytest.raises(AuditUnavailable):
        break_it(rights)

    assert find_sight(hospitals, DOCTOR, "p-1") is None
    assert hospitals.execute("SELECT count(*) FROM patient_notice").fetchone() == (0,)


@pytest.mark.parametrize(
    ("subject", "patient", "reason", "refusal"),
    [
        (DOCTOR, "p-1", "  quick   ", RightInvalid),
        (DOCTOR, "p-far", REASON, PersonNotThere),
        (DOCTOR, "p-none", REASON, PersonNotThere),
        (DOCTOR, "p-\x00", REASON, PersonNotThere),
        (AUDITOR, "p-1", REASON, NotAllowed),
        (PATIENT, "p-1", REASON, NotAllowed),
    ],
    ids=["no reason", "other hospital", "nobody", "no text", "auditor", "resident"],
)
def test_glass_is_not_broken_without_reason_right_or_patient(
    rights, subject, patient, reason, refusal
):  # fmt: skip
    with pytest.raises(refusal):
        break_it(rights, subject, patient, reason)


def test_whole_number_breaks_the_glass_at_every_hospital_that_knows_it(rights, hospitals):
    number = TypedNumber(kind="resident_id", text="330102199001010000", issuer="")
    broken = rights.break_glass_by_number(NURSE, number, category=Category.LIFE_THREAT, reason=REASON)

    assert [glass.patient_id for glass in broken] == ["p-1", "p-far"]
    assert find_sight(hospitals, NURSE, "p-far").basis is Basis.BREAK_GLASS
    assert "330102" not in repr(number)
    unknown = TypedNumber(kind="resident_id", text="1", issuer="")
    with pytest.raises(PersonNotThere):
        rights.break_glass_by_number(NURSE, unknown, category=Category.OTHER, reason=REASON)


def test_review_says_whether_it_was_in_order_and_tells_the_patient(rights, hospitals, notebook):
    link_account(rights, hospitals, PATIENT)
    glass = break_it(rights)
    found = rights.list_broken_glass(AUDITOR, is_reviewed=False)
    assert [one.break_glass_id for one in found.things] == [glass.break_glass_id]
    assert found.names.people["doctor"] == ("doctor 中文", "doctor")
    rights.review(AUDITOR, glass.break_glass_id, verdict=Verdict.NOT_JUSTIFIED, note="there was a colleague")

    assert rights.list_broken_glass(AUDITOR, is_reviewed=False).things == ()
    (reviewed,) = rights.list_broken_glass(AUDITOR, is_reviewed=True).things
    assert (reviewed.verdict, reviewed.reviewed_by) == (Verdict.NOT_JUSTIFIED, "auditor")
    kinds = [notice.kind for notice in rights.notices(PATIENT).things]
    assert kinds == [NoticeKind.BREAK_GLASS_REVIEWED, NoticeKind.BREAK_GLASS]
    with pytest.raises(RightEnded):
        rights.review(AUDITOR, glass.break_glass_id, verdict=Verdict.JUSTIFIED, note="changed my mind")


def test_auditor_of_another_hospital_finds_nothing_to_review(rights, hospitals):
    glass = break_it(rights)

    assert rights.list_broken_glass(FOREIGN_AUDITOR, is_reviewed=False).things == ()
    for subject in (FOREIGN_AUDITOR, DOCTOR):
        with pytest.raises(PersonNotThere):
            rights.review(subject, glass.break_glass_id, verdict=Verdict.JUSTIFIED, note="looks fine to me")


def test_review_is_overdue_after_three_days(rights, hospitals):
    glass = break_it(rights)

    assert not glass.is_overdue(glass.opened_at + timedelta(hours=71))
    assert glass.is_overdue(glass.opened_at + timedelta(hours=73))


def test_looks_are_asked_for_every_record_of_the_person(rights, hospitals, notebook):
    admit(hospitals, "p-2")
    link_account(rights, hospitals, PATIENT)
    hospitals.execute(
        "INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) "
        "VALUES ('own', 'p-1', 'p-2', now(), 'x', 'x')"
    )
    rights.own_looks(PATIENT, before=7, limit=5)
    rights.looks_at(NURSE, "p-2", before=None, limit=9)

    assert notebook.asked == [(["p-1", "p-2"], 7, 5), (["p-1", "p-2"], None, 9)]
    with pytest.raises(PersonNotThere):
        rights.looks_at(DOCTOR, "p-2", before=None, limit=9)
