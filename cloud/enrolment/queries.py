"""The only SQL of this room."""

from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import TupleRow

from cloud.enrolment.authority.certificates import Revoked
from cloud.enrolment.model import (
    BoundPerson,
    EnrolledAgent,
    IssuedCertificate,
    ListedAgent,
    MadeCode,
    Occasion,
    age_in_years,
    hash_code,
)
from cloud.identity.model import Subject
from cloud.store.connection import Database


def find_site(connection: Database, subject: Subject, site_id: str | None) -> str | None:
    """A site of the asker's organisation; without an id its first one."""
    row = connection.execute(
        "SELECT site_id FROM site WHERE (%(own)s::text IS NULL OR organisation_id = %(own)s) "
        "AND (%(site)s::text IS NULL OR site_id = %(site)s) ORDER BY site_id LIMIT 1",
        {"own": subject.organisation, "site": site_id},
    ).fetchone()
    return None if row is None else str(row[0])


def agent_is_elsewhere(connection: Database, agent: str, *, site_id: str) -> bool:
    """Whether the name stands for an agent of another organisation than that of the site."""
    row = connection.execute(
        "SELECT 1 FROM agent JOIN site AS own ON own.site_id = agent.site_id "
        "JOIN site AS asked ON asked.site_id = %s "
        "WHERE agent.agent = %s AND own.organisation_id <> asked.organisation_id",
        (site_id, agent),
    ).fetchone()
    return row is not None


def insert_code(connection: Database, made: MadeCode) -> None:
    """Keep a code's hash; earlier codes of the organisation for the same agent open no longer."""
    connection.execute(
        "DELETE FROM enrolment_code USING site, site AS own WHERE agent = %s AND used_at IS NULL "
        "AND site.site_id = enrolment_code.site_id AND own.site_id = %s "
        "AND own.organisation_id = site.organisation_id",
        (made.agent, made.site_id),
    )
    connection.execute(
        "INSERT INTO enrolment_code (code_hash, agent, site_id, made_by, made_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (hash_code(made.code), made.agent, made.site_id, made.made_by, made.made_at, made.expires_at),
    )


def use_code(connection: Database, code_hash: bytes, *, now: datetime) -> EnrolledAgent | None:
    """Use up a code; of two that come with it at once, one gets it."""
    row = connection.execute(
        "UPDATE enrolment_code AS code SET used_at = %(now)s FROM site "
        "WHERE code_hash = %(hash)s AND used_at IS NULL AND expires_at > %(now)s "
        "AND site.site_id = code.site_id RETURNING code.agent, code.site_id, site.organisation_id",
        {"hash": code_hash, "now": now},
    ).fetchone()
    return None if row is None else _enrolled(row)


def delete_open_codes(connection: Database, agent: EnrolledAgent) -> None:
    """No code of its organisation lets the agent in any more; one that is just being used is waited for."""
    connection.execute(
        "DELETE FROM enrolment_code USING site WHERE agent = %s AND used_at IS NULL "
        "AND site.site_id = enrolment_code.site_id AND site.organisation_id = %s",
        (agent.agent, agent.organisation_id),
    )


def lock_agent(connection: Database, agent: str) -> None:
    """Until the transaction ends nobody else gives this agent a certificate or takes any from it."""
    connection.execute("SELECT FROM agent WHERE agent = %s FOR UPDATE", (agent,))


def upsert_agent(connection: Database, agent: EnrolledAgent) -> None:
    """An agent of a site."""
    connection.execute(
        "INSERT INTO agent (agent, site_id) VALUES (%s, %s) "
        "ON CONFLICT (agent) DO UPDATE SET site_id = EXCLUDED.site_id",
        (agent.agent, agent.site_id),
    )


def insert_certificate(connection: Database, issued: IssuedCertificate) -> None:
    """Enter a certificate into the register."""
    connection.execute(
        "INSERT INTO agent_certificate (serial, agent, occasion, issued_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s)",
        (issued.serial, issued.agent, issued.occasion, issued.issued_at, issued.expires_at),
    )


def revoke_certificates(
    connection: Database, agent: str, *, by: str, reason: str, now: datetime
) -> list[str]:
    """Revoke all that hold; returns their serials."""
    rows = connection.execute(
        "UPDATE agent_certificate SET revoked_at = %(now)s, revoked_by = %(by)s, reason = %(reason)s "
        "WHERE agent = %(agent)s AND revoked_at IS NULL AND expires_at > %(now)s RETURNING serial",
        {"agent": agent, "by": by, "reason": reason, "now": now},
    ).fetchall()
    return [str(row[0]) for row in rows]


def find_holder(connection: Database, serial: str, *, now: datetime) -> EnrolledAgent | None:
    """Whose certificate it is, if it still holds."""
    row = connection.execute(
        "SELECT agent, site_id, organisation_id FROM agent_certificate "
        "JOIN agent USING (agent) JOIN site USING (site_id) "
        "WHERE serial = %s AND revoked_at IS NULL AND expires_at > %s",
        (serial, now),
    ).fetchone()
    return None if row is None else _enrolled(row)


