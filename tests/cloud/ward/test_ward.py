import json
from dataclasses import replace

import psycopg
import pytest

from cloud.binding.model import BindingOrigin, Ending, EndReason
from cloud.binding.queries import end_binding
from cloud.binding.service import Wish, bind_from_ward_file, give_source, next_moment
from cloud.identity.model import Role, subject_of
from cloud.identity.queries import find_sights
from cloud.seed import ORGANISATION, seed_ward
from cloud.ward.model import WardFile, WardFileInvalid, WardPatient, read_ward_file
from tests.fixtures.wire_messages import SOURCE, seconds, utc_now

real = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
START = next_moment(utc_now(), after=None)
NURSE = subject_of(person="nurse", role=Role.NURSE, organisation=ORGANISATION)


def ward(*sources, patient="p-1"):
    other = WardPatient(id="p-2", bed="2", name_zh="乙", name_en="Yi", sources=[])
    return WardFile(
        agent="hut-1",
        patients=[
            WardPatient(id=patient, bed="1", name_zh="甲", name_en="Jia", sources=list(sources)),
            other,
        ],
    )


def bindings(database):
    return database.execute(
        "SELECT patient_id, lower(during), upper(during) FROM binding ORDER BY binding_id"
    ).fetchall()


class TestDatabase:
    pytestmark = real

    def test_second_seeding_changes_nothing_and_tells_no_password(self, database):
        created = seed_ward(database, ward(SOURCE), now=START)
        roles = sorted(account["role"] for account in created)
        assert roles == ["administrator", "auditor", "clinician", "nurse"]

        assert seed_ward(database, ward(SOURCE), now=START + seconds(60)) == []
        assert bindings(database) == [("p-1", START, None)]

    def test_passwords_are_kept_as_argon2id_hashes_only(self, database):
        created = seed_ward(database, ward(), now=START)
        hashes = [row[0] for row in database.execute("SELECT password_hash FROM account")]

        assert all(stored.startswith("$argon2id$") for stored in hashes)
        assert not any(account["password"] in "".join(hashes) for account in created)

    def test_database_refuses_one_sensor_on_two_patients(self, database):
        seed_ward(database, ward(SOURCE), now=START)

        with pytest.raises(psycopg.errors.ExclusionViolation):
            database.execute(
                "INSERT INTO binding (src, patient_id, during) VALUES (%s, 'p-2', tstzrange(%s, NULL))",
                (SOURCE, START + seconds(5)),
            )

    def test_moved_sensor_leaves_its_patient_at_that_moment(self, database):
        seed_ward(database, ward(SOURCE), now=START)
        bind_from_ward_file(database, SOURCE, "p-2", START + seconds(30))

        assert bindings(database) == [
            ("p-1", START, START + seconds(30)),
            ("p-2", START + seconds(30), None),
        ]

    def test_restart_leaves_a_sensor_with_whom_a_person_gave_it_to(self, database):
        seed_ward(database, ward(SOURCE), now=START)
        wish = Wish(src=SOURCE, patient_id="p-2", origin=BindingOrigin.SCAN)
        give_source(database, NURSE, wish, clock=lambda: START + seconds(30))

        seed_ward(database, ward(SOURCE), now=START + seconds(60))

        assert bindings(database)[1:] == [("p-2", START + seconds(30), None)]

    def test_restart_leaves_a_sensor_free_that_a_person_took_back(self, database):
        seed_ward(database, ward(SOURCE), now=START)
        (binding_id,) = database.execute("SELECT binding_id FROM binding").fetchone()
        ending = Ending(at=START + seconds(30), reason=EndReason.DISCHARGE, by=NURSE.person)
        end_binding(database, binding_id, ending, written_at=START + seconds(30))

        seed_ward(database, ward(SOURCE), now=START + seconds(60))

        assert bindings(database) == [("p-1", START, START + seconds(30))]

    def test_resident_of_a_ward_file_sees_the_own_record_only(self, database):
        seed_ward(database, replace(ward(), resident="p-1"), now=START)
        row = database.execute("SELECT person_id FROM account WHERE name = 'resident'").fetchone()
        resident = subject_of(person=row[0], role=Role.RESIDENT, organisation=ORGANISATION)
        seen = find_sights(database, resident, ["p-1", "p-2"])

        assert [(patient, sight.basis) for patient, sight in seen.items()] == [("p-1", "self")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("nonsense", "malformed"),
        ('{"agent": "a", "patients": [{"id": "p"}]}', "missing required field"),
        (
            json.dumps(
                {
                    "agent": "a",
                    "patients": [
                        {"id": name, "bed": "1", "name_zh": "", "name_en": "", "sources": ["s-1"]}
                        for name in ("p-1", "p-2")
                    ],
                }
            ),
            "one source is bound to two patients",
        ),
    ],
    ids=["not json", "incomplete", "shared source"],
)
def test_ward_file_that_cannot_be_used_says_why(tmp_path, content, reason):
    path = tmp_path / "ward.json"
    path.write_text(content)

    with pytest.raises(WardFileInvalid, match=reason):
        read_ward_file(path)


def test_ward_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(WardFileInvalid, match="No such file"):
        read_ward_file(tmp_path / "none.json")
