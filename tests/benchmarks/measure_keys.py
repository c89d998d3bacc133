"""How long a change of keys takes while people are looked for: `python -m tests.benchmarks.measure_keys`.

The argument is the number of people; each has two identifiers. Everything is on this machine.
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from cloud.people import queries
from cloud.people.service import PeopleService
from cloud.people.stream import move_all_seals, switch_digests
from cloud.rights.service import EncounterBook
from cloud.sealed_columns import SEALED_COLUMNS
from cloud.store.connection import Database, build_pool, connect
from cloud.store.migrate import migrate
from cloud.store.reseal import move_column
from cloud.store.sealing import Sealer, SealingKey
from cloud.store.suite import Suite
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.home import Home, prepare_home
from tests.benchmarks import measure_people
from tests.benchmarks.measure_people import DOCTOR, NOW, Forgetting, commit, fill, resident_number
from tests.fixtures.services import PostgresServer

OLD, NEW = (SealingKey(number=n, suite=Suite.ED25519, secret=bytes([n]) * 32) for n in (1, 2))


def main(people: int) -> None:
    measure_people.SEALER = Sealer([OLD])
    folder = Path(tempfile.mkdtemp(prefix="qlk-", dir="/tmp"))
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


def measure(url: str, people: int) -> dict[str, object]:
    with connect(url) as connection, build_pool(url) as pool:
        migrate(connection)
        fill(connection, people)
        queries.replace_fingerprint(connection, Sealer([OLD]).fingerprint)
        ring = Sealer([OLD, NEW])
        ring.use(Sealer([OLD]).fingerprint)
        service = PeopleService(
            pool, sealer=ring, encounters=EncounterBook(), recorder=Forgetting(), clock=lambda: NOW
        )
        ended, looked = threading.Event(), list[float]()
        looker = threading.Thread(target=look, args=(service, people, ended, looked))
        looker.start()
        figures = rotate(connection, ring)
        ended.set()
        looker.join()
    looked.sort()
    return {"commit": commit(), "cores": os.cpu_count(), "identifiers": people * 2, **figures} | {
        "looked_for_meanwhile": len(looked),
        "found_p95_ms": round(looked[int(len(looked) * 0.95)] * 1000, 1),
        "found_slowest_ms": round(looked[-1] * 1000, 1),
    }


def rotate(connection: Database, ring: Sealer) -> dict[str, object]:
    started = time.monotonic()
    move_all_seals(connection, ring)
    moved = time.monotonic()
    switch_digests(connection, ring)
    switched = time.monotonic()
    rest = sum(move_column(connection, ring, place).sealed for place in SEALED_COLUMNS)
    return {
        "seal_and_digest_s": round(moved - started, 1),
        "switch_s_writers_wait": round(switched - moved, 1),
        "left_for_the_last_pass": rest,
        "last_pass_s": round(time.monotonic() - switched, 1),
    }


def look(service: PeopleService, people: int, ended: threading.Event, looked: list[float]) -> None:
    """Ask for one person after another; whoever is not found ends the measurement."""
    number = 0
    while not ended.is_set():
        number = (number + 7919) % people
        started = time.monotonic()
        found = service.resolve(DOCTOR, resident_number(number)).found
        looked.append(time.monotonic() - started)
        assert found, number
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
