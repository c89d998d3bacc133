"""Hiring and licensing people, forming teams, planning duty, and giving out accounts."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import psycopg
import structlog
from argon2 import PasswordHasher

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Role, Scope, Subject
from cloud.staff import queries
from cloud.staff.model import (
    KINDS_BY_ACCOUNT_ROLE,
    Duty,
    Licence,
    OnDuty,
    Practitioner,
    PractitionerKind,
    PractitionerRecord,
    Qualification,
    Shift,
    Signing,
    SigningRefusal,
    StaffAccount,
    StaffInvalid,
    StaffTaken,
    StaffUnknown,
    Team,
    TeamPlace,
    check_login_name,
    decide_signing,
    licence_context,
    mask_number,
    turns_of,
)
from cloud.store.connection import Database, Pool
from cloud.store.sealing import Sealer

_log = structlog.get_logger()
_Interval = tuple[datetime, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyPattern:
    """Turns that somebody takes in a team every week from one day to another."""

    person_id: str
    shifts: tuple[Shift, ...]
    first: date
    last: date


class StaffService:
    """Use cases of staff; safe to call from several threads.

    Whoever asks reaches the own organisation and everything below it; the rest is `StaffUnknown`. A change is
    recorded before it is done: without its entry (`AuditUnavailable`) it is rolled back.
    """

    def __init__(self, pool: Pool, *, sealer: Sealer, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._recorder = recorder
        self._clock = clock
        self._hasher = PasswordHasher()

    def list_practitioners(self, subject: Subject, organisation_id: str) -> list[Practitioner]:
        """Who works or worked at an organisation, without licences.

        Raises:
            StaffUnknown: it is not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            _check_organisation(connection, subject, organisation_id)
            return queries.find_practitioners(connection, subject, organisation_id=organisation_id)

    def read_practitioner(self, subject: Subject, person_id: str) -> PractitionerRecord:
        """Somebody with roles and licences.

        Raises:
            StaffUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.MANAGE_PLACES)
        with self._pool.connection() as connection:
            record = self._practitioner(connection, subject, person_id)
        self._record(subject, Action.READ_PRACTITIONER, TargetKind.PRACTITIONER, person_id)
        return record

    def create_practitioner(
        self, subject: Subject, organisation_id: str, *, display: tuple[str, str], kind: PractitionerKind
    ) -> PractitionerRecord:
        """Somebody new begins to work at an organisation.

        Raises:
            StaffUnknown: it is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _check_organisation(connection, subject, organisation_id)
            person_id = f"person-{secrets.token_hex(8)}"
            queries.insert_person(connection, person_id, organisation_id=organisation_id, display=display)
            queries.insert_role(
                connection, person_id, organisation_id=organisation_id, kind=kind, at=self._clock()
            )
            self._record(subject, Action.CREATE_PRACTITIONER, TargetKind.PRACTITIONER, person_id)
            return self._practitioner(connection, subject, person_id)

    def begin_role(
        self, subject: Subject, person_id: str, *, organisation_id: str, kind: PractitionerKind
    ) -> PractitionerRecord:
        """Somebody begins to work as something more, or somewhere else too.

        Raises:
            StaffUnknown: the person or the organisation is not there, or beyond reach.
            StaffTaken: that person works so there already.
        """
        with self._changing(subject) as connection:
            self._practitioner(connection, subject, person_id)
            _check_organisation(connection, subject, organisation_id)
            queries.insert_role(
                connection, person_id, organisation_id=organisation_id, kind=kind, at=self._clock()
            )
            self._record(subject, Action.BEGIN_ROLE, TargetKind.PRACTITIONER, person_id)
            return self._practitioner(connection, subject, person_id)

    def end_role(self, subject: Subject, person_id: str, *, role_id: int) -> PractitionerRecord:
        """Somebody no longer works so. Duties that no other role covers end with it.

        Raises:
            StaffUnknown: person or role is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            found = self._practitioner(connection, subject, person_id)
            if role_id not in {role.role_id for role in found.practitioner.roles}:
                raise StaffUnknown
            now = self._clock()
            queries.end_role(connection, role_id, at=now)
            queries.end_uncovered_duties(connection, person_id, at=now)
            self._record(subject, Action.END_ROLE, TargetKind.PRACTITIONER, person_id)
            return self._practitioner(connection, subject, person_id)

    def add_qualification(
        self, subject: Subject, person_id: str, *, licence: Licence, number: str
    ) -> PractitionerRecord:
        """Somebody has a licence.

        Raises:
            StaffUnknown: the person is not there, or beyond reach.
            StaffInvalid: it ends before it begins.
        """
        if licence.valid_until is not None and licence.valid_until <= licence.valid_from:
            raise StaffInvalid("valid_until", "it does not lie after valid_from")
        sealed = self._sealer.seal(number, context=licence_context(person_id, licence.kind))
        with self._changing(subject) as connection:
            self._practitioner(connection, subject, person_id)
            queries.insert_qualification(connection, person_id, licence=licence, sealed_number=sealed)
            self._record(subject, Action.ADD_QUALIFICATION, TargetKind.PRACTITIONER, person_id)
            return self._practitioner(connection, subject, person_id)

    def revoke_qualification(
        self, subject: Subject, person_id: str, *, qualification_id: int
    ) -> PractitionerRecord:
        """A licence holds no longer, from now on. Revoking twice keeps the first moment.

        Raises:
            StaffUnknown: person or licence is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            self._practitioner(connection, subject, person_id)
            is_revoked = queries.revoke_qualification(
                connection, person_id, qualification_id=qualification_id, at=self._clock()
            )
            if not is_revoked:
                raise StaffUnknown
            self._record(subject, Action.REVOKE_QUALIFICATION, TargetKind.PRACTITIONER, person_id)
            return self._practitioner(connection, subject, person_id)

    def may_sign(self, person_id: str, *, at: datetime) -> Signing:
        """Whether somebody may sign at a moment, by all roles and licences, and if not why."""
        with self._pool.connection() as connection:
            return may_sign(connection, person_id, at=at)

    def list_accounts(self, subject: Subject, organisation_id: str) -> list[StaffAccount]:
        """Who can log in for an organisation.

        Raises:
            StaffUnknown: it is not there, or beyond reach.
        """
        _require(subject, Scope.MANAGE_ACCOUNTS)
        with self._pool.connection() as connection:
            _check_organisation(connection, subject, organisation_id)
            return queries.find_accounts(connection, subject, organisation_id=organisation_id)

    def create_account(
        self, subject: Subject, person_id: str, *, name: str, role: Role
    ) -> tuple[StaffAccount, str]:
        """An account for somebody, and its password, which nobody sees again.

        Raises:
            StaffUnknown: the person is not there, or beyond reach.
            StaffInvalid: the person does not work as what the role needs, or the name cannot be one.
            StaffTaken: the name is taken.
        """
        _require(subject, Scope.MANAGE_ACCOUNTS)
        stored, password = check_login_name(name), secrets.token_urlsafe(12)
        password_hash = self._hasher.hash(password)
        with self._transaction() as connection:
            found = self._practitioner(connection, subject, person_id).practitioner
            if not queries.is_of_reached_organisation(connection, subject, person_id):
                raise StaffUnknown
            held = {one.kind for one in found.roles if one.holds_at(self._clock())}
            if not held & KINDS_BY_ACCOUNT_ROLE.get(role, frozenset()):
                raise StaffInvalid("role", "nobody who works as that person does gets such an account")
            is_new = queries.insert_account(
                connection, stored, person_id=person_id, role=role, password_hash=password_hash
            )
            if not is_new:
                raise StaffTaken("this login name is taken")
            self._record(subject, Action.CREATE_ACCOUNT, TargetKind.ACCOUNT, person_id)
            (account,) = queries.find_accounts(connection, subject, name=stored)
        _log.info("account_created", person=person_id, role=role.value, by=subject.person)
        return account, password

    def disable_account(self, subject: Subject, name: str) -> None:
        """Nobody logs in by this name any more; open sessions end at once. Twice is no error.

        Raises:
            StaffUnknown: not there, or beyond reach.
            StaffTaken: it is the subject's own.
        """
        _require(subject, Scope.MANAGE_ACCOUNTS)
        with self._transaction() as connection:
            found = queries.find_accounts(connection, subject, name=name)
            if not found:
                raise StaffUnknown
            if found[0].person_id == subject.person:
                raise StaffTaken("somebody else has to disable your own account")
            queries.disable_account(connection, name, at=self._clock())
            self._record(subject, Action.DISABLE_ACCOUNT, TargetKind.ACCOUNT, found[0].person_id)
        _log.info("account_disabled", person=found[0].person_id, by=subject.person)

    def list_teams(self, subject: Subject, organisation_id: str) -> list[Team]:
        """The teams of an organisation.

        Raises:
            StaffUnknown: it is not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            _check_organisation(connection, subject, organisation_id)
            return queries.find_teams(connection, subject, organisation_id=organisation_id)

    def read_team(self, subject: Subject, team_id: str) -> Team:
        """A team.

        Raises:
            StaffUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            return _team(connection, subject, team_id)

    def create_team(self, subject: Subject, organisation_id: str, *, names: tuple[str, str]) -> Team:
        """A new team, still without places and people.

        Raises:
            StaffUnknown: the organisation is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _check_organisation(connection, subject, organisation_id)
            team_id = f"team-{secrets.token_hex(8)}"
            queries.insert_team(
                connection, team_id, organisation_id=organisation_id, name_zh=names[0], name_en=names[1]
            )
            self._record(subject, Action.CREATE_TEAM, TargetKind.TEAM, team_id)
            return _team(connection, subject, team_id)

    def close_team(self, subject: Subject, team_id: str) -> Team:
        """From now on the team looks after nothing, whoever is on duty in it. Twice is no error.

        Raises:
            StaffUnknown: not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _team(connection, subject, team_id)
            queries.close_team(connection, team_id, at=self._clock())
            self._record(subject, Action.CHANGE_TEAM, TargetKind.TEAM, team_id)
            return _team(connection, subject, team_id)

    def add_place(self, subject: Subject, team_id: str, place: TeamPlace) -> Team:
        """The team looks after a site or a location too. Twice is no error.

        Raises:
            StaffUnknown: team or place is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _team(connection, subject, team_id)
            if not queries.reaches_place(connection, subject, place):
                raise StaffUnknown
            queries.insert_team_place(
                connection, team_id, site_id=place.site_id, location_id=place.location_id
            )
            self._record(subject, Action.CHANGE_TEAM, TargetKind.TEAM, team_id)
            return _team(connection, subject, team_id)

    def remove_place(self, subject: Subject, team_id: str, place: TeamPlace) -> Team:
        """The team no longer looks after it. Twice is no error.

        Raises:
            StaffUnknown: the team is not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            _team(connection, subject, team_id)
            queries.delete_team_place(connection, team_id, place=place)
            self._record(subject, Action.CHANGE_TEAM, TargetKind.TEAM, team_id)
            return _team(connection, subject, team_id)

    def list_duties(self, subject: Subject, team_id: str, *, span: tuple[datetime, datetime]) -> list[Duty]:
        """The duties of a team that touch a span of time.

        Raises:
            StaffUnknown: the team is not there, or beyond reach.
            StaffInvalid: the span ends before it begins.
        """
        _require(subject, Scope.READ_PLACES)
        _check_interval(span)
        with self._pool.connection() as connection:
            _team(connection, subject, team_id)
            return queries.find_duties(connection, subject, team_id, from_at=span[0], to_at=span[1])

    def add_duty(self, subject: Subject, team_id: str, *, person_id: str, during: _Interval) -> Duty:
        """One duty; without an end it is a standing one.

        Raises:
            StaffUnknown: team or person is not there, or beyond reach.
            StaffInvalid: the person has no role there, or the duty ends before it begins.
            StaffTaken: the person is on duty in this team already.
        """
        _check_interval(during)
        with self._planning(subject, team_id, person_id=person_id, turns=[during]) as connection:
            duty_id = queries.insert_duty(
                connection, team_id, person_id=person_id, begins_at=during[0], ends_at=during[1]
            )
        return Duty(
            duty_id=duty_id, team_id=team_id, person_id=person_id, begins_at=during[0], ends_at=during[1]
        )

    def add_pattern(self, subject: Subject, team_id: str, pattern: DutyPattern) -> int:
        """Every turn of a weekly pattern, all or none; the times are those of the team's first site.

        Returns how many duties were made.

        Raises:
            StaffUnknown: team or person is not there, or beyond reach.
            StaffInvalid: the turns overlap, the days cannot be, or the team looks after no place yet.
            StaffTaken: the person is on duty in this team already.
        """
        _require(subject, Scope.MANAGE_PLACES)
        with self._pool.connection() as connection:
            places = _team(connection, subject, team_id).places
            zone = queries.zone_of_site(connection, places[0].site_id) if places else None
        if zone is None:
            raise StaffInvalid("team", "it looks after no place yet, so its clock is not known")
        turns = turns_of(pattern.shifts, first=pattern.first, last=pattern.last, zone=ZoneInfo(zone))
        if not turns:
            raise StaffInvalid("shifts", "none falls on these days")
        intervals = [(turn.begins_at, turn.ends_at) for turn in turns]
        with self._planning(subject, team_id, person_id=pattern.person_id, turns=intervals) as connection:
            queries.insert_duties(connection, team_id, person_id=pattern.person_id, turns=turns)
        return len(turns)

    def end_duty(self, subject: Subject, duty_id: int) -> None:
        """A duty that runs ends now, one to come is struck out; one that is over stays as it was.

        Raises:
            StaffUnknown: not there, or beyond reach.
        """
        with self._changing(subject) as connection:
            duty = queries.find_duty(connection, subject, duty_id)
            if duty is None:
                raise StaffUnknown
            queries.end_duty(connection, duty_id, at=self._clock())
            self._record(subject, Action.END_DUTY, TargetKind.PRACTITIONER, duty.person_id)
            self._record(subject, Action.CHANGE_TEAM, TargetKind.TEAM, duty.team_id)

    def on_duty_at(self, subject: Subject, location_id: str) -> list[OnDuty]:
        """Who is on duty now for a location.

        Raises:
            StaffUnknown: not there, or beyond reach.
        """
        _require(subject, Scope.READ_PLACES)
        with self._pool.connection() as connection:
            if not queries.location_is_reached(connection, subject, location_id):
                raise StaffUnknown
            return queries.find_on_duty_at_location(connection, subject, location_id, at=self._clock())

    def on_duty_for(self, subject: Subject, patient_id: str) -> list[OnDuty]:
        """Who is on duty now for where a patient is.

        Raises:
            StaffUnknown: not there, or not for this subject.
        """
        _require(subject, Scope.READ_PATIENTS)
        with self._pool.connection() as connection:
            patient = queries.find_patient(connection, subject, patient_id)
            if patient is None:
                raise StaffUnknown
            found = queries.find_on_duty_for_patient(connection, subject, patient, at=self._clock())
        self._record(subject, Action.FIND_ON_DUTY, TargetKind.PATIENT, patient)
        return found

    def _practitioner(self, connection: Database, subject: Subject, person_id: str) -> PractitionerRecord:
        found = queries.find_practitioners(connection, subject, person_id=person_id)
        if not found:
            raise StaffUnknown
        licences = queries.find_qualifications(connection, person_id)
        return PractitionerRecord(
            practitioner=found[0],
            qualifications=tuple(licences),
            numbers=tuple(self._masked(person_id, one) for one in licences),
            may_sign=may_sign(connection, person_id, at=self._clock()),
        )

    def _masked(self, person_id: str, one: Qualification) -> str:
        context = licence_context(person_id, one.licence.kind)
        return mask_number(self._sealer.unseal(one.sealed_number, context=context))

    @contextmanager
    def _planning(
        self, subject: Subject, team_id: str, *, person_id: str, turns: Sequence[_Interval]
    ) -> Iterator[Database]:
        try:
            with self._changing(subject) as connection:
                team = _team(connection, subject, team_id)
                if not queries.find_practitioners(connection, subject, person_id=person_id):
                    raise StaffUnknown
                is_covered = queries.has_role_for(
                    connection, person_id, organisation_id=team.organisation_id, at=self._clock()
                )
                if not is_covered:
                    raise StaffInvalid("person", "has no role at the organisation of this team or above it")
                yield connection
                self._record(subject, Action.ADD_DUTY, TargetKind.PRACTITIONER, person_id)
                self._record(subject, Action.CHANGE_TEAM, TargetKind.TEAM, team_id)
        except psycopg.errors.ExclusionViolation as error:
            with self._pool.connection() as connection:
                there = queries.find_overlap(connection, team_id, person_id=person_id, turns=turns)
            raise StaffTaken(_overlap_text(there)) from error

    @contextmanager
    def _changing(self, subject: Subject) -> Iterator[Database]:
        _require(subject, Scope.MANAGE_PLACES)
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.errors.ExclusionViolation as error:
            if error.diag.constraint_name == "one_role_at_a_time":
                raise StaffTaken("this person works there so already") from error
            raise

    def _record(self, subject: Subject, action: Action, kind: TargetKind, on: str) -> None:
        self._recorder.begin(subject.act(action, target(kind, on), origin=Origin.HTTP))()


