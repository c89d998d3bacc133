"""SQL of a ward file: its patients and the devices of its agent."""

from enum import Enum, auto

from cloud.store.connection import Database
from cloud.ward.model import WardPatient
from vitals.observation import SourceId


class Upserted(Enum):
    """What an upsert did."""

    CREATED = auto()
    CHANGED = auto()


def upsert_patient(
    connection: Database, patient: WardPatient, *, organisation_id: str, site_id: str
) -> Upserted | None:
    """A patient as the ward file has it. An id never moves to another organisation.

    Whom a person has moved or discharged stays where that person said. Returns None when nothing had to be
    changed.
    """
    row = connection.execute(
        """
        INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort,
                             composite_zh, composite_en, spo2_scale)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (patient_id) DO UPDATE
           SET bed = CASE WHEN patient_moved_by_hand(patient.patient_id)
                          THEN patient.bed ELSE excluded.bed END,
               name_zh = excluded.name_zh, name_en = excluded.name_en,
               name_sort = excluded.name_sort, composite_zh = excluded.composite_zh,
               composite_en = excluded.composite_en, spo2_scale = excluded.spo2_scale
         WHERE patient.organisation_id = excluded.organisation_id
           AND (patient.bed, patient.name_zh, patient.name_en, patient.name_sort, patient.composite_zh,
                patient.composite_en, patient.spo2_scale)
               IS DISTINCT FROM (CASE WHEN patient_moved_by_hand(patient.patient_id)
                                      THEN patient.bed ELSE excluded.bed END,
                                 excluded.name_zh, excluded.name_en, excluded.name_sort,
                                 excluded.composite_zh, excluded.composite_en, excluded.spo2_scale)
        RETURNING xmax = 0
        """,
        (
            patient.id,
            organisation_id,
            site_id,
            patient.bed,
            patient.name_zh,
            patient.name_en,
            (patient.pinyin or patient.name_en).lower(),
            patient.composite_zh,
            patient.composite_en,
            patient.spo2_scale,
        ),
    ).fetchone()
    if row is None:
        return None
    return Upserted.CREATED if row[0] else Upserted.CHANGED


def insert_unknown_source(connection: Database, src: SourceId, *, agent: str, site_id: str) -> None:
    """A source that has not declared itself yet, so that it can be bound; only its agent may speak for it."""
    connection.execute(
        "INSERT INTO agent (agent, site_id) VALUES (%s, %s) "
        "ON CONFLICT (agent) DO UPDATE SET site_id = COALESCE(agent.site_id, excluded.site_id)",
        (agent, site_id),
    )
    connection.execute("INSERT INTO source (src, agent) VALUES (%s, %s) ON CONFLICT DO NOTHING", (src, agent))
