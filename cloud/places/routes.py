"""Organisations, sites, and locations, over HTTP (docs/live-api.md)."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cloud.identity.access import (
    LISTS_PLACES,
    MANAGES_ONE_PLACE,
    READS_ONE_PLACE,
    Access,
)
from cloud.identity.model import Subject
from cloud.places.model import (
    Affiliation,
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
)
from cloud.places.service import NewLocation, OrganisationChange, PlaceService
from vitals.wire.batch import to_ms

_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
_LONGEST_ID = 64
AskedId = Annotated[str, Path(max_length=_LONGEST_ID, pattern=_WITHOUT_NUL)]
NamedId = Annotated[str, Field(max_length=_LONGEST_ID, pattern=_WITHOUT_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=_WITHOUT_NUL)]
Code = Annotated[str, Field(min_length=1, max_length=40, pattern=_WITHOUT_NUL)]


class Question(BaseModel):
    """A body that says nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NamesQuestion(Question):
    """A thing with a name in both languages."""

    name_zh: Name
    name_en: Name

    @property
    def names(self) -> tuple[str, str]:
        """Chinese first."""
        return self.name_zh, self.name_en


class OrganisationQuestion(NamesQuestion):
    """A new organisation."""

    level: Level


class ChangeQuestion(Question):
    """What is to become different about an organisation; what is left out stays."""

    name_zh: Name | None = None
    name_en: Name | None = None
    level: Level | None = None
    part_of: NamedId | None = None
    closed: bool | None = None


class SiteQuestion(NamesQuestion):
    """A new site, and the IANA zone of its clocks."""

    zone: str = Field(default="Asia/Shanghai", max_length=64, pattern=_WITHOUT_NUL)


class AreaBody(Question):
    """A division (GB/T 2260 and its extension)."""

    division: str = Field(max_length=12, pattern=r"\A[0-9]*\z")
    name_zh: Name


class AreasQuestion(Question):
    """What an organisation looks after from now on."""

    areas: list[AreaBody] = Field(max_length=500)


class AffiliationQuestion(Question):
    """Who joins."""

    organisation: NamedId


class LocationQuestion(NamesQuestion):
    """A new location."""

    kind: LocationKind
    code: Code
    part_of: NamedId | None = None


class OrganisationBody(BaseModel):
    """An organisation."""

    id: str
    name_zh: str
    name_en: str
    level: Level
    part_of: str | None
    closed_at: int | None


class SiteBody(BaseModel):
    """One address."""

    id: str
    organisation: str
    name_zh: str
    name_en: str
    zone: str


class AffiliationBody(BaseModel):
    """When an organisation is what in a consortium."""

    consortium: str
    position: Position
    begins_at: int
    ends_at: int | None


class OrganisationRecordBody(OrganisationBody):
    """An organisation with what belongs to it."""

    sites: list[SiteBody]
    areas: list[AreaBody]
    affiliations: list[AffiliationBody]


class LocationBody(BaseModel):
    """A location."""

    id: str
    site: str
    kind: LocationKind
    part_of: str | None
    code: str
    name_zh: str
    name_en: str
    closed_at: int | None


class ErrorBody(BaseModel):
    """Every refusal has this body."""

    error: str


SubjectOf = Callable[[Request], Subject]
SubjectReader = Callable[[Access], SubjectOf]
_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409)
}


def build_routes(places: PlaceService, *, subject_reader: SubjectReader) -> APIRouter:
    """The routes; `subject_reader` gives for an `Access` what finds the Subject, or refuses."""
    router = APIRouter(prefix="/api")
    _add_reading(router, places, subject_reader)
    _add_organisations(router, places, subject_reader(MANAGES_ONE_PLACE))
    _add_consortia(router, places, subject_reader(MANAGES_ONE_PLACE))
    _add_locations(router, places, subject_reader(MANAGES_ONE_PLACE))
    return router


def _add_reading(router: APIRouter, places: PlaceService, subject_reader: SubjectReader) -> None:
    may_list, may_read = subject_reader(LISTS_PLACES), subject_reader(READS_ONE_PLACE)

    def organisations(subject: Annotated[Subject, Depends(may_list)]) -> list[OrganisationBody]:
        return [_organisation(one) for one in places.list_organisations(subject)]

    def organisation(
        organisation_id: AskedId, subject: Annotated[Subject, Depends(may_read)]
    ) -> OrganisationRecordBody:
        return _organisation_record(places.read_organisation(subject, organisation_id))

    def locations(site_id: AskedId, subject: Annotated[Subject, Depends(may_read)]) -> list[LocationBody]:
        return [_location(one) for one in places.list_locations(subject, site_id)]

    def location(location_id: AskedId, subject: Annotated[Subject, Depends(may_read)]) -> LocationBody:
        return _location(places.read_location(subject, location_id))

    one = [Depends(READS_ONE_PLACE)]
    router.get("/organisations", responses=_REFUSALS, dependencies=[Depends(LISTS_PLACES)])(organisations)
    router.get("/organisations/{organisation_id}", responses=_REFUSALS, dependencies=one)(organisation)
    router.get("/sites/{site_id}/locations", responses=_REFUSALS, dependencies=one)(locations)
    router.get("/locations/{location_id}", responses=_REFUSALS, dependencies=one)(location)


