"""Parts die, freeze and come back in a seeded order; afterwards the record must be whole.

`QIANLI_ROUNDS` sets the number of faults (the short form is for every run), `QIANLI_SEED` their order.
"""

import os
import random
import time
from itertools import pairwise

import pytest

from tests.fixtures.running_demo import source_named, wait_until
from tests.fixtures.stored import stored_times

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("QIANLI_ROUNDS", "5"))
SEED = int(os.environ.get("QIANLI_SEED", "20261125"))
PATIENTS = ("p-demo-1", "p-demo-2", "p-demo-3", "p-demo-4")
WATCHED = ("h10-1", "h10-2", "h10-3", "h10-4")
HOLE_S = 3.0


def every_heart_is_fresh(viewer):
    fresh_after = time.time() * 1000 - 4000
    values = [viewer.value(patient, "heart_rate") for patient in PATIENTS]
    return all(value and value["measured_at"] > fresh_after for value in values)


def everything_lives(viewer):
    return every_heart_is_fresh(viewer) and not any(viewer.causes(patient) for patient in PATIENTS)


def kill(demo, part, _pause_s):
    demo.kill(part)


def freeze(demo, part, pause_s):
    process = demo.child(part)
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.suspend()
    time.sleep(pause_s)
    for one in family:
        one.resume()


def cut(demo, _part, pause_s):
    demo.cut_link(cut=True)
    time.sleep(pause_s)
    demo.cut_link(cut=False)


def walk_away(demo, _part, pause_s):
    demo.set_fault("h10-2", "out_of_range", on=True)
    time.sleep(pause_s)
    demo.set_fault("h10-2", "out_of_range", on=False)


FAULTS = [
    *((kill, part) for part in ("broker", "database", "cloud", "ingest", "edge")),
    *((freeze, part) for part in ("broker", "database", "cloud", "ingest", "edge")),
    (cut, "link"),
    (walk_away, "device"),
]


def rows(demo, query, *values):
    with demo.database() as database:
        return database.execute(query, values).fetchall()


def untold_holes(demo, src, since):
    """Holes in the heart rate that no gap of that source explains."""
    with demo.database() as database:
        times = stored_times(database, src, key="heart_rate", since=since)
    gaps = rows(
        demo,
        "SELECT extract(epoch FROM started_at)::float, extract(epoch FROM coalesce(ended_at, now()))::float "
        "FROM gap WHERE src = %s AND told_by = 'edge'",
        src,
    )
    holes = [(a, b) for a, b in pairwise(times) if b - a > HOLE_S]
    return [(a, b) for a, b in holes if not any(start <= b and end >= a for start, end in gaps)]


def test_whatever_dies_nothing_is_lost_unsaid(running_demo, viewer):
    chance = random.Random(SEED)
    wait_until(lambda: everything_lives(viewer), within_s=60, what="a healthy start")
    since = time.time()
    for number in range(ROUNDS):
        act, part = chance.choice(FAULTS)
        pause_s = chance.uniform(1, 8)
        print(f"round {number}: {act.__name__} {part} for {pause_s:.1f} s")
        act(running_demo, part, pause_s)
        if chance.random() < 0.7:
            wait_until(
                lambda: everything_lives(viewer), within_s=90, what=f"recovery after {act.__name__} {part}"
            )
    wait_until(lambda: everything_lives(viewer), within_s=90, what="recovery at the end")
    wait_until(
        lambda: running_demo.panel("/api/state")["spool"]["messages"] < 40, within_s=60, what="an empty spool"
    )

    holes = {name: untold_holes(running_demo, source_named(name), since) for name in WATCHED}
    assert holes == {name: [] for name in WATCHED}
    assert rows(running_demo, "SELECT * FROM dead_letter") == []
    assert rows(running_demo, "SELECT * FROM value_conflict") == []
    assert running_demo.panel("/api/state")["rejected"] == []
