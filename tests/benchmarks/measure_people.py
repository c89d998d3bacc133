"""Measure how fast any identifier is resolved among a million people.

`python -m tests.benchmarks.measure_people [PEOPLE]` prints one JSON object; `docs/benchmarks.md` keeps them.
The people have two identifiers each (resident number, record number); a hundredth was merged into another.
"""

import json
import os
import platform
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cloud.act import Act, Written
from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.live.queries import find_ward
from cloud.people import queries
from cloud.people.model import IdentifierKey
from cloud.people.service import PeopleService
from cloud.rights.service import EncounterBook
from cloud.store.connection import Database, build_pool, connect
from cloud.store.migrate import migrate
from cloud.store.sealing import Sealer
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.home import Home, prepare_home
from tests.benchmarks.measure_demo import commit
from tests.fixtures.duty import hire, put_on_duty
from tests.fixtures.services import PostgresServer
from vitals.identifiers.identifier import IdentifierKind
from vitals.identifiers.resident_id import check_character

DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation="own")
QUESTIONS = 5000
MERGED_EACH = 100
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SEALER = Sealer(secrets.token_bytes(32))
PATIENT_COLUMNS = (
    "patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort, birth_date)"
)
IDENTIFIER_COLUMNS = (
    "person_identifier (patient_id, organisation_id, kind, issuer, digest, sealed, standing, added_at, "
    "added_by)"
)
MERGE_COLUMNS = "patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason)"


def main(people: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="qlp-", dir="/tmp"))
    folder.chmod(0o711)
    home = Home(path=folder)
    prepare_home(home)
    programs = find_programs(home)
    make_cluster(programs, home.postgres)
    server = PostgresServer(home=home, programs=programs)
    server.start()
    try:
        server.execute("CREATE DATABASE people")
        print(json.dumps(measure(server.url("people"), people), indent=1))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Forgetting:
    """Takes no note: what the audit costs is measured by itself (`measure_audit`)."""

    def begin(self, *_acts: Act) -> Written:
        """Nothing to wait for."""
        return lambda: None

    def note(self, *_acts: Act) -> None:
        """Nothing."""


def measure(url: str, people: int) -> dict[str, object]:
    with connect(url) as connection:
        migrate(connection)
        started = time.monotonic()
        fill(connection, people)
        figures: dict[str, object] = {
            "commit": commit(),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "people": people,
            "identifiers": people * 2,
            "fill_s": round(time.monotonic() - started, 1),
            "identifier_table_mb": megabytes(connection),
        }
        figures |= {"in_the_database": resolve_in_database(connection, people)}
        started = time.monotonic()
        find_ward(connection, DOCTOR)
        figures["wall_ms"] = round((time.monotonic() - started) * 1000, 2)
    with build_pool(url) as pool:
        service = PeopleService(
            pool, sealer=SEALER, encounters=EncounterBook(), recorder=Forgetting(), clock=lambda: NOW
        )
        figures["resolve"] = timed(service_calls(service, people))
        figures["resolve_one_wrong_digit"] = timed(mistyped_calls(service, people))
        figures["candidates"] = timed(candidate_calls(service, people))
    return figures


def resident_number(number: int) -> str:
    born = date(1930, 1, 1) + timedelta(days=number % 35_000)
    first_17 = f"{330_100 + number // 35_000 % 80:06}{born:%Y%m%d}{number % 1000:03}"
    return first_17 + check_character(first_17)


def key_of(number: int) -> IdentifierKey:
    """The resident number of every other question, else the record number."""
    if number % 2:
        return stored_key(IdentifierKind.RESIDENT_ID, "", resident_number(number))
    return stored_key(IdentifierKind.HOSPITAL_RECORD, "own", f"R{number:08}")


def stored_key(kind: IdentifierKind, issuer: str, value: str) -> IdentifierKey:
    return IdentifierKey(kind=kind, issuer=issuer, digest=SEALER.digest(f"{kind.value}\0{issuer}\0{value}"))


