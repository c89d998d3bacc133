"""Putting a ward file into the database."""

from datetime import datetime

from cloud.identity.model import SYSTEM
from cloud.store.connection import Database
from cloud.ward import queries
from cloud.ward.model import WardFile
from vitals.observation import SourceId


def place_ward(
    connection: Database, ward: WardFile, *, organisation_id: str, site_id: str, now: datetime
) -> None:
    """Create or update its patients and bind their sensors from now on; a second run changes nothing."""
    for patient in ward.patients:
        queries.upsert_patient(connection, patient, organisation_id=organisation_id, site_id=site_id)
        for src in patient.sources:
            queries.insert_unknown_source(connection, src, agent=ward.agent)
            bind_source(connection, src, patient_id=patient.id, now=now)


def bind_source(connection: Database, src: SourceId, *, patient_id: str, now: datetime) -> None:
    """Bind a known sensor to a patient from now on, ending its binding to another."""
    bound = queries.bound_patient(connection, SYSTEM, src, at=now)
    if bound == patient_id:
        return
    if bound is not None:
        queries.end_binding(connection, src, at=now)
    queries.begin_binding(connection, src, patient_id=patient_id, at=now)
