import threading

import pytest

from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM
from cloud.people.model import (
    CandidateRule,
    IdentifierKeyLost,
    MergeRefused,
    MergeRule,
    NewPerson,
    Outcome,
    PersonInvalid,
    PersonUnknown,
    Registered,
    Sex,
    Standing,
    match_name,
)
from cloud.people.service import KEY_FILE, open_sealer
from tests.cloud.people.conftest import (
    ADMINISTRATOR,
    BORN,
    DOCTOR,
    STRANGER,
    dump,
    new_person,
    record_number,
    resident_number,
    typed,
)
from vitals.identifiers.identifier import IdentifierKind, InvalidReason

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NUMBER = resident_number(11)
CARD = "0123456789abcdef" * 4
EVERY_KIND = [
    (IdentifierKind.RESIDENT_ID, NUMBER, ""),
    (IdentifierKind.PASSPORT, "E12345678", "CHN"),
    (IdentifierKind.PASSPORT, "123456789", "GBR"),
    (IdentifierKind.HEALTH_CARD, f"{CARD}:1", ""),
    (IdentifierKind.INSURANCE, "A98765432", ""),
    (IdentifierKind.HOSPITAL_RECORD, "2026-0815", ""),
    (IdentifierKind.HOSPITAL_RECORD, "77", "county"),
]


def found_ids(resolution):
    return [one.person.patient_id for one in resolution.found]


def test_any_identifier_resolves_to_the_one_person(people):
    numbers = [typed(text, kind, issuer) for kind, text, issuer in EVERY_KIND]
    person = people.register(DOCTOR, new_person(*numbers)).record.person

    for kind, text, issuer in EVERY_KIND:
        resolution = people.resolve(DOCTOR, text, kind=kind, issuer=issuer)
        assert (resolution.outcome, found_ids(resolution)) == (Outcome.FOUND, [person.patient_id])


def test_scanned_number_needs_no_kind_where_its_structure_proves_it(people):
    number, card = typed(NUMBER), typed(CARD, IdentifierKind.HEALTH_CARD)
    person = people.register(DOCTOR, new_person(number, card)).record.person

    for text in (f" {NUMBER.lower()} ", f"{CARD}:0:now"):
        assert found_ids(people.resolve(DOCTOR, text)) == [person.patient_id]


def test_number_of_several_readings_is_never_opened_by_itself(people):
    record = people.register(DOCTOR, new_person(record_number("E12345678"))).record
    resolution = people.resolve(DOCTOR, "E12345678")

    assert resolution.outcome is Outcome.AMBIGUOUS
    assert found_ids(resolution) == [record.person.patient_id]
    assert len(resolution.readings) == 3
    chosen = people.resolve(DOCTOR, "E12345678", kind=IdentifierKind.PASSPORT, issuer="CHN")
    assert chosen.outcome is Outcome.NOT_THERE


def test_one_wrong_digit_offers_the_person_but_does_not_resolve(people):
    person = people.register(DOCTOR, new_person(typed(NUMBER))).record.person
    mistyped = NUMBER[:16] + str((int(NUMBER[16]) + 1) % 10) + NUMBER[17]
    resolution = people.resolve(DOCTOR, mistyped)

    assert (resolution.outcome, resolution.found) == (Outcome.INVALID, ())
    assert resolution.reason is InvalidReason.CHECK_CHARACTER
    assert [near.patient_id for near in resolution.near] == [person.patient_id]


def test_number_of_another_organisation_is_not_there(people):
    people.register(DOCTOR, new_person(typed(NUMBER)))
    mistyped = "2" + NUMBER[1:]
    unknown = people.resolve(STRANGER, resident_number(13))

    assert people.resolve(STRANGER, NUMBER).outcome is unknown.outcome is Outcome.NOT_THERE
    assert people.resolve(STRANGER, NUMBER).found == ()
    assert len(people.resolve(DOCTOR, mistyped).near) == 1
    assert people.resolve(STRANGER, mistyped).near == ()


@pytest.mark.parametrize(
    "ask",
    [
        lambda people, patient, mine: people.read(STRANGER, patient),
        lambda people, patient, mine: people.find_candidates(STRANGER, patient),
        lambda people, patient, mine: people.add_identifier(STRANGER, patient, record_number("1")),
        lambda people, patient, mine: people.merge(STRANGER, patient, into=mine, reason="r"),
        lambda people, patient, mine: people.merge(STRANGER, mine, into=patient, reason="r"),
        lambda people, patient, mine: people.unmerge(STRANGER, patient, reason="r"),
    ],
    ids=["read", "candidates", "add", "merge", "merge into", "unmerge"],
)
def test_person_of_another_organisation_is_not_there(people, database, ask):
    patient = people.register(DOCTOR, new_person(typed(NUMBER))).record.person.patient_id
    mine = people.register(STRANGER, new_person(name="王五", born=None)).record.person.patient_id
    before = dump(database)

    for patient_id in (patient, "p-nobody"):
        with pytest.raises(PersonUnknown, match="no such person"):
            ask(people, patient_id, mine)
    assert dump(database) == before


