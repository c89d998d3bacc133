"""Applying the policy of keeping, once a night: what is over is removed, and what was removed is proved.

Logs and waves go by their own age. What is of one person goes by the last contact: classes that are over
before the whole record are removed; a whole record is only *proposed*: somebody of the place decides.
"""

import asyncio
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.act import Action, AuditUnavailable, Origin, Recorder, TargetKind, target
from cloud.events import Clock
from cloud.identity.model import SYSTEM
from cloud.identity.sight import DataClass
from cloud.objects.errors import ObjectError
from cloud.retention import queries
from cloud.retention.formats.lines import to_line
from cloud.retention.model import (
    CLASS_BY_TABLE,
    Deletion,
    Kind,
    LastContact,
    Policy,
    PolicyInvalid,
    Removal,
    parse_policy,
)
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Database, Pool

_log = structlog.get_logger()
PROPOSER = "retention-policy"
_ZONE = ZoneInfo("Asia/Shanghai")
_ROWS_AT_A_TIME = 5000
# What one record or sensor may be the reason of. Anything else (no connection, no audit) is so for all.
_ITS_OWN = (psycopg.Error, ObjectError, ValueError, TypeError, ArithmeticError)


def read_policy(path: Path | None) -> Policy:
    """The policy of a TOML file; without one the law's own periods.

    Raises:
        PolicyInvalid: the file cannot be read, or keeps less than the law asks for.
    """
    if path is None:
        return Policy()
    try:
        return parse_policy(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise PolicyInvalid(str(path), error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise PolicyInvalid(str(path), f"it is no TOML: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long what is kept, and the hour at which what is over goes; None is never."""

    policy: Policy
    hour: int | None = None


class RetentionStream:
    """Removes what is over. Each step is one transaction with its entry in the audit, so it may be killed."""

    def __init__(
        self,
        pool: Pool,
        *,
        recorder: Recorder,
        clock: Clock,
        keeping: Keeping,
        waves: queries.WaveStore,
    ) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._policy = keeping.policy
        self._hour = keeping.hour
        self._waves = waves

    def _measured_by(self, connection: Database) -> queries.Measured:
        return queries.Measured(series=choose_series(connection), waves=self._waves)

    async def run(self) -> None:
        """Every night at the hour, until it is cancelled; never without an hour."""
        while self._hour is not None:
            await asyncio.sleep(seconds_until(self._hour, self._clock()))
            try:
                await asyncio.to_thread(self.apply)
            except (psycopg.Error, PoolTimeout, AuditUnavailable) as error:
                _log.warning("retention_postponed", error=type(error).__name__)

    def apply(self, *, origin: Origin = Origin.TIMER) -> list[Removal]:
        """Remove what is over now, and propose whose record is over; one that fails stays and stops no other.

        Raises:
            AuditUnavailable: an entry could not be written; what it was about is still there.
        """
        now = self._clock()
        removed = [one for kind in Kind for one in self._remove_old(kind, now, origin)]
        with self._pool.connection() as connection:
            people = queries.find_not_seen_since(connection, SYSTEM, self._policy.earliest_limit(now))
        for patient_id, organisation_id in people:
            try:
                removed += self._see_to(patient_id, organisation_id, now=now, origin=origin)
            except _ITS_OWN as error:
                _log.error("retention_failed", patient=patient_id, error=type(error).__name__)
        _log.info("retention_applied", removed=sum(one.rows for one in removed), people=len(people))
        return removed

    def _remove_old(self, kind: Kind, now: datetime, origin: Origin) -> list[Removal]:
        before = self._policy.limit_of(kind, now)
        if before is None:
            return []
        with self._pool.connection() as connection:
            parts = queries.find_parts(connection, kind)
        removed = list[Removal]()
        for part in parts:
            try:
                while said := self._remove_some(kind, part, now=now, before=before, origin=origin):
                    removed.append(said)
            except _ITS_OWN as error:
                _log.error("retention_failed", kind=kind.value, part=part, error=type(error).__name__)
        return removed

    def _remove_some(
        self, kind: Kind, part: str, *, now: datetime, before: datetime, origin: Origin
    ) -> Removal | None:
        """As much as one transaction takes; None when nothing is left."""
        with self._pool.connection() as connection, connection.transaction():
            rows = self._take_old(connection, kind, part, before=before)
            if not rows:
                return None
            running = sha256()
            for row in rows:
                running.update(to_line(row))
            said = Removal(
                removed_at=now,
                kind=kind.value,
                table=queries.TABLE_BY_KIND[kind],
                before=before,
                rows=len(rows),
                hash=running.digest(),
                policy_sha256=self._policy.sha256,
            )
            return self._note(connection, said, origin)

    def _take_old(
        self, connection: Database, kind: Kind, part: str, *, before: datetime
    ) -> list[dict[str, Any]]:
        if kind is Kind.WAVEFORMS:
            return queries.remove_old_waves(connection, part, before=before, waves=self._waves)
        return queries.remove_old(connection, kind, before=before, limit=_ROWS_AT_A_TIME)

    def _see_to(
        self, patient_id: str, organisation_id: str, *, now: datetime, origin: Origin
    ) -> list[Removal]:
        with self._pool.connection() as connection, connection.transaction():
            group = queries.find_group(connection, SYSTEM, patient_id)
            queries.lock_group(connection, group, measured=self._measured_by(connection))
            contact = queries.find_last_contact(connection, SYSTEM, group)
            if contact is None:
                return []
            if self._policy.kept_until(contact) <= now:
                self._propose(connection, patient_id, organisation_id, now=now, origin=origin)
                return []
            over = [each for each in DataClass if self._policy.kept_until(contact, each) <= now]
            return [
                one
                for table, each in CLASS_BY_TABLE.items()
                if each in over
                for one in self._erase(connection, table, group, contact=contact, origin=origin)
            ]

    def _erase(
        self, connection: Database, table: str, group: list[str], *, contact: LastContact, origin: Origin
    ) -> list[Removal]:
        """What was measured, which only a binding says is the person's; tables that name a person stay."""
        if table not in queries.MEASURED_TABLES:
            return []
        running, measured = sha256(), self._measured_by(connection)
        for row in queries.iterate_measured(connection, table, group=group, measured=measured):
            running.update(to_line(row))
        count = queries.erase_measured(connection, table, group=group, measured=measured)
        if count == 0:
            return []
        said = Removal(
            removed_at=self._clock(),
            kind=CLASS_BY_TABLE[table].value,
            table=table,
            patient_id=group[0],
            before=contact.at,
            rows=count,
            hash=running.digest(),
            policy_sha256=self._policy.sha256,
        )
        return [self._note(connection, said, origin)]

    def _propose(
        self, connection: Database, patient_id: str, organisation_id: str, *, now: datetime, origin: Origin
    ) -> None:
        if queries.was_proposed(connection, patient_id, by=PROPOSER):
            return
        asked = Deletion(
            deletion_id=0,
            patient_id=patient_id,
            organisation_id=organisation_id,
            requested_at=now,
            requested_by=PROPOSER,
            reason="the period of keeping is over (个人信息保护法 art. 47)",
        )
        if queries.insert_deletion(connection, asked) is not None:
            on = target(TargetKind.PATIENT, patient_id)
            self._recorder.begin(SYSTEM.act(Action.REQUEST_DELETION, on, origin=origin))()

    def _note(self, connection: Database, removal: Removal, origin: Origin) -> Removal:
        number = queries.insert_removal(connection, removal)
        on = target(TargetKind.REMOVAL, f"{number}:{removal.rows}:{removal.hash.hex()}")
        targets = [on] + ([target(TargetKind.PATIENT, removal.patient_id)] if removal.patient_id else [])
        self._recorder.begin(*(SYSTEM.act(Action.REMOVE_OLD, each, origin=origin) for each in targets))()
        return removal


def seconds_until(hour: int, now: datetime) -> float:
    """From now to the next time that a clock in China shows this hour."""
    here = now.astimezone(_ZONE)
    today = here.replace(hour=hour, minute=0, second=0, microsecond=0)
    return ((today if today > here else today + timedelta(days=1)) - here).total_seconds()
