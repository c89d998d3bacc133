import pytest

from edge_agent import people_context
from edge_agent.door import BoundPerson
from edge_agent.errors import IdentityUnusable
from edge_agent.people_context import (
    OfflineRegistration,
    PeopleContext,
    RegistrationsFull,
    new_registration_name,
)

PERSON = BoundPerson(binding="7", src="s-1", age_years=70, spo2_scale=2)
ZHANG = OfflineRegistration(
    registration="r-00000001",
    name_zh="张三丰",
    identifiers=[{"kind": "hospital_record", "text": "REC-4711"}],
)


@pytest.fixture
def opened(tmp_path):
    return PeopleContext(tmp_path / "edge", keys=tmp_path / "keys")


def test_what_was_put_is_there_after_a_restart(opened, tmp_path):
    opened.put_bound_people([PERSON], mark="m1")
    opened.add(ZHANG)
    again = PeopleContext(tmp_path / "edge", keys=tmp_path / "keys")

    assert (again.bound_people(), again.mark, again.waiting()) == ([PERSON], "m1", [ZHANG])


def test_disk_holds_no_name_and_no_number(opened, tmp_path):
    opened.add(ZHANG)
    opened.put_bound_people([PERSON], mark="m1")
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    for secret in ("张三丰", "REC-4711", "spo2_scale", "s-1"):
        assert secret.encode() not in content
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def test_settled_registration_is_forgotten_and_the_others_stay(opened):
    other = OfflineRegistration(registration=new_registration_name(), unknown=True)
    opened.add(ZHANG)
    opened.add(other)
    opened.settle(ZHANG.registration)

    assert opened.waiting() == [other]


def test_one_file_does_not_open_in_the_place_of_the_other(opened, tmp_path):
    opened.put_bound_people([PERSON], mark="m1")
    (tmp_path / "edge" / "people.sealed").rename(tmp_path / "edge" / "registrations.sealed")

    with pytest.raises(IdentityUnusable):
        opened.waiting()


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b"", lambda b: b[:20] + b"\0" + b[21:] + b"x"])
def test_changed_file_is_refused(opened, tmp_path, spoil):
    opened.add(ZHANG)
    path = tmp_path / "edge" / "registrations.sealed"
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(IdentityUnusable):
        opened.waiting()


def test_key_that_others_can_read_is_refused(opened, tmp_path):
    (tmp_path / "keys" / "edge-people.key").chmod(0o640)

    with pytest.raises(IdentityUnusable):
        PeopleContext(tmp_path / "edge", keys=tmp_path / "keys")


def test_registrations_are_bounded_and_say_so(opened, monkeypatch):
    monkeypatch.setattr(people_context, "MOST_REGISTRATIONS", 1)
    opened.add(ZHANG)

    with pytest.raises(RegistrationsFull):
        opened.add(ZHANG)
