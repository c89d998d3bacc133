from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.act import AuditUnavailable
from cloud.identity.errors import NotAllowed
from cloud.places.model import (
    Level,
    LocationKind,
    PlaceInvalid,
    PlaceTaken,
    PlaceUnknown,
    Position,
    ServiceArea,
)
from cloud.places.service import OrganisationChange
from tests.cloud.places.conftest import ADMINISTRATOR, BELOW, DOCTOR, STRANGER, build, lay, new, ward_room_bed

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NAMES = ("名", "name")


def area(division):
    return ServiceArea(division=division, name_zh="区")


def reached(places, subject):
    return {one.organisation_id for one in places.list_organisations(subject)}


def test_reach_is_the_own_organisation_and_what_is_part_of_it(places):
    assert reached(places, ADMINISTRATOR) == {"county", "town-a", "town-b", "village"}
    assert reached(places, BELOW) == {"town-a", "village"}
    assert reached(places, DOCTOR) == reached(places, ADMINISTRATOR)


def test_what_is_beyond_reach_is_unknown_like_what_is_not_there(places):
    for name in ("county", "town-b", "stranger", "nowhere"):
        for attempt in (
            lambda name=name: places.read_organisation(BELOW, name),
            lambda name=name: places.list_locations(BELOW, f"site-{name}"),
            lambda name=name: places.create_site(BELOW, name, names=NAMES, zone="Asia/Urumqi"),
            lambda name=name: places.create_organisation(BELOW, name, level=Level.VILLAGE, names=NAMES),
            lambda name=name: places.set_service_areas(BELOW, name, []),
        ):
            with pytest.raises(PlaceUnknown):
                attempt()


def test_only_administrators_change_places(places):
    with pytest.raises(NotAllowed):
        places.create_site(DOCTOR, "county", names=NAMES, zone="Asia/Shanghai")


def test_new_organisation_stands_below_the_one_above(places, recorder):
    made = places.create_organisation(BELOW, "town-a", level=Level.VILLAGE, names=NAMES).organisation

    assert (made.part_of, made.level) == ("town-a", Level.VILLAGE)
    assert recorder.words() == [("create_organisation", made.organisation_id)]
    with pytest.raises(PlaceInvalid, match="higher"):
        places.create_organisation(BELOW, "town-a", level=Level.TOWNSHIP, names=NAMES)


def test_nobody_moves_lifts_or_closes_the_own_organisation(places):
    for change in (
        OrganisationChange(part_of="county"),
        OrganisationChange(level=Level.CITY),
        OrganisationChange(is_closed=True),
    ):
        with pytest.raises(PlaceTaken, match="above"):
            places.change_organisation(BELOW, "town-a", change)
    renamed = places.change_organisation(BELOW, "town-a", OrganisationChange(name_en="New"))
    assert renamed.organisation.name_en == "New"


def test_lifting_above_the_parent_or_below_a_part_is_refused(places):
    for level in (Level.COUNTY, Level.VILLAGE):
        with pytest.raises(PlaceInvalid, match="higher"):
            places.change_organisation(ADMINISTRATOR, "town-a", OrganisationChange(level=level))


def test_service_areas_lie_within_those_of_the_organisation_above(places):
    places.set_service_areas(ADMINISTRATOR, "county", [area("330102")])
    record = places.set_service_areas(ADMINISTRATOR, "town-a", [area("330102001")])

    assert [one.division for one in record.service_areas] == ["330102001"]
    for wrong in ([area("330103")], [area("330102001")] * 2, [area("990000")]):
        with pytest.raises(PlaceInvalid, match="division"):
            places.set_service_areas(ADMINISTRATOR, "town-a", wrong)


def test_consortium_takes_whom_its_leads_administrator_reaches(places, clock):
    led = places.create_consortium(ADMINISTRATOR, "county", names=NAMES).affiliations
    assert [(one.position, one.ends_at) for one in led] == [(Position.LEAD, None)]
    league = led[0].consortium_id
    places.begin_affiliation(ADMINISTRATOR, league, organisation_id="town-a")

    for subject, member in ((ADMINISTRATOR, "stranger"), (STRANGER, "stranger"), (BELOW, "village")):
        with pytest.raises(PlaceUnknown):
            places.begin_affiliation(subject, league, organisation_id=member)
    with pytest.raises(PlaceTaken, match="already"):
        places.begin_affiliation(ADMINISTRATOR, league, organisation_id="town-a")
    clock.now += timedelta(days=1)
    places.end_affiliation(ADMINISTRATOR, league, organisation_id="town-a")
    (ended,) = places.read_organisation(BELOW, "town-a").affiliations
    assert ended.ends_at == clock.now


