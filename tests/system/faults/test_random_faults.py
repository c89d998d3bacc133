"""Parts die alone and in pairs at random instants under load; every durable sample is stored, and once.

Simulated agents (`qianli fleet`) and one process with the real spool and uplink measure while it happens.
`QIANLI_ROUNDS` sets the rounds per broker, `QIANLI_SEED` their order, `QIANLI_FAULT_LOAD` the messages per s.
A round prints its seed: `QIANLI_SEED=that QIANLI_ROUNDS=1` repeats it.
"""

import os
import random
import secrets
import time
from dataclasses import dataclass

import pytest

from cloud.store.connection import connect
from cloud.store.migrate import migrate
from tests.fixtures.brokers import BrokerMissing, embedded, mosquitto, nats
from tests.fixtures.durable_agent import KEYS
from tests.fixtures.fault_parts import (
    SLOW_BYTES_PER_S,
    killable_postgres,
    small_volume,
    whole_installation,
)
from tests.fixtures.services import short_home
from tests.fixtures.stored_samples import refused, stored_moments, stored_samples

pytestmark = [pytest.mark.faults, pytest.mark.timeout(36_000)]

ROUNDS = int(os.environ.get("QIANLI_ROUNDS", "1"))
LOAD = int(os.environ.get("QIANLI_FAULT_LOAD", "100"))
FIRST_SEEDS = {"amqtt": 421, "mosquitto": 417, "nats": 419}
"""In the short form: ingest and broker die; both die while the database stands still; broker and edge die."""
SCENARIO = """
seed = {seed}
connects_per_s = 200
[[group]]
name = "{name}-home"
kind = "home_minute"
number = {homes}
pace = 300
silences = {{ every_s = 3.0, for_s = 0.7, cause = "sensor_off" }}
duplicates = 0.02
shuffle = 4
[[group]]
name = "{name}-road"
kind = "ambulance"
number = {ambulances}
[[group]]
name = "{name}-slip"
kind = "home_minute"
number = {slipping}
pace = 300
clock.offset_s = -2.5
clock.drift_ppm = 200
clock.source = "rtc"
clock.steps = [{{ at_s = 2, by_s = 3.003 }}, {{ at_s = 5, by_s = -1.0107 }}]
outages = [{{ from_s = 3, to_s = 6, flap_s = 0.5 }}]
"""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what puts it right."""

    name: str
    break_: object
    mend: object


def flap(parts, chance):
    for _ in range(chance.randint(2, 5)):
        parts.proxy.cut()
        time.sleep(chance.uniform(0.05, 0.6))
        parts.proxy.mend()
        time.sleep(chance.uniform(0.05, 0.6))


def freeze(parts, chance):
    """Until what arrives waits in the memory of ingest."""
    parts.freeze_database()
    time.sleep(chance.uniform(0.4, 1.5))


def let_another_take_over(parts, _chance):
    """The worker sleeps until its leases have run out and another has its shards."""
    parts.ingest.freeze()
    parts.rival.start()


def wake_dispossessed(parts, chance):
    """It wakes up in the belief that the shards are its own; a little later the other one leaves."""
    parts.ingest.resume()
    time.sleep(chance.uniform(0.5, 4))
    parts.rival.stop()


def step_clock(parts, chance):
    """To both sides, by less than what counts as the future."""
    for ahead_s in (250, -250, *(chance.uniform(-200, 200) for _ in range(3))):
        parts.ingest.set_clock(ahead_s)
        time.sleep(chance.uniform(1, 2))


def start_forgetful(parts, _chance):
    parts.broker.forget()
    parts.broker.start()


def revive_database(parts, _chance):
    if parts.database.process.poll() is not None:
        parts.database.start()


def free_volume(parts, chance):
    parts.free_volume()
    time.sleep(0.5)
    revive_database(parts, chance)


STEPPED = Fault("clock of the worker steps", step_clock, lambda p, _: p.ingest.set_clock(0))
DISPOSSESSED = Fault("two workers own one shard", let_another_take_over, wake_dispossessed)
KILLS = [
    Fault("edge killed", lambda p, _: p.edge.kill(), lambda p, _: p.edge.start()),
    Fault("broker killed", lambda p, _: p.broker.kill(), lambda p, _: p.broker.start()),
    Fault("ingest killed", lambda p, _: p.ingest.kill(), lambda p, _: p.ingest.launch()),
    Fault("database killed", lambda p, _: p.kill_database(), revive_database),
]
OTHERS = [
    Fault("broker killed and its memory gone", lambda p, _: p.broker.kill(), start_forgetful),
    Fault("link cut", lambda p, _: p.proxy.cut(), lambda p, _: p.proxy.mend()),
    Fault("link slow", lambda p, _: p.proxy.slow(SLOW_BYTES_PER_S), lambda p, _: p.proxy.mend()),
    Fault("link flapping", flap, lambda _p, _: None),
    DISPOSSESSED,
    Fault("disk of the edge full", lambda p, _: p.edge.fill_disk(), lambda p, _: p.edge.free_disk()),
]
FROZEN = Fault("database stands still", freeze, lambda p, _: p.resume_database())
SERVER_DISK = Fault("disk of the database full", lambda p, _: p.fill_volume(), free_volume)


def choose(chance, *, has_volume):
    """One fault or two; not the same part twice. Where no disk can be filled the database dies."""
    kind = chance.random()
    if kind < 0.45:
        chosen = chance.choice([*KILLS, *OTHERS, FROZEN, SERVER_DISK])
        return [chosen if has_volume or chosen is not SERVER_DISK else KILLS[-1]]
    if kind < 0.85:
        return chance.sample(KILLS, 2)
    return [FROZEN, *chance.sample(KILLS[1:3], 2)]  # whatever is acknowledged and not committed is lost now


@pytest.fixture(scope="module")
def server():
    with short_home() as home, small_volume(home.path / "volume") as has_volume:
        if not has_volume:
            print("no small disk can be mounted here: the database's disk is never filled")
        with killable_postgres(home, home.path / "volume") as postgres:
            yield home, postgres, has_volume


@pytest.fixture(params=FIRST_SEEDS)
def installation(request, server, tmp_path):
    home, postgres, has_volume = server
    name = f"faults_{request.param}_{secrets.token_hex(3)}"
    postgres.execute(f"CREATE DATABASE {name}")
    with connect(postgres.url(name)) as connection:
        migrate(connection)
    made = {
        "amqtt": lambda: embedded(home),
        "mosquitto": lambda: mosquitto(tmp_path),
        "nats": lambda: nats(tmp_path),
    }
    try:
        broker = made[request.param]()
    except BrokerMissing as missing:
        pytest.skip(str(missing))
    with whole_installation(home, postgres, postgres.url(name), broker=broker) as parts:
        yield parts, has_volume, int(os.environ.get("QIANLI_SEED", FIRST_SEEDS[request.param]))
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_every_durable_sample_is_stored_once_whatever_dies(installation):
    parts, has_volume, first_seed = installation
    for seed in range(first_seed, first_seed + ROUNDS):
        chance = random.Random(seed)
        run_round(parts, chance, seed=seed, faults=choose(chance, has_volume=has_volume))


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
def test_worker_that_wakes_up_dispossessed_doubles_nothing(installation):
    parts, _, seed = installation
    run_round(parts, random.Random(seed), seed=seed, faults=[DISPOSSESSED])


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
def test_clock_of_a_worker_that_steps_loses_and_doubles_nothing(installation):
    parts, _, seed = installation
    parts.ingest.stop()
    parts.ingest.has_own_clock = True
    parts.ingest.set_clock(0)
    parts.ingest.start()
    run_round(parts, random.Random(seed), seed=seed, faults=[STEPPED])
    with parts.connect() as connection:
        newest_us = connection.execute("SELECT max(stored_us) FROM series_batch").fetchone()[0]
    assert newest_us / 1e6 > time.time() + 30


def run_round(parts, chance, *, seed, faults):
    name = f"r{seed}-{secrets.token_hex(2)}"
    print(f"\nseed {seed}: {' and '.join(fault.name for fault in faults)}", flush=True)
    fleet = parts.fleet(name)
    fleet.start(scenario(name, seed))
    parts.edge.start()
    fleet.await_acknowledged(1)
    time.sleep(chance.uniform(0.5, 2.5))
    for fault in faults:
        fault.break_(parts, chance)
        time.sleep(chance.uniform(0, 0.3))
    time.sleep(chance.uniform(0.2, 3))
    for fault in chance.sample(faults, len(faults)):
        fault.mend(parts, chance)
    parts.ingest.await_ready()
    fleet.await_acknowledged(1)
    time.sleep(chance.uniform(0, 1))
    check(parts, fleet.end(), parts.edge.end())


def scenario(name, seed):
    """Each simulated agent sends five messages a second."""
    agents = max(3, LOAD // 5)
    ambulances, slipping = max(1, agents * 3 // 10), max(1, agents // 10)
    homes = max(1, agents - ambulances - slipping)
    return SCENARIO.format(name=name, seed=seed, homes=homes, ambulances=ambulances, slipping=slipping)


def check(parts, measured, durable):
    with parts.connect() as connection:
        stored = stored_samples(connection)
        assert refused(connection) == []
        moments = stored_moments(connection, parts.edge.source)
    for src, sums in measured.items():
        assert {key: fields(one) for key, one in sums.vitals.items()} == of_source(stored.vitals, src)
        assert {stream: fields(one) for stream, one in sums.waves.items()} == of_source(stored.waves, src)
        assert stored.gaps.get(src, 0) == sums.gaps
    for key in KEYS:
        assert len(moments[key]) == len(set(moments[key]))
        assert durable - set(moments[key]) == set()


def fields(sums):
    return tuple(getattr(sums, name) for name in sums.__struct_fields__)


def of_source(stored, src):
    return {key: tuple(sums) for (owner, key), sums in stored.items() if owner == src}
