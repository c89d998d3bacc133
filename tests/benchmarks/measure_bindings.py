"""Measure hand-overs under load and concurrent claims of one device.

`python -m tests.benchmarks.measure_bindings [HAND_OVERS [CLAIMS]]` prints one JSON object for
`docs/benchmarks.md`. Everything is real: broker, ingest, database, wall, a WebSocket that keeps every frame,
the audit.
"""

import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from websockets.sync.client import connect as connect_websocket

from cloud.app import build_app
from cloud.assembly import Assembly, assemble
from cloud.binding.service import BindingService
from cloud.identity.model import Role, subject_of
from cloud.identity.routes import COOKIE
from cloud.identity.service import utc_now
from cloud.seed import ORGANISATION, SITE, seed_ward
from cloud.settings import CloudSettings
from cloud.store.connection import Database, Pool, connect
from cloud.store.migrate import migrate
from cloud.ward.model import WardFile
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.ports import port_is_free
from tests.benchmarks.measure_demo import commit
from tests.fixtures.duty import hire, put_on_duty
from tests.fixtures.hand_over import (
    Sender,
    Watcher,
    await_stored,
    furnish,
    hand_over,
    holes_between_bindings,
    misfiled_frames,
    misfiled_rows,
    overlapping_bindings,
)
from tests.fixtures.ingest import uncontested_ingest
from tests.fixtures.services import BrokerServer, PostgresServer, short_home
from vitals.observation import SourceId

SOURCES = [SourceId(f"clip-{number}") for number in range(20)]
CLAIMED = SourceId("cuff-claimed")
CONNECTIONS = 50
DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation=ORGANISATION)


@dataclass(frozen=True, kw_only=True)
class RunningCloud:
    """A cloud over HTTP with its database and broker."""

    address: str
    database_url: str
    mqtt_url: str
    assembly: Assembly
    password: str


@contextmanager
def running_cloud() -> Iterator[RunningCloud]:
    with ExitStack() as stack:
        home = stack.enter_context(short_home())
        programs = find_programs(home)
        make_cluster(programs, home.postgres)
        server = PostgresServer(home=home, programs=programs)
        server.start()
        server.execute("ALTER SYSTEM SET max_connections = 100")  # fifty of them are the claimants'
        server.stop()
        server.start()
        stack.callback(server.stop)
        server.execute("CREATE DATABASE bindings")
        port = next(port for port in range(19100, 19190) if port_is_free(port))
        broker = BrokerServer(home=home, port=port)
        broker.start()
        stack.callback(broker.kill)
        url = server.url("bindings")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with connect(url) as connection:
            migrate(connection)
            accounts = seed_ward(connection, WardFile(agent="hut-1"), now=utc_now())
            furnish(connection, [*SOURCES, CLAIMED], organisation=ORGANISATION, site=SITE)
            hire(connection, DOCTOR.person, ORGANISATION)
            put_on_duty(connection, DOCTOR.person, site=SITE)
            settings = CloudSettings(database_url=url, mqtt_url=broker.url, home=folder)
            built = assemble(settings, connection)
        ingest = uncontested_ingest(url, broker.url)
        ingest.start()
        stack.callback(ingest.stop)
        app = build_app(built, static=folder / "static")
        http = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="websockets-sansio")
        )
        thread = threading.Thread(target=http.run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(http.handle_exit, signal.SIGTERM, None)
        while not http.started:
            time.sleep(0.02)
        yield RunningCloud(
            address=f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}",
            database_url=url,
            mqtt_url=broker.url,
            assembly=built,
            password=next(one["password"] for one in accounts if one["name"] == "doctor"),
        )


def main(hand_overs: int, claims: int) -> None:
    with running_cloud() as cloud, connect(cloud.database_url) as database:
        found: dict[str, object] = {"commit": commit(), "load": os.getloadavg()[0]}
        found["claim"] = measure_claims(cloud, database, claims)
        print(json.dumps(found, indent=1), flush=True)
        found["hand_over"] = measure_hand_overs(cloud, database, hand_overs)
    print(json.dumps(found, indent=1))


def measure_hand_overs(cloud: RunningCloud, database: Database, times: int) -> dict[str, object]:
    """Random hand-overs of twenty sources that never stop sending, with a viewer."""
    client = httpx.Client(base_url=cloud.address, timeout=30)
    client.post("/api/login", json={"name": "doctor", "password": cloud.password}).raise_for_status()
    while not client.get("/api/health").json()["broker"]:
        time.sleep(0.05)
    headers = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    url = cloud.address.replace("http", "ws") + "/api/live"
    watcher = Watcher(connect_websocket(url, additional_headers=headers, origin=cloud.address, max_size=None))
    sender = Sender(mqtt_url=cloud.mqtt_url, sources=SOURCES, every_s=0.1)
    began = time.monotonic()
    took_s = hand_over(client, sender, times=times, pause_s=0.02, seed=11)
    lasted_s = time.monotonic() - began
    sender.stop()
    await_stored(database, sender.sent, within_s=120)
    time.sleep(2)
    watcher.stop()
    client.close()
    (doubtful,) = database.execute(
        "SELECT count(*) FROM observation WHERE clock_shift IS DISTINCT FROM '0'"
    ).fetchone()
    return {
        "hand_overs": times,
        "samples": sender.sent,
        "samples_per_s": round(sender.sent / lasted_s),
        "frames": len(watcher.frames),
        "misfiled_in_database": len(misfiled_rows(database)),
        "misfiled_in_frames": len(misfiled_frames(database, watcher.frames)),
        "samples_left_in_doubt": doubtful,
        "overlaps": overlapping_bindings(database),
        "scan_ms": percentiles(took_s),
    }


def measure_claims(cloud: RunningCloud, database: Database, claims: int) -> dict[str, object]:
    """Fifty connections that all want one device; each answer is held against the stored intervals."""
    answers: list[tuple[int, str]] = []
    took_s: list[float] = []
    pool = Pool(cloud.database_url, kwargs={"autocommit": True}, min_size=CONNECTIONS, max_size=CONNECTIONS)

    class Deaf:
        """No wall: what it costs is in the hand-overs."""

        def hold(self, sources: object) -> None:
            """Nothing."""

        settle = hold

    service = BindingService(pool, recorder=cloud.assembly.audit, wall=Deaf(), clock=utc_now)

    def claim(number: int) -> None:
        for turn in range(claims // CONNECTIONS):
            patient = f"p-{(number + turn) % len(SOURCES)}"
            started = time.monotonic()
            made = service.begin_scanned(DOCTOR, CLAIMED, patient_id=patient)
            took_s.append(time.monotonic() - started)
            answers.append((made.binding_id, patient))

    with pool:
        pool.wait(timeout=60)
        began = time.monotonic()
        threads = [threading.Thread(target=claim, args=[number]) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lasted_s = time.monotonic() - began
    stored = dict(
        database.execute("SELECT binding_id, patient_id FROM binding WHERE src = %s", (CLAIMED,)).fetchall()
    )
    return {
        "claims": len(answers),
        "connections": CONNECTIONS,
        "per_s": round(len(answers) / lasted_s),
        "intervals": len(stored),
        "answers_that_no_interval_backs": sum(stored.get(number) != who for number, who in answers),
        "instants_with_two_holders": overlapping_bindings(database),
        "instants_with_none": holes_between_bindings(database, CLAIMED),
        "claim_ms": percentiles(took_s),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {name: round(cuts[place] * 1000, 1) for name, place in (("p50", 49), ("p95", 94), ("p99", 98))}


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["1000", "10000"][len(sys.argv) - 1 :])))