def _add_organisations(router: APIRouter, places: PlaceService, may_manage: SubjectOf) -> None:
    def create(
        organisation_id: AskedId,
        question: OrganisationQuestion,
        subject: Annotated[Subject, Depends(may_manage)],
    ) -> OrganisationRecordBody:
        made = places.create_organisation(
            subject, organisation_id, level=question.level, names=question.names
        )
        return _organisation_record(made)

    def change(
        organisation_id: AskedId, question: ChangeQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> OrganisationRecordBody:
        wanted = OrganisationChange(
            name_zh=question.name_zh,
            name_en=question.name_en,
            level=question.level,
            part_of=question.part_of,
            is_closed=question.closed,
        )
        return _organisation_record(places.change_organisation(subject, organisation_id, wanted))

    def set_areas(
        organisation_id: AskedId, question: AreasQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> OrganisationRecordBody:
        areas = [ServiceArea(division=area.division, name_zh=area.name_zh) for area in question.areas]
        return _organisation_record(places.set_service_areas(subject, organisation_id, areas))

    def create_site(
        organisation_id: AskedId, question: SiteQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> SiteBody:
        return _site(places.create_site(subject, organisation_id, names=question.names, zone=question.zone))

    path, one = "/organisations/{organisation_id}", [Depends(MANAGES_ONE_PLACE)]
    router.post(f"{path}/parts", status_code=201, responses=_REFUSALS, dependencies=one)(create)
    router.patch(path, responses=_REFUSALS, dependencies=one)(change)
    router.put(f"{path}/areas", responses=_REFUSALS, dependencies=one)(set_areas)
    router.post(f"{path}/sites", status_code=201, responses=_REFUSALS, dependencies=one)(create_site)


def _add_consortia(router: APIRouter, places: PlaceService, may_manage: SubjectOf) -> None:
    def create(
        organisation_id: AskedId, question: NamesQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> OrganisationRecordBody:
        return _organisation_record(places.create_consortium(subject, organisation_id, names=question.names))

    def join(
        consortium_id: AskedId,
        question: AffiliationQuestion,
        subject: Annotated[Subject, Depends(may_manage)],
    ) -> OrganisationRecordBody:
        return _organisation_record(
            places.begin_affiliation(subject, consortium_id, organisation_id=question.organisation)
        )

    def leave(
        consortium_id: AskedId, organisation_id: AskedId, subject: Annotated[Subject, Depends(may_manage)]
    ) -> Response:
        places.end_affiliation(subject, consortium_id, organisation_id=organisation_id)
        return Response(status_code=204)

    one = [Depends(MANAGES_ONE_PLACE)]
    router.post(
        "/organisations/{organisation_id}/consortia",
        status_code=201,
        responses=_REFUSALS,
        dependencies=one,
    )(create)
    path = "/consortia/{consortium_id}/affiliations"
    router.post(path, status_code=201, responses=_REFUSALS, dependencies=one)(join)
    router.delete(f"{path}/{{organisation_id}}", status_code=204, responses=_REFUSALS, dependencies=one)(
        leave
    )


def _add_locations(router: APIRouter, places: PlaceService, may_manage: SubjectOf) -> None:
    def create(
        site_id: AskedId, question: LocationQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> LocationBody:
        new = NewLocation(
            kind=question.kind,
            code=question.code,
            name_zh=question.name_zh,
            name_en=question.name_en,
            part_of=question.part_of,
        )
        return _location(places.create_location(subject, site_id, new))

    def close(location_id: AskedId, subject: Annotated[Subject, Depends(may_manage)]) -> Response:
        places.close_location(subject, location_id)
        return Response(status_code=204)

    one = [Depends(MANAGES_ONE_PLACE)]
    router.post("/sites/{site_id}/locations", status_code=201, responses=_REFUSALS, dependencies=one)(create)
    router.post("/locations/{location_id}/close", status_code=204, responses=_REFUSALS, dependencies=one)(
        close
    )


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    statuses = {PlaceUnknown: 404, PlaceTaken: 409, PlaceInvalid: 422}
    return JSONResponse({"error": str(error)}, status_code=statuses[type(error)])


REFUSALS = (PlaceUnknown, PlaceTaken, PlaceInvalid)


def _organisation(one: Organisation) -> OrganisationBody:
    return OrganisationBody(
        id=one.organisation_id,
        name_zh=one.name_zh,
        name_en=one.name_en,
        level=one.level,
        part_of=one.part_of,
        closed_at=None if one.closed_at is None else to_ms(one.closed_at),
    )


def _organisation_record(record: OrganisationRecord) -> OrganisationRecordBody:
    return OrganisationRecordBody(
        **_organisation(record.organisation).model_dump(),
        sites=[_site(site) for site in record.sites],
        areas=[AreaBody(division=area.division, name_zh=area.name_zh) for area in record.service_areas],
        affiliations=[_affiliation(one) for one in record.affiliations],
    )


def _site(site: Site) -> SiteBody:
    return SiteBody(
        id=site.site_id,
        organisation=site.organisation_id,
        name_zh=site.name_zh,
        name_en=site.name_en,
        zone=site.zone,
    )


def _affiliation(one: Affiliation) -> AffiliationBody:
    return AffiliationBody(
        consortium=one.consortium_id,
        position=one.position,
        begins_at=to_ms(one.begins_at),
        ends_at=None if one.ends_at is None else to_ms(one.ends_at),
    )


def _location(location: Location) -> LocationBody:
    return LocationBody(
        id=location.location_id,
        site=location.site_id,
        kind=location.kind,
        part_of=location.part_of,
        code=location.code,
        name_zh=location.name_zh,
        name_en=location.name_en,
        closed_at=None if location.closed_at is None else to_ms(location.closed_at),
    )