def test_two_organisations_know_the_same_person_without_noticing(people):
    own = people.register(DOCTOR, new_person(typed(NUMBER)))
    other = people.register(STRANGER, new_person(typed(NUMBER)))

    assert (other.outcome, other.candidates) == (Registered.CREATED, ())
    assert found_ids(people.resolve(STRANGER, NUMBER)) == [other.record.person.patient_id]
    assert found_ids(people.resolve(DOCTOR, NUMBER)) == [own.record.person.patient_id]


def test_who_may_not_read_finds_nobody_and_who_may_not_edit_changes_nothing(people):
    person = people.register(DOCTOR, new_person(typed(NUMBER))).record.person

    assert people.resolve(ADMINISTRATOR, NUMBER).outcome is Outcome.NOT_THERE
    with pytest.raises(PersonUnknown):
        people.read(ADMINISTRATOR, person.patient_id)
    for subject in (ADMINISTRATOR, SYSTEM):
        with pytest.raises(NotAllowed):
            people.register(subject, new_person())


def test_resident_number_tells_birth_date_and_sex(people):
    person = people.register(DOCTOR, new_person(typed(NUMBER), born=None)).record.person

    assert (person.birth_date, person.sex) == (BORN, Sex.MALE)


@pytest.mark.parametrize(
    ("new", "field", "reason"),
    [
        (new_person(name=" "), "name_zh", "a name is needed"),
        (new_person(typed(NUMBER), born=BORN.replace(day=2)), "birth_date", "tells another one"),
        (new_person(born=BORN.replace(year=2027)), "birth_date", "in the future"),
        (new_person(typed(NUMBER[:17])), "identifiers[0]", "length"),
        (new_person(typed(NUMBER), typed("x", IdentifierKind.PASSPORT)), "identifiers[1]", "issuer_missing"),
    ],
    ids=["name", "birth date", "future", "length", "issuer"],
)
def test_registration_that_cannot_be_names_the_field(people, new, field, reason):
    with pytest.raises(PersonInvalid, match=reason) as refused:
        people.register(DOCTOR, new)

    assert refused.value.field == field
    assert NUMBER not in str(refused.value)


def test_site_of_another_organisation_is_not_there(people):
    with pytest.raises(PersonUnknown):
        people.register(DOCTOR, new_person(site_id="ward-1"))


def test_person_who_is_there_is_not_created_again(people):
    first = people.register(DOCTOR, new_person(typed(NUMBER)))
    again = people.register(DOCTOR, new_person(typed(NUMBER), name="张 三"))

    assert again.outcome is Registered.ALREADY_THERE
    assert again.record == first.record


def test_registration_sent_twice_registers_once(people):
    new = new_person(record_number("1"), born=None, registration="hut-a-00000001")
    first = people.register(DOCTOR, new)
    again = people.register(DOCTOR, new)

    assert (first.outcome, again.outcome) == (Registered.CREATED, Registered.ALREADY_THERE)
    assert again.record == first.record


def test_unknown_people_get_running_numbers_of_their_site_and_day(people):
    records = [
        people.register(DOCTOR, NewPerson(is_unknown=True, site_id=site)).record
        for site in ("hut-a", "hut-a", "hut-b")
    ]

    shown = [record.identifiers[0].display for record in records]
    assert shown == ["UNK-HUT-A-20261125-001", "UNK-HUT-A-20261125-002", "UNK-HUT-B-20261125-001"]
    assert found_ids(people.resolve(DOCTOR, "无名氏-hut-a-20261125-002")) == [records[1].person.patient_id]
    assert records[0].person.name_zh == "无名氏"


def test_number_given_by_an_offline_site_is_not_given_twice(people):
    offline = typed("UNK-HUT-A-20261125-001", IdentifierKind.TEMPORARY)
    people.register(DOCTOR, new_person(offline, name="无名氏", born=None))
    record = people.register(DOCTOR, NewPerson(is_unknown=True)).record

    assert [one.display for one in record.identifiers] == ["UNK-HUT-A-20261125-002"]


def test_unknown_person_is_known_when_a_card_is_found(people):
    patient_id = people.register(DOCTOR, NewPerson(is_unknown=True)).record.person.patient_id
    record, standing = people.add_identifier(DOCTOR, patient_id, typed(NUMBER))

    assert (standing, record.person.birth_date, record.person.sex) == (Standing.HELD, BORN, Sex.MALE)
    assert found_ids(people.resolve(DOCTOR, NUMBER)) == [patient_id]


def test_added_number_may_not_contradict_the_birth_date(people):
    patient_id = people.register(DOCTOR, new_person(born=BORN.replace(day=2))).record.person.patient_id

    with pytest.raises(PersonInvalid, match="birth_date"):
        people.add_identifier(DOCTOR, patient_id, typed(NUMBER))


