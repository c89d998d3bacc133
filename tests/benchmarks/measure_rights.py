"""Measure how long it takes to decide whether somebody may see a patient.

`python -m tests.benchmarks.measure_rights [PATIENTS]` prints one JSON object for `docs/benchmarks.md`.
Beside the patients there is a hundredth as many people at work, a tenth as many duties, and one care
relation for each patient. Half of the questions are about somebody who may be seen.
"""

import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cloud.identity.model import Role, Subject, subject_of
from cloud.identity.queries import asked_by, find_sights
from cloud.store.connection import Database, connect
from cloud.store.migrate import migrate
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.home import Home, prepare_home
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_people import timed
from tests.fixtures.services import PostgresServer

PATIENTS_PER_SITE = 1_000
QUESTIONS = 5_000
WALL = 200
FILL = (
    "INSERT INTO organisation SELECT 'o-' || i, '', '' FROM generate_series(0, %(organisations)s - 1) i",
    "INSERT INTO site SELECT 's-' || i, 'o-' || i %% %(organisations)s, '', '' "
    "FROM generate_series(0, %(sites)s - 1) i",
    "INSERT INTO person SELECT 'd-' || i, 'o-' || i %% %(organisations)s, '', '' "
    "FROM generate_series(0, %(staff)s - 1) i",
    "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
    "SELECT 'p-' || i, 'o-' || i %% %(sites)s %% %(organisations)s, 's-' || i %% %(sites)s, '', '', '', '' "
    "FROM generate_series(0, %(patients)s - 1) i",
    "INSERT INTO team SELECT 't-' || i, 'o-' || i %% %(organisations)s, '', '' "
    "FROM generate_series(0, %(sites)s - 1) i",
    "INSERT INTO team_place (team_id, site_id) SELECT 't-' || i, 's-' || i "
    "FROM generate_series(0, %(sites)s - 1) i",
    # Ten shifts a person, eight hours each, one after the other; the last one has no end.
    "INSERT INTO duty (team_id, person_id, during) "
    "SELECT 't-' || (i + 7 * shift) %% %(sites)s, 'd-' || i, tstzrange(now() - shift * interval '8 hours', "
    "CASE WHEN shift > 0 THEN now() - (shift - 1) * interval '8 hours' END) "
    "FROM generate_series(0, %(staff)s - 1) i, generate_series(0, 9) shift",
    "INSERT INTO care_relation (kind, patient_id, person_id, during, origin) "
    "SELECT 'encounter', 'p-' || i, 'd-' || (i * 31 %% %(staff)s), "
    "tstzrange(now() - interval '1 hour', now() + (i %% 2) * interval '11 hours'), '' "
    "FROM generate_series(0, %(patients)s - 1) i",
    "INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason) "
    "SELECT a.organisation_id, a.patient_id, b.patient_id, now(), '', '' FROM patient a "
    "JOIN patient b ON b.organisation_id = a.organisation_id "
    "AND b.patient_id = 'p-' || substr(a.patient_id, 3)::bigint + %(sites)s "
    "WHERE substr(a.patient_id, 3)::bigint %% (100 * %(sites)s) < %(sites)s",
)


def main(patients: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="qlr-", dir="/tmp"))
    folder.chmod(0o711)
    home = Home(path=folder)
    prepare_home(home)
    programs = find_programs(home)
    make_cluster(programs, home.postgres)
    server = PostgresServer(home=home, programs=programs)
    server.start()
    try:
        server.execute("CREATE DATABASE rights")
        print(json.dumps(measure(server.url("rights"), patients), indent=1))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(url: str, patients: int) -> dict[str, object]:
    sizes = {
        "patients": patients,
        "staff": patients // 100,
        "sites": max(1, patients // PATIENTS_PER_SITE),
        "organisations": max(1, patients // PATIENTS_PER_SITE // 10),
    }
    with connect(url) as connection:
        migrate(connection)
        started = time.monotonic()
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET synchronous_commit = off")
        for statement in FILL:
            connection.execute(statement.encode(), sizes)
        connection.execute("VACUUM ANALYZE")
        fill_s = round(time.monotonic() - started, 1)
        round_trip = timed(round_trips(connection))
        before_s = server_cpu_s(connection)
        may_see = timed(decisions(connection, sizes))
        cpu_ms = (server_cpu_s(connection) - before_s) * 1000 / QUESTIONS
        return {
            "commit": commit(),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            **sizes,
            "duties": count(connection, "duty"),
            "care_relations": count(connection, "care_relation"),
            "merges": count(connection, "patient_merge"),
            "fill_s": fill_s,
            "round_trip_alone": round_trip,
            "may_see": may_see,
            "may_see_server_cpu_ms": round(cpu_ms, 3),
            f"sights_of_a_wall_of_{WALL}": timed(walls(connection, sizes)),
        }


def count(connection: Database, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608 our own names
    return 0 if row is None else int(row[0])


def server_cpu_s(connection: Database) -> float:
    """Processor time of the server's process: what other work on the machine does not lengthen."""
    stat = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def round_trips(connection: Database) -> Iterator[float]:
    """A query that does nothing: what every question costs."""
    for number in range(QUESTIONS):
        started = time.perf_counter()
        connection.execute("SELECT %s::text", (f"p-{number}",)).fetchone()
        yield time.perf_counter() - started


def doctor(number: int, sizes: dict[str, int]) -> Subject:
    organisation = f"o-{number % sizes['organisations']}"
    return subject_of(person=f"d-{number}", role=Role.CLINICIAN, organisation=organisation)


def decisions(connection: Database, sizes: dict[str, int]) -> Iterator[float]:
    """One question as a query of its own, seen from the client of a Unix socket."""
    chosen = random.Random(1)
    seen = 0
    for number in range(QUESTIONS):
        staff = chosen.randrange(sizes["staff"])
        patient = chosen.randrange(sizes["patients"])
        if number % 2:  # somebody of the site where the person is on duty now
            patient = patient // sizes["sites"] * sizes["sites"] + staff % sizes["sites"]
        started = time.perf_counter()
        row = connection.execute(
            "SELECT may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, %(patient)s, now())",
            {**asked_by(doctor(staff, sizes)), "patient": f"p-{patient % sizes['patients']}"},
        ).fetchone()
        yield time.perf_counter() - started
        assert row is not None
        assert row[0] or not number % 2
        seen += row[0]
    assert QUESTIONS * 0.45 < seen < QUESTIONS * 0.6


def walls(connection: Database, sizes: dict[str, int]) -> Iterator[float]:
    """Whom somebody may see of a whole wall: asked for each viewer again and again."""
    chosen = random.Random(2)
    for _ in range(300):
        staff = chosen.randrange(sizes["staff"])
        wall = [f"p-{chosen.randrange(sizes['patients'])}" for _ in range(WALL - 1)]
        wall.append(f"p-{staff % sizes['sites']}")
        started = time.perf_counter()
        sights = find_sights(connection, doctor(staff, sizes), wall)
        yield time.perf_counter() - started
        assert wall[-1] in sights


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
