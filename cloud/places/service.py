"""Setting up organisations, sites and locations, and putting patients into beds."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg
import structlog

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Scope, Subject
from cloud.places import queries
from cloud.places.model import (
    Affiliation,
    Consortium,
    Level,
    Location,
    LocationKind,
    Organisation,
    OrganisationRecord,
    PlaceInvalid,
    PlaceTaken,
    PlaceUnknown,
    Position,
    ServiceArea,
    Site,
    check_division,
    check_zone,
    division_contains,
    may_lie_in,
)
from cloud.store.connection import Database, Pool

_log = structlog.get_logger()
_A_MOMENT = timedelta(microseconds=1)
_REFUSED_BY_DATABASE = {
    "part_of_stands_higher": PlaceInvalid("level", "what an organisation is part of stands higher"),
    "location_nests": PlaceInvalid("part_of", "a location of this kind does not lie in one of that kind"),
    "one_affiliation_at_a_time": PlaceTaken("the organisation is in this consortium already"),
    "one_lead_at_a_time": PlaceTaken("another organisation leads this consortium"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationChange:
    """What is to become different; None leaves a thing as it is."""

    name_zh: str | None = None
    name_en: str | None = None
    level: Level | None = None
    part_of: str | None = None
    is_closed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLocation:
    """A location that somebody wants at a site."""

    kind: LocationKind
    code: str
    name_zh: str
    name_en: str
    part_of: str | None = None


class PlaceService:
    """Use cases of places; safe to call from several threads.

    Whoever asks reaches the own organisation and everything below it; the rest is `PlaceUnknown`. A change is
    recorded before it is done: without its entry (`AuditUnavailable`) it is rolled back.
    """

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock

    def list_organisations(self, subject: Subject) -> list[Organisation]:
        """Every organisation within reach."""
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            return queries.find_organisations(connection, subject)

    def read_organisation(self, subject: Subject, organisation_id: str) -> OrganisationRecord:
        """An organisation with its sites, areas and consortia.

        Raises:
            PlaceUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            return _record(connection, subject, organisation_id)

    def create_organisation(
        self, subject: Subject, part_of: str, *, level: Level, names: tuple[str, str]
    ) -> OrganisationRecord:
        """A new organisation below one within reach.

        Raises:
            PlaceUnknown: the one above is not there, or beyond reach.
            PlaceInvalid: the one above does not stand higher, or is closed.
        """
        with self._changing(subject) as connection:
            above = _organisation(connection, subject, part_of)
            _check_open(above.closed_at)
            made = Organisation(
                organisation_id=_new_id("org"),
                name_zh=names[0],
                name_en=names[1],
                level=level,
                part_of=part_of,
            )
            queries.insert_organisation(connection, made)
            self._record(subject, Action.CREATE_ORGANISATION, TargetKind.ORGANISATION, made.organisation_id)
            return _record(connection, subject, made.organisation_id)

    def change_organisation(
        self, subject: Subject, organisation_id: str, change: OrganisationChange
    ) -> OrganisationRecord:
        """Rename, lift, move or close an organisation. Nobody moves or closes the own one.

        Raises:
            PlaceUnknown: it or the new parent is not there, or beyond reach.
            PlaceInvalid: the new parent does not stand higher.
            PlaceTaken: it is the subject's own.
        """
        with self._changing(subject) as connection:
            was = _organisation(connection, subject, organisation_id)
            is_own = organisation_id == subject.organisation
            if is_own and (change.part_of is not None or change.level is not None or change.is_closed):
                raise PlaceTaken("somebody above has to do that to your own organisation")
            if change.part_of is not None:
                _check_open(_organisation(connection, subject, change.part_of).closed_at)
            queries.update_organisation(connection, self._changed(was, change))
            self._record(subject, Action.CHANGE_ORGANISATION, TargetKind.ORGANISATION, organisation_id)
            return _record(connection, subject, organisation_id)

    def _changed(self, was: Organisation, change: OrganisationChange) -> Organisation:
        closed_at = was.closed_at
        if change.is_closed is not None:
            closed_at = (was.closed_at or self._clock()) if change.is_closed else None
        return replace(
            was,
            name_zh=was.name_zh if change.name_zh is None else change.name_zh,
            name_en=was.name_en if change.name_en is None else change.name_en,
            level=change.level or was.level,
            part_of=change.part_of or was.part_of,
            closed_at=closed_at,
        )

    def set_service_areas(
        self, subject: Subject, organisation_id: str, areas: Sequence[ServiceArea]
    ) -> OrganisationRecord:
        """What an organisation looks after from now on.

        Raises:
            PlaceUnknown: not there, or beyond reach.
            PlaceInvalid: no such division, one twice, or one outside of what the one above looks after.
        """
        divisions = [check_division(area.division) for area in areas]
        if len(set(divisions)) != len(divisions):
            raise PlaceInvalid("division", "one stands there twice")
        with self._changing(subject) as connection:
            _organisation(connection, subject, organisation_id)
            above = queries.find_divisions_above(connection, organisation_id)
            for division in divisions:
                if above and not any(division_contains(outer, division) for outer in above):
                    raise PlaceInvalid("division", "the organisation above does not look after it")
            queries.replace_service_areas(connection, organisation_id, areas)
            self._record(subject, Action.CHANGE_ORGANISATION, TargetKind.ORGANISATION, organisation_id)
            return _record(connection, subject, organisation_id)

    def create_site(
        self, subject: Subject, organisation_id: str, *, names: tuple[str, str], zone: str
    ) -> Site:
        """A new address of an organisation within reach.

        Raises:
            PlaceUnknown: not there, or beyond reach.
            PlaceInvalid: no such zone.
        """
        check_zone(zone)
        with self._changing(subject) as connection:
            _check_open(_organisation(connection, subject, organisation_id).closed_at)
            site = Site(
                site_id=_new_id("site"),
                organisation_id=organisation_id,
                name_zh=names[0],
                name_en=names[1],
                zone=zone,
            )
            queries.insert_site(connection, site)
            self._record(subject, Action.CREATE_SITE, TargetKind.SITE, site.site_id)
        return site

    def create_consortium(
        self, subject: Subject, organisation_id: str, *, names: tuple[str, str]
    ) -> OrganisationRecord:
        """A new consortium that an organisation within reach leads.

        Raises:
            PlaceUnknown: not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _organisation(connection, subject, organisation_id)
            made = Consortium(consortium_id=_new_id("league"), name_zh=names[0], name_en=names[1])
            queries.insert_consortium(connection, made)
            self._join(connection, made.consortium_id, organisation_id, position=Position.LEAD)
            self._record(subject, Action.CREATE_CONSORTIUM, TargetKind.CONSORTIUM, made.consortium_id)
            return _record(connection, subject, organisation_id)

    def begin_affiliation(
        self, subject: Subject, consortium_id: str, *, organisation_id: str
    ) -> OrganisationRecord:
        """An organisation joins a consortium; lead and member are both within reach.

        Raises:
            PlaceUnknown: one of the two is not there, or beyond reach.
            PlaceTaken: it is in already.
        """
        with self._changing(subject) as connection:
            self._check_lead(connection, subject, consortium_id)
            _organisation(connection, subject, organisation_id)
            self._join(connection, consortium_id, organisation_id, position=Position.MEMBER)
            self._record(subject, Action.CHANGE_AFFILIATION, TargetKind.CONSORTIUM, consortium_id)
            return _record(connection, subject, organisation_id)

    def end_affiliation(self, subject: Subject, consortium_id: str, *, organisation_id: str) -> None:
        """An organisation leaves a consortium; its history stays. Leaving twice is no error.

        Raises:
            PlaceUnknown: lead or member is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            self._check_lead(connection, subject, consortium_id)
            _organisation(connection, subject, organisation_id)
            queries.end_affiliation(
                connection, consortium_id, organisation_id=organisation_id, at=self._clock()
            )
            self._record(subject, Action.CHANGE_AFFILIATION, TargetKind.CONSORTIUM, consortium_id)

    def _check_lead(self, connection: Database, subject: Subject, consortium_id: str) -> None:
        if not queries.leads_consortium(connection, subject, consortium_id, at=self._clock()):
            raise PlaceUnknown

    def _join(
        self, connection: Database, consortium_id: str, organisation_id: str, *, position: Position
    ) -> None:
        joined = Affiliation(
            consortium_id=consortium_id,
            organisation_id=organisation_id,
            position=position,
            begins_at=self._clock(),
            ends_at=None,
        )
        queries.begin_affiliation(connection, joined)

    def list_locations(self, subject: Subject, site_id: str) -> list[Location]:
        """The open locations of a site.

        Raises:
            PlaceUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            if queries.find_site(connection, subject, site_id) is None:
                raise PlaceUnknown
            return queries.find_locations(connection, subject, site_id)

    def read_location(self, subject: Subject, location_id: str) -> Location:
        """A location.

        Raises:
            PlaceUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            return _location(connection, subject, location_id)

    def create_location(self, subject: Subject, site_id: str, new: NewLocation) -> Location:
        """A new location of a site.

        Raises:
            PlaceUnknown: the site, or what it shall lie in, is not there, or beyond reach.
            PlaceInvalid: it does not nest.
            PlaceTaken: there is one of this kind and code.
        """
        with self._changing(subject) as connection:
            if queries.find_site(connection, subject, site_id) is None:
                raise PlaceUnknown
            if new.part_of is not None:
                _check_nesting(new, _location(connection, subject, new.part_of), site_id=site_id)
            made = Location(
                location_id=_new_id("place"),
                site_id=site_id,
                kind=new.kind,
                part_of=new.part_of,
                code=new.code,
                name_zh=new.name_zh,
                name_en=new.name_en,
            )
            if not queries.insert_location(connection, made):
                raise PlaceTaken("there is a location of this kind and code at the site")
            self._record(subject, Action.CREATE_LOCATION, TargetKind.LOCATION, made.location_id)
        return made

    def close_location(self, subject: Subject, location_id: str) -> None:
        """From now on nobody is put there. Closing twice is no error.

        Raises:
            PlaceUnknown: not there, or beyond reach.
            PlaceTaken: somebody or something open is in it.
        """
        with self._changing(subject) as connection:
            _location(connection, subject, location_id)
            queries.lock_location(connection, location_id)
            if queries.is_occupied(connection, location_id):
                raise PlaceTaken("somebody or something is still in it")
            queries.close_location(connection, location_id, at=self._clock())
            self._record(subject, Action.CLOSE_LOCATION, TargetKind.LOCATION, location_id)

    @contextmanager
    def _changing(self, subject: Subject) -> Iterator[Database]:
        """A transaction whose refusals by the database say what they mean."""
        _require(subject, Scope.MANAGE_PLACES)
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.IntegrityError as error:
            refusal = _REFUSED_BY_DATABASE.get(error.diag.constraint_name or "")
            if refusal is None:
                raise
            raise type(refusal)(*refusal.args) from error

    def _record(self, subject: Subject, action: Action, kind: TargetKind, on: str) -> None:
        self._recorder.begin(subject.act(action, target(kind, on), origin=Origin.HTTP))()


