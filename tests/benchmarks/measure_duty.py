"""Measure how fast it is found who is on duty for a patient, among 1,000 teams and 100,000 duties.

`python -m tests.benchmarks.measure_duty` prints one JSON object; `docs/benchmarks.md` keeps them.
"""

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.identity.model import Role, subject_of
from cloud.staff import queries
from cloud.store.connection import Database, connect
from cloud.store.migrate import migrate
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.home import Home, prepare_home
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_people import timed
from tests.fixtures.services import PostgresServer

DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation="own")
TEAMS, PEOPLE_IN_TEAM, TURNS = 1000, 5, 20
BEDS_IN_WARD, WARDS_AT_SITE = 40, 10
QUESTIONS = 3000
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="qld-", dir="/tmp"))
    folder.chmod(0o711)
    home = Home(path=folder)
    prepare_home(home)
    programs = find_programs(home)
    make_cluster(programs, home.postgres)
    server = PostgresServer(home=home, programs=programs)
    server.start()
    try:
        server.execute("CREATE DATABASE duty")
        with connect(server.url("duty")) as connection:
            migrate(connection)
            fill(connection)
            figures = {"commit": commit(), "cores": os.cpu_count(), "teams": TEAMS}
            figures |= {"duties": count(connection), "on_duty_for_patient": timed(calls(connection))}
            print(json.dumps(figures, indent=1))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def count(connection: Database) -> int:
    row = connection.execute("SELECT count(*) FROM duty").fetchone()
    return int(row[0]) if row else 0


def fill(connection: Database) -> None:
    """One team a ward, ten wards a site, forty beds a ward; a team has five people with twenty turns each."""
    values = {"teams": TEAMS, "beds": BEDS_IN_WARD, "wards": WARDS_AT_SITE, "people": PEOPLE_IN_TEAM}
    values |= {"turns": TURNS, "now": NOW}
    connection.execute("SET statement_timeout = 0")
    for statement in (
        "INSERT INTO organisation VALUES ('own', '', '')",
        "INSERT INTO site SELECT 's-' || n, 'own', '', '' "
        "FROM generate_series(0, %(teams)s / %(wards)s - 1) n",
        "INSERT INTO location SELECT 'w-' || n, 's-' || n / %(wards)s, 'ward', NULL, n::text, '', '' "
        "FROM generate_series(0, %(teams)s - 1) n",
        "INSERT INTO location SELECT 'b-' || n || '-' || b, 's-' || n / %(wards)s, 'bed', 'w-' || n, "
        "n || '-' || b, '', '' FROM generate_series(0, %(teams)s - 1) n, generate_series(1, %(beds)s) b",
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort, "
        "location_id) SELECT 'p-' || location_id, 'own', site_id, code, '', '', '', location_id "
        "FROM location WHERE kind = 'bed'",
        "INSERT INTO person SELECT 'n-' || n, 'own', '', '' "
        "FROM generate_series(0, %(teams)s * %(people)s - 1) n",
        "INSERT INTO team SELECT 't-' || n, 'own', '', '' FROM generate_series(0, %(teams)s - 1) n",
        "INSERT INTO team_place SELECT 't-' || n, 's-' || n / %(wards)s, 'w-' || n "
        "FROM generate_series(0, %(teams)s - 1) n",
        "INSERT INTO duty (team_id, person_id, during) SELECT 't-' || n / %(people)s, 'n-' || n, "
        "tstzrange(%(now)s + (d * 24 + n %% 3 * 8) * interval '1 hour', "
        "%(now)s + (d * 24 + n %% 3 * 8 + 8) * interval '1 hour') "
        "FROM generate_series(0, %(teams)s * %(people)s - 1) n, generate_series(0, %(turns)s - 1) d",
    ):
        connection.execute(statement.encode(), values)
    connection.execute("VACUUM ANALYZE")


def calls(connection: Database) -> Iterator[float]:
    chosen = random.Random(1)
    for _ in range(QUESTIONS):
        patient = f"p-b-{chosen.randrange(TEAMS)}-{chosen.randrange(1, BEDS_IN_WARD + 1)}"
        at = NOW + timedelta(hours=chosen.randrange(TURNS * 24))
        started = time.perf_counter()
        found = queries.find_on_duty_for_patient(connection, DOCTOR, patient, at=at)
        yield time.perf_counter() - started
        assert 1 <= len(found) <= 2


if __name__ == "__main__":
    main()