def may_sign(connection: Database, person_id: str, *, at: datetime) -> Signing:
    """Whether somebody may sign at a moment, by all roles and licences, and if not why."""
    found = queries.find_practitioners(connection, SYSTEM, person_id=person_id)
    if not found:
        return Signing(refusal=SigningRefusal.NO_ROLE)
    return decide_signing(found[0].roles, queries.find_qualifications(connection, person_id), at=at)


def _require(subject: Subject, scope: Scope) -> None:
    if scope not in subject.scopes:
        raise NotAllowed


def _check_organisation(connection: Database, subject: Subject, organisation_id: str) -> None:
    if not queries.reaches_organisation(connection, subject, organisation_id):
        raise StaffUnknown


def _team(connection: Database, subject: Subject, team_id: str) -> Team:
    found = queries.find_teams(connection, subject, team_id=team_id)
    if not found:
        raise StaffUnknown
    return found[0]


def _check_interval(interval: _Interval) -> None:
    if interval[1] is not None and interval[1] <= interval[0]:
        raise StaffInvalid("ends_at", "it does not lie after the beginning")


def _overlap_text(there: _Interval | None) -> str:
    if there is None:
        return "this person is on duty in this team already"
    end = "on" if there[1] is None else f"to {there[1]:%Y-%m-%dT%H:%MZ}"
    return f"this person is on duty in this team already from {there[0]:%Y-%m-%dT%H:%MZ} {end}"
