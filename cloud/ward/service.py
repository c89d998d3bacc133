"""Putting a ward file into the database."""

from collections.abc import Callable
from datetime import datetime

from cloud.act import Act, Action, Origin, TargetKind, target
from cloud.identity.model import SYSTEM
from cloud.store.connection import Database
from cloud.ward import queries
from cloud.ward.model import WardFile
from vitals.observation import SourceId

Bind = Callable[[Database, SourceId, str, datetime], list[Act]]
"""Binds a source to a patient from a moment on, taking it from whoever has it; says what was done."""


def place_ward(  # noqa: PLR0913 - what it is about, and the port
    connection: Database, ward: WardFile, *, organisation_id: str, site_id: str, now: datetime, bind: Bind
) -> list[Act]:
    """Create or update its patients and bind their sensors from now on; a second run changes nothing.

    Returns what was done, for the audit.
    """
    acts: list[Act] = []
    for patient in ward.patients:
        done = queries.upsert_patient(connection, patient, organisation_id=organisation_id, site_id=site_id)
        if done is not None:
            on = target(TargetKind.PATIENT, patient.id)
            acts.append(SYSTEM.act(_UPSERTS[done], on, origin=Origin.COMMAND))
        for src in patient.sources:
            queries.insert_unknown_source(connection, src, agent=ward.agent, site_id=site_id)
            acts.extend(bind(connection, src, patient.id, now))
    return acts


_UPSERTS = {
    queries.Upserted.CREATED: Action.CREATE_PATIENT,
    queries.Upserted.CHANGED: Action.CHANGE_PATIENT,
}