def find_agent(connection: Database, subject: Subject, agent: str) -> EnrolledAgent | None:
    """An agent of the asker's organisation."""
    row = connection.execute(
        "SELECT agent, site_id, organisation_id FROM agent JOIN site USING (site_id) "
        "WHERE agent = %s AND (%s::text IS NULL OR organisation_id = %s)",
        (agent, subject.organisation, subject.organisation),
    ).fetchone()
    return None if row is None else _enrolled(row)


def list_agents(connection: Database, subject: Subject) -> list[ListedAgent]:
    """The agents of the asker's organisation, each with its newest certificate."""
    rows = connection.execute(
        "SELECT agent.agent, agent.site_id, agent.online, agent.lineage IS NOT NULL, agent.last_seen_at, "
        "newest.serial, newest.occasion, newest.issued_at, newest.expires_at, newest.revoked_at "
        "FROM agent JOIN site USING (site_id) LEFT JOIN LATERAL ("
        " SELECT * FROM agent_certificate WHERE agent_certificate.agent = agent.agent "
        " ORDER BY issued_at DESC, serial LIMIT 1) AS newest ON true "
        "WHERE %s::text IS NULL OR organisation_id = %s ORDER BY agent.agent",
        (subject.organisation, subject.organisation),
    ).fetchall()
    return [_listed(row) for row in rows]


def list_revoked(connection: Database, *, now: datetime) -> list[Revoked]:
    """What is refused before its end; what is over by itself need not be listed."""
    rows = connection.execute(
        "SELECT serial, revoked_at FROM agent_certificate WHERE revoked_at IS NOT NULL AND expires_at > %s",
        (now,),
    ).fetchall()
    return [Revoked(serial=int(row[0], 16), at=row[1]) for row in rows]


def list_put_out(connection: Database, *, since: datetime, now: datetime) -> dict[str, datetime]:
    """The agents that were revoked since then and have no certificate that holds, and when that was."""
    rows = connection.execute(
        "SELECT agent, max(revoked_at) FROM agent_certificate AS gone "
        "WHERE revoked_at > %(since)s AND expires_at > %(now)s AND NOT EXISTS ("
        " SELECT FROM agent_certificate AS good WHERE good.agent = gone.agent"
        " AND good.revoked_at IS NULL AND good.expires_at > %(now)s) GROUP BY agent",
        {"since": since, "now": now},
    ).fetchall()
    return {str(agent): revoked_at for agent, revoked_at in rows}


def next_list_number(connection: Database) -> int:
    """A number greater than any before."""
    row = connection.execute("SELECT nextval('revocation_list_number')").fetchone()
    assert row is not None  # noqa: S101 # a sequence always answers
    return int(row[0])


def lock_list(connection: Database) -> None:
    """One writer of the list at a time, so that a later list never holds less than an earlier one."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('revocation_list'))")


def _enrolled(row: Sequence[object]) -> EnrolledAgent:
    return EnrolledAgent(agent=str(row[0]), site_id=str(row[1]), organisation_id=str(row[2]))


def _listed(row: TupleRow) -> ListedAgent:
    agent, site_id, is_online, was_seen, last_seen_at, serial, occasion, issued_at, expires_at, revoked_at = (
        row
    )
    certificate = None
    if serial is not None:
        certificate = IssuedCertificate(
            serial=serial,
            agent=agent,
            occasion=Occasion(occasion),
            issued_at=issued_at,
            expires_at=expires_at,
            revoked_at=revoked_at,
        )
    return ListedAgent(
        agent=agent,
        site_id=site_id,
        is_online=is_online,
        last_seen_at=last_seen_at if was_seen else None,
        certificate=certificate,
    )


def list_bound_people(
    connection: Database, subject: Subject, agent: str, *, now: datetime
) -> list[tuple[str, BoundPerson]]:
    """Who wears an agent's sensors now, each with the id of the patient for the audit."""
    rows = connection.execute(
        "SELECT patient.patient_id, binding.binding_id::text, binding.src, "
        "patient.birth_date, patient.spo2_scale "
        "FROM binding JOIN source USING (src) "
        "JOIN patient ON patient.patient_id = surviving_patient(binding.patient_id) "
        "WHERE source.agent = %s AND during @> %s AND patient.organisation_id = %s ORDER BY binding.src",
        (agent, now, subject.organisation),
    ).fetchall()
    return [
        (
            str(patient_id),
            BoundPerson(
                binding=str(binding_id),
                src=str(src),
                age_years=None if birth_date is None else age_in_years(birth_date, now.date()),
                spo2_scale=int(scale),
            ),
        )
        for patient_id, binding_id, src, birth_date, scale in rows
    ]