def _require(subject: Subject, scope: Scope) -> None:
    if scope not in subject.scopes:
        raise NotAllowed


def _new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(8)}"


def _organisation(connection: Database, subject: Subject, organisation_id: str) -> Organisation:
    found = queries.find_organisation(connection, subject, organisation_id)
    if found is None:
        raise PlaceUnknown
    return found


def _record(connection: Database, subject: Subject, organisation_id: str) -> OrganisationRecord:
    return OrganisationRecord(
        organisation=_organisation(connection, subject, organisation_id),
        sites=tuple(queries.find_sites(connection, subject, organisation_id)),
        service_areas=tuple(queries.find_service_areas(connection, subject, organisation_id)),
        affiliations=tuple(queries.find_affiliations(connection, subject, organisation_id)),
    )


def _location(connection: Database, subject: Subject, location_id: str) -> Location:
    found = queries.find_location(connection, subject, location_id)
    if found is None:
        raise PlaceUnknown
    return found


def _check_open(closed_at: datetime | None) -> None:
    if closed_at is not None:
        raise PlaceInvalid("part_of", "it is closed")


def _check_nesting(new: NewLocation, outer: Location, *, site_id: str) -> None:
    if outer.site_id != site_id:
        raise PlaceUnknown
    if not may_lie_in(new.kind, outer.kind):
        raise PlaceInvalid("part_of", f"a {new.kind} does not lie in a {outer.kind}")
    _check_open(outer.closed_at)
