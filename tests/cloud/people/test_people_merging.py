import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.binding.service import bind_from_ward_file
from cloud.identity.errors import NotAllowed
from cloud.identity.queries import find_sight
from cloud.people.model import CandidateRule, MergeRefused, MergeRule, Outcome, Registered
from cloud.ward import queries as ward_queries
from tests.cloud.people.conftest import (
    DOCTOR,
    NOW,
    STRANGER,
    dump,
    new_person,
    record_number,
    resident_number,
    typed,
)
from tests.fixtures.wire_messages import SOURCE, WireAgent, open_writer, seconds
from vitals.identifiers.identifier import IdentifierKind

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
NUMBER = resident_number(11)


@pytest.fixture
def pair(people):
    """Two patients with different numbers."""
    records = [
        people.register(DOCTOR, new_person(record_number(number), name=name)).record.person.patient_id
        for number, name in (("100", "甲"), ("200", "乙"))
    ]
    return tuple(records)


def resolved(people, text):
    (found,) = people.resolve(DOCTOR, text, kind=IdentifierKind.HOSPITAL_RECORD).found
    return found.person.patient_id


def test_merged_id_and_its_numbers_mean_the_survivor(people, pair):
    merged, survivor = pair
    record = people.merge(DOCTOR, merged, into=survivor, reason="same woman, two charts")

    assert (record.person.patient_id, record.merged_ids) == (survivor, (merged,))
    assert people.read(DOCTOR, merged) == people.read(DOCTOR, survivor) == record
    assert [resolved(people, number) for number in ("100", "200")] == [survivor, survivor]
    assert {one.patient_id for one in record.identifiers} == {merged, survivor}


def test_unmerge_restores_exactly_and_keeps_the_history(people, database, clock, pair):
    merged, survivor = pair
    before = ([people.read(DOCTOR, one).identifiers for one in pair], dump(database))
    people.merge(DOCTOR, merged, into=survivor, reason="looked the same")
    clock.now = NOW + seconds(60)
    record = people.unmerge(DOCTOR, merged, reason="sisters")

    assert ([people.read(DOCTOR, one).identifiers for one in pair], dump(database)) == before
    assert [resolved(people, number) for number in ("100", "200")] == [merged, survivor]
    (entry,) = record.merges
    assert people.read(DOCTOR, survivor).merges == (entry,)
    assert (entry.merged_at, entry.merged_by, entry.reason) == (NOW, "doctor-1", "looked the same")
    assert (entry.unmerged_at, entry.unmerged_by, entry.unmerge_reason) == (
        NOW + seconds(60),
        "doctor-1",
        "sisters",
    )


SEEN_ONLY = {
    "by an emergency": "INSERT INTO break_glass VALUES ('g-' || %(patient)s, %(patient)s, 'doctor-2', "
    "'clinician', 'other', 'other', 'x', tstzrange(now(), now() + interval '1 hour'))",
    "without a name": "INSERT INTO consent VALUES ('c-' || %(patient)s, %(patient)s, 'patient', '', '', "
    "'doctor-2', NULL, '{care}', 'general', 't', 1, 'zh', sha256(''), '', tstzrange('2020-01-01', NULL))",
}


@pytest.mark.parametrize("how", SEEN_ONLY)
def test_who_sees_too_little_or_too_shortly_joins_and_separates_nobody(people, database, pair, how):
    for patient in pair:
        database.execute(SEEN_ONLY[how], {"patient": patient})
        assert find_sight(database, STRANGER, patient) is not None
    with pytest.raises(NotAllowed):
        people.merge(STRANGER, pair[0], into=pair[1], reason="r")
    people.merge(DOCTOR, pair[0], into=pair[1], reason="same")
    with pytest.raises(NotAllowed):
        people.unmerge(STRANGER, pair[0], reason="r")

    kept = database.execute("SELECT DISTINCT person_id FROM care_relation").fetchall()
    assert ("doctor-2",) not in kept
    assert resolved(people, "100") == pair[1]


def test_bindings_and_observations_stay_where_they_are(people, database, pair):
    merged, survivor = pair
    agent = WireAgent()
    ward_queries.insert_unknown_source(database, SOURCE, agent="hut-1", site_id="hut-a")
    bind_from_ward_file(database, SOURCE, merged, NOW)
    open_writer().write(
        database, [agent.birth(), agent.vitals(1, 72, at=NOW + seconds(5))], now=NOW + seconds(6)
    )
    before = dump(database)
    assert before["binding"]
    assert before["series_batch"]

    people.merge(DOCTOR, merged, into=survivor, reason="same")
    assert dump(database) == before
    people.unmerge(DOCTOR, merged, reason="not the same")
    assert dump(database) == before


def test_merged_patient_is_merged_only_once_and_never_in_a_circle(people, pair):
    one, two = pair
    people.merge(DOCTOR, one, into=two, reason="same")

    for merged, into in ((one, two), (two, one), (one, one)):
        with pytest.raises(MergeRefused):
            people.merge(DOCTOR, merged, into=into, reason="again")
    with pytest.raises(MergeRefused, match="itself"):
        people.merge(DOCTOR, two, into=two, reason="self")