def fill(connection: Database, people: int) -> None:
    identity_queries.upsert_organisation(connection, "own", site_id="site", name_zh="", name_en="")
    hire(connection, DOCTOR.person, "own")
    put_on_duty(connection, DOCTOR.person, site="site")
    connection.execute("SET statement_timeout = 0")
    copy_rows(connection, PATIENT_COLUMNS, patients(people))
    copy_rows(connection, IDENTIFIER_COLUMNS, identifiers(people))
    merged = range(0, people - 1, MERGED_EACH)
    rows = (("own", f"p-{number}", f"p-{number + 1}", NOW, "x", "x") for number in merged)
    copy_rows(connection, MERGE_COLUMNS, rows)
    connection.execute("VACUUM ANALYZE")


def copy_rows(connection: Database, columns: str, rows: Iterator[tuple[object, ...]]) -> None:
    with connection.cursor().copy(f"COPY {columns} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def patients(people: int) -> Iterator[tuple[object, ...]]:
    for number in range(people):
        born = date(1930, 1, 1) + timedelta(days=number % 35_000)
        yield f"p-{number}", "own", "site", "", f"姓名{number % 50_000}", "", "", born


def identifiers(people: int) -> Iterator[tuple[object, ...]]:
    for number in range(people):
        for kind, issuer, value in (
            (IdentifierKind.RESIDENT_ID, "", resident_number(number)),
            (IdentifierKind.HOSPITAL_RECORD, "own", f"R{number:08}"),
        ):
            sealed = SEALER.seal(value, context=f"p-{number}\0{kind.value}\0{issuer}")
            digest = stored_key(kind, issuer, value).digest
            yield f"p-{number}", "own", kind.value, issuer, digest, sealed, "held", NOW, "x"


def megabytes(connection: Database) -> float:
    row = connection.execute("SELECT pg_total_relation_size('person_identifier') / 1e6").fetchone()
    return round(float(row[0]), 1) if row else 0.0


def resolve_in_database(connection: Database, people: int) -> dict[str, float]:
    """One query from a prepared digest to the person, seen from the client of a Unix socket."""
    chosen = random.Random(1)

    def calls() -> Iterator[float]:
        for _ in range(QUESTIONS):
            key = key_of(chosen.randrange(people))
            started = time.perf_counter()
            found = queries.find_holders(connection, DOCTOR, [key])
            yield time.perf_counter() - started
            assert len(found) == 1

    return timed(calls())


def service_calls(service: PeopleService, people: int) -> Iterator[float]:
    """The whole use case: place, parsing, digest, query."""
    chosen = random.Random(2)
    for _ in range(QUESTIONS):
        number = chosen.randrange(people)
        started = time.perf_counter()
        resolution = service.resolve(DOCTOR, resident_number(number))
        yield time.perf_counter() - started
        survivor = number + 1 if number % MERGED_EACH == 0 and number < people - 1 else number
        assert [one.person.patient_id for one in resolution.found] == [f"p-{survivor}"]


def mistyped_calls(service: PeopleService, people: int) -> Iterator[float]:
    """One wrong digit: eighteen numbers are looked for."""
    chosen = random.Random(3)
    for _ in range(500):
        number = resident_number(chosen.randrange(people))
        place = chosen.randrange(6, 17)
        mistyped = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
        started = time.perf_counter()
        resolution = service.resolve(DOCTOR, mistyped)
        yield time.perf_counter() - started
        assert len(resolution.near) >= 1


def candidate_calls(service: PeopleService, people: int) -> Iterator[float]:
    """Everybody who may be the same: by number, by name and birth date, by one wrong character."""
    chosen = random.Random(4)
    for _ in range(200):
        patient_id = f"p-{chosen.randrange(people)}"
        started = time.perf_counter()
        service.find_candidates(DOCTOR, patient_id)
        yield time.perf_counter() - started


def timed(calls: Iterator[float]) -> dict[str, float]:
    times = [seconds * 1000 for seconds in calls]
    parts = statistics.quantiles(times, n=100)
    return {
        "calls": len(times),
        "p50_ms": round(parts[49], 3),
        "p95_ms": round(parts[94], 3),
        "p99_ms": round(parts[98], 3),
        "max_ms": round(max(times), 3),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
