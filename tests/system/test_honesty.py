"""What a viewer is told when a part dies, and that nothing measured meanwhile is lost or doubled."""

import time
from itertools import pairwise

import pytest

from tests.fixtures.running_demo import source_named, wait_until
from tests.fixtures.stored import stored_times

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

WITHIN_S = 5.0
PATIENTS = ("p-demo-1", "p-demo-2", "p-demo-3", "p-demo-4")


def everything_lives(viewer):
    fresh_after = time.time() * 1000 - 4000
    values = [viewer.value(patient, "heart_rate") for patient in PATIENTS]
    return all(value and value["measured_at"] > fresh_after for value in values) and not any(
        viewer.causes(patient) for patient in PATIENTS
    )


@pytest.fixture
def live(running_demo, viewer):
    wait_until(lambda: everything_lives(viewer), within_s=40, what="all four patients live, no silence")
    return viewer


@pytest.mark.parametrize(
    ("device", "fault", "patient", "causes"),
    [
        ("h10-1", "out_of_range", "p-demo-1", {"out_of_range"}),
        ("h10-2", "silent", "p-demo-2", {"device_silent"}),
        ("h10-3", "electrodes_off", "p-demo-3", {"sensor_off"}),
        ("cms50-1", "finger_out", "p-demo-1", {"sensor_off"}),
        ("cms50-2", "out_of_range", "p-demo-2", {"cable"}),
        ("plx-3", "demo_flag", "p-demo-3", {"demo_mode"}),
    ],
)
def test_silent_device_says_since_when_and_why(running_demo, live, device, fault, patient, causes):
    broke_at = time.time() * 1000
    running_demo.set_fault(device, fault, on=True)
    try:
        wait_until(
            lambda: (live.silence_of(patient, source_named(device)) or {}).get("cause") in causes,
            within_s=WITHIN_S,
            what=f"silence because of {causes}",
        )
        silence = live.silence_of(patient, source_named(device))
        assert broke_at - 3000 <= silence["since_at"] <= broke_at + 5000
    finally:
        running_demo.set_fault(device, fault, on=False)
    wait_until(lambda: not live.silence_of(patient, source_named(device)), within_s=25, what="its end")


def counted(running_demo, src, since):
    """Heart rate values, the largest hole between them, and ECG samples against their own counter."""
    with running_demo.database() as database:
        seconds = stored_times(database, src, key="heart_rate", since=since)
        blocks = database.execute(
            "SELECT first_sample, n FROM wave_block WHERE src = %s AND stream = 'ecg' AND t0_us >= %s "
            "ORDER BY first_sample",
            (src, int(since * 1e6)),
        ).fetchall()
    holes = [later - earlier for earlier, later in pairwise(seconds)]
    broken = [
        (first, n, following) for (first, n), (following, _) in pairwise(blocks) if first + n != following
    ]
    return len(seconds), max(holes, default=0), broken


@pytest.mark.parametrize("part", ["link", "broker", "database", "cloud"])
def test_outage_is_told_and_loses_nothing(running_demo, live, part):
    since = time.time()
    time.sleep(2)
    begin_outage(running_demo, part)
    try:
        wait_until(lambda: tells_outage(live, part), within_s=WITHIN_S, what=f"the outage of {part}")
        time.sleep(6)
    finally:
        end_outage(running_demo, part)
    wait_until(lambda: everything_lives(live), within_s=45, what="everything live again")
    end = time.time() - 3

    for device in ("h10-1", "h10-4"):
        src = source_named(device)
        wait_until(
            lambda src=src: (
                counted(running_demo, src, since)[0] >= int(end - since) - 2
                and counted(running_demo, src, since)[2] == []
            ),
            within_s=30,
            what=f"every value and an unbroken ECG of {device}",
        )
        assert counted(running_demo, src, since)[1] < 2.5


def begin_outage(running_demo, part):
    """Frozen, not dead: the worst way to go, because no connection breaks."""
    if part == "link":
        running_demo.cut_link(cut=True)
        return
    process = running_demo.child(part)
    for one in [process, *process.children(recursive=True)]:
        one.suspend()


def tells_outage(live, part):
    if part == "cloud":
        return time.monotonic() - live.last_tick_mono_s > 3
    return all(live.causes(patient) for patient in PATIENTS)


def end_outage(running_demo, part):
    if part == "link":
        running_demo.cut_link(cut=False)
        return
    process = running_demo.child(part)
    for one in [*process.children(recursive=True), process]:
        one.resume()
        one.kill()


def test_killed_agent_says_that_it_was_off(running_demo, live):
    killed_at = time.time()
    running_demo.kill("edge")
    wait_until(lambda: live.causes("p-demo-1"), within_s=WITHIN_S, what="a silence")
    assert live.causes("p-demo-1") & {"agent_off", "uplink_off"}

    wait_until(lambda: everything_lives(live), within_s=45, what="everything live again")

    def gap_ends():
        with running_demo.database() as database:
            return database.execute(
                "SELECT ended_at IS NOT NULL FROM gap WHERE src = %s AND cause = 'agent_off' "
                "AND told_by = 'edge' AND started_at > to_timestamp(%s)",
                (source_named("h10-1"), killed_at - 3),
            ).fetchall()

    wait_until(lambda: gap_ends() == [(True,)], within_s=10, what="one gap of the agent itself, ended")


@pytest.mark.parametrize("part", ["broker", "database", "cloud", "ingest"])
def test_killed_part_comes_back_by_itself(running_demo, live, part):
    running_demo.kill(part)
    time.sleep(5)

    wait_until(
        lambda: time.monotonic() - live.last_tick_mono_s < 2 and everything_lives(live),
        within_s=45,
        what=part,
    )
    time.sleep(1)
    wait_until(lambda: everything_lives(live), within_s=45, what="all four live")