def test_middle_of_a_chain_can_be_taken_out(people, pair):
    one, two = pair
    three = people.register(DOCTOR, new_person(record_number("300"), name="丙")).record.person.patient_id
    people.merge(DOCTOR, one, into=two, reason="same")
    people.merge(DOCTOR, two, into=three, reason="same")
    assert [resolved(people, number) for number in ("100", "200", "300")] == [three] * 3

    people.unmerge(DOCTOR, two, reason="only these two are one")
    assert [resolved(people, number) for number in ("100", "200", "300")] == [two, two, three]


def test_merges_that_would_close_a_circle_come_one_after_the_other(people):
    ids = [
        people.register(DOCTOR, new_person(name=name, born=None)).record.person.patient_id
        for name in "甲乙丙"
    ]
    refused = []

    def join(merged, into):
        try:
            people.merge(DOCTOR, merged, into=into, reason="race")
        except MergeRefused:
            refused.append(merged)

    threads = [threading.Thread(target=join, args=(ids[idx], ids[idx - 1])) for idx in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) >= 1
    survivors = {people.read(DOCTOR, one).person.patient_id for one in ids}
    assert survivors
    assert len(survivors) == len(refused)


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=12),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_merges_taken_back_leave_everybody_as_they_were(people, database, steps):
    ids = [
        people.register(DOCTOR, new_person(name=name, born=None)).record.person.patient_id
        for name in "甲乙丙丁"
    ]
    before = dump(database)
    for is_merge, one, other in steps:
        try:
            if is_merge:
                people.merge(DOCTOR, ids[one], into=ids[other], reason="r")
            else:
                people.unmerge(DOCTOR, ids[one], reason="r")
        except MergeRefused:
            continue
    for one in ids:
        if people.read(DOCTOR, one).person.patient_id != one:
            people.unmerge(DOCTOR, one, reason="all back")

    assert [people.read(DOCTOR, one).person.patient_id for one in ids] == ids
    assert dump(database) == before


def offline(site, *identifiers, **fields):
    return new_person(*identifiers, site_id=site, registration=f"{site}-00000001", **fields)


def test_two_offline_sites_that_created_one_person_are_joined_with_history(people):
    first = people.register(DOCTOR, offline("hut-a", typed(NUMBER), record_number("1"))).record.person
    second = people.register(DOCTOR, offline("hut-b", typed(NUMBER.lower()), name="张 三"))

    assert second.outcome is Registered.MERGED
    assert second.record.person == first
    (merge,) = second.record.merges
    assert (merge.survivor_id, merge.rule) == (first.patient_id, MergeRule.SAME_IDENTIFIER)
    assert second.candidates == ()
    assert people.resolve(DOCTOR, NUMBER).found[0].claimed_too is False


def test_merge_by_rule_can_be_taken_back_and_is_then_a_candidate(people):
    first = people.register(DOCTOR, offline("hut-a", typed(NUMBER))).record.person
    second = people.register(DOCTOR, offline("hut-b", typed(NUMBER))).record.merged_ids[0]
    people.unmerge(DOCTOR, second, reason="twins with one card")

    (candidate,) = people.find_candidates(DOCTOR, second)
    assert candidate.person == first
    assert candidate.rules == (CandidateRule.SAME_IDENTIFIER, CandidateRule.SAME_NAME_AND_BIRTH_DATE)
    assert people.resolve(DOCTOR, NUMBER).found[0].claimed_too is True


@pytest.mark.parametrize("fields", [{"name": "李四"}, {"name": "张三丰"}], ids=["other name", "longer name"])
def test_offline_sites_that_disagree_wait_for_somebody_to_look(people, fields):
    first = people.register(DOCTOR, offline("hut-a", typed(NUMBER))).record.person
    second = people.register(DOCTOR, offline("hut-b", typed(NUMBER), **fields))

    assert (second.outcome, second.record.merges) == (Registered.CREATED, ())
    assert [(one.person, one.rules) for one in second.candidates] == [
        (first, (CandidateRule.SAME_IDENTIFIER,))
    ]
    resolution = people.resolve(DOCTOR, NUMBER)
    assert resolution.outcome is Outcome.FOUND
    assert [(one.person, one.claimed_too) for one in resolution.found] == [(first, True)]


def test_other_birth_date_with_the_same_record_number_waits_too(people):
    people.register(DOCTOR, offline("hut-a", record_number("1")))
    second = people.register(DOCTOR, offline("hut-b", record_number("1"), born=NOW.date().replace(year=1991)))

    assert second.outcome is Registered.CREATED
    assert len(second.candidates) == 1


def test_one_temporary_number_never_joins_two(people):
    number = typed("UNK-HUT-A-20261125-001", IdentifierKind.TEMPORARY)
    people.register(DOCTOR, offline("hut-a", number))

    assert people.register(DOCTOR, offline("hut-b", number)).outcome is Registered.CREATED


def test_numbers_that_point_to_two_people_join_nobody(people):
    people.register(DOCTOR, offline("hut-a", record_number("1")))
    people.register(DOCTOR, new_person(record_number("2"), name="李四"))
    third = people.register(DOCTOR, offline("hut-b", record_number("1"), record_number("2")))

    assert third.outcome is Registered.CREATED
    assert len(third.candidates) == 2