def test_same_number_added_twice_stands_once(people):
    patient_id = people.register(DOCTOR, new_person()).record.person.patient_id
    first = people.add_identifier(DOCTOR, patient_id, typed(NUMBER))

    assert people.add_identifier(DOCTOR, patient_id, typed(NUMBER.lower())) == first


def test_number_that_another_holds_is_a_claim_and_makes_a_candidate(people):
    holder = people.register(DOCTOR, new_person(record_number("4711"))).record.person
    other = people.register(DOCTOR, new_person(name="李四", born=None)).record.person
    record, standing = people.add_identifier(DOCTOR, other.patient_id, record_number("4711"))
    resolution = people.resolve(DOCTOR, "4711", kind=IdentifierKind.HOSPITAL_RECORD)

    assert (standing, record.identifiers[0].standing) == (Standing.CLAIMED, Standing.CLAIMED)
    assert [(one.person, one.claimed_too) for one in resolution.found] == [(holder, True)]
    for one, two in ((other, holder), (holder, other)):
        (candidate,) = people.find_candidates(DOCTOR, one.patient_id)
        assert (candidate.person, candidate.rules) == (two, (CandidateRule.SAME_IDENTIFIER,))


def test_same_name_and_birth_date_make_candidates(people):
    first = people.register(DOCTOR, new_person(record_number("1"), name="张·三")).record.person
    second = people.register(DOCTOR, new_person(record_number("9000"), name="张三"))
    people.register(DOCTOR, new_person(record_number("8888"), born=None))

    assert [(one.person, one.rules) for one in second.candidates] == [
        (first, (CandidateRule.SAME_NAME_AND_BIRTH_DATE,))
    ]


def test_neighbouring_record_numbers_are_candidates_only_with_the_same_name_or_birth_date(people):
    first = people.register(DOCTOR, new_person(record_number("10001"), born=None)).record.person
    people.register(DOCTOR, new_person(record_number("10002"), name="李四", born=None))
    third = people.register(DOCTOR, new_person(record_number("10003"), born=None))

    assert [(one.person, one.rules) for one in third.candidates] == [
        (first, (CandidateRule.ONE_WRONG_CHARACTER,))
    ]


def test_name_rule_of_the_database_is_that_of_the_model(people, database):
    for zh, en in (("张·三", ""), ("", "Zhang  SAN"), ("阿依•古丽 ", "x"), ("A・b c", "")):
        stored = people.register(DOCTOR, NewPerson(name_zh=zh, name_en=en)).record.person
        assert stored.match_name == match_name(stored.name_zh, stored.name_en)


def test_sealed_numbers_lie_nowhere_readable(people, database):
    people.register(DOCTOR, new_person(typed(NUMBER), record_number("REC-12345")))
    (rows,) = database.execute("SELECT array_agg(i::text) FROM person_identifier i").fetchone()

    for row in rows:
        for number in (NUMBER, "REC-12345"):
            assert number not in row
            assert number.encode().hex() not in row


def test_lost_or_wrong_key_file_stops_the_start(people, database, tmp_path):
    path = tmp_path / KEY_FILE
    people.register(DOCTOR, new_person(typed(NUMBER)))
    open_sealer(database, home=tmp_path)
    path.rename(path.with_name("away"))

    with pytest.raises(IdentifierKeyLost, match="restore that file"):
        open_sealer(database, home=tmp_path)
    assert not path.exists()
    path.write_text("ab" * 32)
    path.chmod(0o600)
    with pytest.raises(IdentifierKeyLost):
        open_sealer(database, home=tmp_path)


def test_database_without_numbers_takes_a_new_key(database, tmp_path):
    open_sealer(database, home=tmp_path / "one")
    other = open_sealer(database, home=tmp_path / "two")

    assert open_sealer(database, home=tmp_path / "two").fingerprint == other.fingerprint


def test_racing_registrations_of_one_person_end_with_one(people):
    new = [new_person(typed(NUMBER), record_number("5"), registration=f"hut-{idx:08}") for idx in range(6)]
    threads = [threading.Thread(target=people.register, args=(DOCTOR, one)) for one in new]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (patient_id,) = found_ids(people.resolve(DOCTOR, NUMBER))
    record = people.read(DOCTOR, patient_id)
    assert len(record.merged_ids) == 5
    assert {merge.rule for merge in record.merges} == {MergeRule.SAME_IDENTIFIER}
    assert people.find_candidates(DOCTOR, patient_id) == ()


def test_merge_without_a_reason_is_refused(people):
    one, two = (people.register(DOCTOR, new_person(name=name)).record.person for name in ("甲", "乙"))

    with pytest.raises(PersonInvalid, match="reason"):
        people.merge(DOCTOR, one.patient_id, into=two.patient_id, reason="  ")
    with pytest.raises(MergeRefused, match="not merged"):
        people.unmerge(DOCTOR, one.patient_id, reason="wrong")
