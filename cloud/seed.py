"""`python -m cloud seed --ward FILE`: one organisation, its staff and accounts, and the ward of a file."""

from datetime import datetime, timedelta
from typing import TypedDict

from cloud.act import Act, Action, Origin, Target, TargetKind, target
from cloud.audit.model import TimedAct
from cloud.audit.service import append_acts
from cloud.binding.service import bind_from_ward_file
from cloud.identity import queries as identity_queries
from cloud.identity.model import SYSTEM, Role, hash_token, new_token, subject_of
from cloud.identity.service import create_account, utc_now
from cloud.places import queries as place_queries
from cloud.places.model import Location, LocationKind
from cloud.rights import queries as rights_queries
from cloud.rights.model import Grade, NewLink, Relation
from cloud.staff import queries as staff_queries
from cloud.staff.model import Licence, LicenceKind, PractitionerKind, licence_context
from cloud.store.connection import Database
from cloud.store.sealing import Sealer
from cloud.ward.model import WardFile
from cloud.ward.service import place_ward

ORGANISATION = "first-hospital"
SITE = "first-ward"
WARD = "first-ward-ward"
TEAM = "first-ward-team"
_ACCOUNTS = (
    ("doctor", Role.CLINICIAN, ("医生", "Clinician")),
    ("admin", Role.ADMINISTRATOR, ("管理员", "Administrator")),
    ("nurse", Role.NURSE, ("护士", "Nurse")),
    ("auditor", Role.AUDITOR, ("审计员", "Auditor")),
)
_RESIDENT = ("resident", Role.RESIDENT, ("居民", "Resident"))
_STAFF = (
    ("doctor", PractitionerKind.PHYSICIAN, LicenceKind.PHYSICIAN),
    ("nurse", PractitionerKind.NURSE, LicenceKind.NURSE),
)
_LICENCE_LASTS = timedelta(days=365)


class NewAccount(TypedDict):
    """An account with the password that nobody will see again."""

    name: str
    password: str
    role: str


def seed_ward(
    connection: Database, ward: WardFile, *, now: datetime, sealer: Sealer | None = None
) -> list[NewAccount]:
    """Create what is missing, all or nothing, and return the accounts that are new.

    The audit's entries about it belong to the same transaction. Without a sealer nobody gets a licence: its
    number is never stored readable.
    """
    created: list[NewAccount] = []
    acts: list[Act] = []
    with connection.transaction():
        identity_queries.upsert_organisation(
            connection,
            ORGANISATION,
            site_id=SITE,
            name_zh=ward.organisation_zh,
            name_en=ward.organisation_en,
        )
        for name, role, display in (*_ACCOUNTS, *([_RESIDENT] if ward.resident else [])):
            made = create_account(connection, name, role=role, organisation_id=ORGANISATION, display=display)
            if made is not None:
                account, password = made
                created.append({"name": name, "password": password, "role": role.value})
                on = Target(kind=TargetKind.ACCOUNT, id=account.person_id)
                acts.append(SYSTEM.act(Action.CREATE_ACCOUNT, on, origin=Origin.COMMAND))
        acts += _form_team(connection, now=now, sealer=sealer)
        acts += place_ward(
            connection, ward, organisation_id=ORGANISATION, site_id=SITE, now=now, bind=bind_from_ward_file
        )
        _fill_beds(connection, ward, now=now)
        if any(one["role"] == Role.RESIDENT for one in created):
            acts.append(_let_in(connection, ward.resident))
        append_acts(connection, [TimedAct(act=act, at=utc_now()) for act in acts])
    return created


def _let_in(connection: Database, patient_id: str) -> Act:
    """The resident's account is that of the patient: a link as after an invitation that was taken up."""
    link = NewLink(relation=Relation.SELF, patient_id=patient_id, grade=Grade.EVERYTHING)
    code_hash = hash_token(new_token())
    rights_queries.insert_link(connection, "link-of-resident", link, code_hash=code_hash, by=SYSTEM.person)
    person = staff_queries.person_of_account(connection, _RESIDENT[0])
    resident = subject_of(person=person or "", role=Role.RESIDENT, organisation=ORGANISATION)
    rights_queries.take_up_link(connection, resident, code_hash)
    return SYSTEM.act(Action.ACCEPT_INVITATION, target(TargetKind.PATIENT, patient_id), origin=Origin.COMMAND)


def bed_location(bed: str) -> str:
    """The location of a bed of the first ward."""
    return f"{WARD}-bed-{bed}"


def _form_team(connection: Database, *, now: datetime, sealer: Sealer | None) -> list[Act]:
    """The team of the ward, its people with a standing duty; later runs leave it as it was made to be."""
    is_new = staff_queries.insert_team(
        connection, TEAM, organisation_id=ORGANISATION, name_zh="第一病区", name_en="First ward"
    )
    if not is_new:
        return []
    acts = [SYSTEM.act(Action.CREATE_TEAM, target(TargetKind.TEAM, TEAM), origin=Origin.COMMAND)]
    staff_queries.insert_team_place(connection, TEAM, site_id=SITE, location_id=None)
    for name, kind, licence in _STAFF:
        person_id = staff_queries.person_of_account(connection, name)
        if person_id is None:
            continue
        staff_queries.insert_role(connection, person_id, organisation_id=ORGANISATION, kind=kind, at=now)
        staff_queries.insert_duty(connection, TEAM, person_id=person_id, begins_at=now, ends_at=None)
        done = [Action.BEGIN_ROLE, Action.ADD_DUTY]
        if sealer is not None:
            _license(connection, person_id, kind=licence, now=now, sealer=sealer)
            done.append(Action.ADD_QUALIFICATION)
        on = target(TargetKind.PRACTITIONER, person_id)
        acts += [SYSTEM.act(action, on, origin=Origin.COMMAND) for action in done]
    return acts


def _license(
    connection: Database, person_id: str, *, kind: LicenceKind, now: datetime, sealer: Sealer
) -> None:
    sealed = sealer.seal(f"DEMO-{person_id}", context=licence_context(person_id, kind))
    licence = Licence(
        kind=kind,
        issuer="演示 demo",
        valid_from=now.date(),
        valid_until=(now + _LICENCE_LASTS).date(),
    )
    staff_queries.insert_qualification(connection, person_id, licence=licence, sealed_number=sealed)


def _fill_beds(connection: Database, ward: WardFile, *, now: datetime) -> None:
    """A location for the ward and each bed, and the patients in their beds."""
    place_queries.insert_location(connection, _location(WARD, LocationKind.WARD, code="1"))
    bed_by_patient = {patient.id: bed_location(patient.bed) for patient in ward.patients if patient.bed}
    for patient in ward.patients:
        if patient.bed:
            bed = _location(bed_location(patient.bed), LocationKind.BED, code=patient.bed)
            place_queries.insert_location(connection, bed)
    place_queries.end_stays_of_file(connection, bed_by_patient, at=now)
    for patient_id, location_id in bed_by_patient.items():
        place_queries.begin_stay_of_file(connection, patient_id, location_id=location_id, at=now)


def _location(location_id: str, kind: LocationKind, *, code: str) -> Location:
    is_ward = kind is LocationKind.WARD
    return Location(
        location_id=location_id,
        site_id=SITE,
        kind=kind,
        part_of=None if is_ward else WARD,
        code=code,
        name_zh="第一病区" if is_ward else f"{code}床",
        name_en="First ward" if is_ward else f"Bed {code}",
    )