def test_locations_nest_within_one_site(places):
    ward, _, _ = ward_room_bed(places)
    with pytest.raises(PlaceInvalid, match="does not lie"):
        places.create_location(ADMINISTRATOR, "site-county", new(LocationKind.WARD, part_of=ward))
    with pytest.raises(PlaceUnknown):
        places.create_location(ADMINISTRATOR, "site-town-a", new(LocationKind.BED, part_of=ward))
    places.create_location(ADMINISTRATOR, "site-county", new(LocationKind.HUT, code="7"))
    with pytest.raises(PlaceTaken, match="kind and code"):
        places.create_location(ADMINISTRATOR, "site-county", new(LocationKind.HUT, code="7"))


def test_occupied_location_is_not_closed(places, clock, database):
    ward, room, bed = ward_room_bed(places)
    lay(database, "p-1", bed, at=clock.now)
    for location in (bed, room, ward):
        with pytest.raises(PlaceTaken, match="still in it"):
            places.close_location(ADMINISTRATOR, location)
    clock.now += timedelta(hours=1)
    database.execute("UPDATE stay SET during = tstzrange(lower(during), %s)", (clock.now,))
    for location in (bed, bed, room, ward):
        places.close_location(ADMINISTRATOR, location)
    assert places.list_locations(DOCTOR, "site-county") == []


def test_without_audit_nothing_is_changed(places, recorder, database):
    (bed,) = build(places, LocationKind.BED)
    recorder.is_away = True
    for attempt in (
        lambda: places.create_organisation(ADMINISTRATOR, "county", level=Level.VILLAGE, names=NAMES),
        lambda: places.close_location(ADMINISTRATOR, bed),
    ):
        with pytest.raises(AuditUnavailable):
            attempt()
    counts = "SELECT (SELECT count(*) FROM organisation), (SELECT count(*) FROM stay), count(closed_at)"
    assert database.execute(counts + " FROM location").fetchone() == (5, 0, 0)


def attempt(database, statement, values):
    """Whether the database takes it."""
    try:
        database.execute(statement, values)
    except psycopg.errors.CheckViolation:
        return False
    return True


levels = st.sampled_from(list(Level))
steps = st.lists(st.tuples(st.integers(0, 5), levels, st.none() | st.integers(0, 5)), max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(levels, min_size=6, max_size=6), steps=steps)
def test_database_keeps_every_parent_higher_whatever_is_tried(database, first, steps):
    with database.transaction(force_rollback=True):
        for number, level in enumerate(first):
            database.execute("INSERT INTO organisation VALUES (%s, '', '', %s)", (f"o{number}", level.value))
        part_of = dict.fromkeys(range(6))
        now = dict(enumerate(first))
        for number, level, parent in steps:
            fits = parent is None or (parent != number and now[parent].is_above(level))
            fits &= all(level.is_above(now[child]) for child, above in part_of.items() if above == number)
            values = (level.value, None if parent is None else f"o{parent}", f"o{number}")
            with database.transaction():
                database.execute("SAVEPOINT step")
                taken = attempt(
                    database,
                    "UPDATE organisation SET level = %s, part_of = %s WHERE organisation_id = %s",
                    values,
                )
                database.execute("RELEASE SAVEPOINT step" if taken else "ROLLBACK TO SAVEPOINT step")
            assert taken is bool(fits), (number, level, parent)
            if taken:
                now[number], part_of[number] = level, parent


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE location SET kind = 'hut' WHERE location_id = %(bed)s",
        "UPDATE location SET site_id = 'site-town-a', part_of = NULL WHERE location_id = %(bed)s",
        "UPDATE location SET part_of = %(bed)s WHERE location_id = %(ward)s",
        "INSERT INTO service_area VALUES ('county', '990102', '')",
    ],
    ids=["kind", "site", "circle", "division"],
)
def test_database_itself_refuses_what_does_not_nest(places, database, statement):
    ward, _, bed = ward_room_bed(places)
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute(statement, {"ward": ward, "bed": bed})
