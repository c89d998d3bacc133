"""Putting a ward file into the database."""

from datetime import datetime

from cloud.act import Act, Action, Origin, TargetKind, target
from cloud.identity.model import SYSTEM
from cloud.store.connection import Database
from cloud.ward import queries
from cloud.ward.model import WardFile
from vitals.observation import SourceId


def place_ward(
    connection: Database, ward: WardFile, *, organisation_id: str, site_id: str, now: datetime
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
            queries.insert_unknown_source(connection, src, agent=ward.agent)
            acts.extend(bind_source(connection, src, patient_id=patient.id, now=now))
    return acts


def bind_source(connection: Database, src: SourceId, *, patient_id: str, now: datetime) -> list[Act]:
    """Bind a known sensor to a patient from now on, ending its binding to another; returns what was done."""
    bound = queries.bound_patient(connection, SYSTEM, src, at=now)
    if bound == patient_id:
        return []
    acts: list[Act] = []
    if bound is not None:
        queries.end_binding(connection, src, at=now)
        acts.append(_binding_act(Action.END_BINDING, src, patient_id=bound))
    queries.begin_binding(connection, src, patient_id=patient_id, at=now)
    acts.append(_binding_act(Action.BEGIN_BINDING, src, patient_id=patient_id))
    return acts


_UPSERTS = {
    queries.Upserted.CREATED: Action.CREATE_PATIENT,
    queries.Upserted.CHANGED: Action.CHANGE_PATIENT,
}


def _binding_act(action: Action, src: SourceId, *, patient_id: str) -> Act:
    on = target(TargetKind.BINDING, f"{src}:{patient_id}")
    return SYSTEM.act(action, on, origin=Origin.COMMAND)
