"""Organisations in levels, what they look after, and the locations of their sites."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud.errors import CloudError
from vitals.identifiers.resident_id import PROVINCES

_DIVISION = re.compile(r"[0-9]{6}([0-9]{3}([0-9]{3})?)?")


class PlaceUnknown(CloudError):
    """There is no such place, or none that the subject reaches: the answer is the same."""

    def __str__(self) -> str:
        return "no such place"


class PlaceInvalid(CloudError):
    """What was said of a place cannot be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class PlaceTaken(CloudError):
    """It collides with what is there already."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Level(StrEnum):
    """The administrative level of an organisation, lowest first."""

    VILLAGE = "village"
    TOWNSHIP = "township"
    COUNTY = "county"
    CITY = "city"
    PROVINCE = "province"

    @property
    def rank(self) -> int:
        """How high it stands."""
        return list(Level).index(self)

    def is_above(self, other: "Level") -> bool:
        """Whether an organisation of the other level may be part of one of this level."""
        return self.rank > other.rank


class LocationKind(StrEnum):
    """What a location is."""

    WARD = "ward"
    ROOM = "room"
    BED = "bed"
    HUT = "hut"
    VEHICLE = "vehicle"
    HOME = "home"


_MAY_LIE_IN = {
    LocationKind.BED: frozenset(
        {
            LocationKind.ROOM,
            LocationKind.WARD,
            LocationKind.HUT,
            LocationKind.VEHICLE,
            LocationKind.HOME,
        }
    ),
    LocationKind.ROOM: frozenset({LocationKind.WARD, LocationKind.HUT, LocationKind.HOME}),
}


def may_lie_in(inner: LocationKind, outer: LocationKind) -> bool:
    """Whether a location of one kind may be part of one of another (as migration 0004 has it)."""
    return outer in _MAY_LIE_IN.get(inner, frozenset())


class Position(StrEnum):
    """What an organisation is in a consortium (医联体)."""

    LEAD = "lead"
    MEMBER = "member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation; `part_of` is the one above it."""

    organisation_id: str
    name_zh: str
    name_en: str
    level: Level
    part_of: str | None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One address, and the IANA zone of its clocks."""

    site_id: str
    organisation_id: str
    name_zh: str
    name_en: str
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A part of a site, or something that moves; `code` is what is written on it."""

    location_id: str
    site_id: str
    kind: LocationKind
    part_of: str | None
    code: str
    name_zh: str
    name_en: str
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceArea:
    """A division that an organisation looks after."""

    division: str
    name_zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consortium:
    """A league of organisations."""

    consortium_id: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Affiliation:
    """When an organisation is what in a consortium. An open end is None."""

    consortium_id: str
    organisation_id: str
    position: Position
    begins_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationRecord:
    """An organisation with what belongs to it."""

    organisation: Organisation
    sites: tuple[Site, ...]
    service_areas: tuple[ServiceArea, ...]
    affiliations: tuple[Affiliation, ...]


def check_division(code: str) -> str:
    """A code of GB/T 2260 (six digits) or of its statistical extension (nine: township, twelve: village).

    Raises:
        PlaceInvalid: another shape, no such province, or a county without a city above it.
    """
    if not _DIVISION.fullmatch(code):
        raise PlaceInvalid("division", "6, 9 or 12 digits")
    if code[:2] not in PROVINCES - {"83"}:
        raise PlaceInvalid("division", "no such province")
    province_only, city_only = code[2:4] == "00", code[4:6] == "00"
    if province_only and not city_only:
        raise PlaceInvalid("division", "a county lies in a city or prefecture")
    if len(code) > 6 and city_only:
        raise PlaceInvalid("division", "a township lies in a county")
    if len(code) == 12 and code[6:9] == "000":
        raise PlaceInvalid("division", "a village lies in a township")
    return code


def division_contains(outer: str, inner: str) -> bool:
    """Whether one division is the other or lies in it."""
    return inner.startswith(_prefix(outer))


def _prefix(code: str) -> str:
    """The digits that say something: 330000 is a province, 330100 a city."""
    if len(code) > 6:
        return code[:9] if code[9:] == "000" else code
    return code[: 2 if code[2:6] == "0000" else 4 if code[4:6] == "00" else 6]


def check_zone(name: str) -> str:
    """The name of an IANA zone.

    Raises:
        PlaceInvalid: there is none of this name.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PlaceInvalid("zone", "no such IANA zone") from error
    return name
