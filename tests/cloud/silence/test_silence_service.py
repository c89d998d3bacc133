import pytest
from msgspec import structs

from cloud.events import AgentGone
from cloud.silence.service import SilenceService
from cloud.store.connection import build_pool
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.gap import GapCause

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()
START = utc_now()


def gaps(database):
    return database.execute(
        "SELECT cause, started_at, ended_at, told_by FROM gap ORDER BY started_at, cause"
    ).fetchall()


@pytest.fixture
def pool(database_url):
    with build_pool(database_url) as opened:
        yield opened


def test_time_in_which_nobody_ran_becomes_a_gap(database, pool):
    open_writer().write(database, [AGENT.birth()], now=START - seconds(60))
    SilenceService(pool, clock=lambda: START).load(database)

    assert gaps(database) == [("server_off", START - seconds(60), START, "cloud")]


def test_short_restart_is_no_gap(database, pool):
    open_writer().write(database, [AGENT.birth()], now=START - seconds(3))
    SilenceService(pool, clock=lambda: START).load(database)

    assert gaps(database) == []


def test_open_gap_of_the_edge_is_known_after_a_restart(database, pool):
    begun = AGENT.gap(1, GapCause.SENSOR_OFF, start=START - seconds(2))
    open_writer().write(database, [AGENT.birth(), begun], now=START)
    service = SilenceService(pool, clock=lambda: START)
    service.load(database)

    found = service.judge(())[AGENT.src]
    assert [(silence.cause, silence.since_at) for silence in found] == [
        (GapCause.SENSOR_OFF, START - seconds(2))
    ]


def test_silence_is_recorded_and_closed_by_the_next_run(database, pool):
    open_writer().write(database, [AGENT.birth()], now=START)
    now = START
    service = SilenceService(pool, clock=lambda: now)
    service.load(database)
    now = START + seconds(10)
    service.judge(())
    service.record()
    assert gaps(database) == [("uplink_off", START, None, "cloud")]

    now = START + seconds(12)
    SilenceService(pool, clock=lambda: now).load(database)
    assert ("uplink_off", START, now, "cloud") in gaps(database)


@pytest.mark.parametrize("said", [AGENT.birth(), AGENT.will()], ids=["birth", "will"])
def test_retained_status_at_every_restart_moves_no_beginning(database, pool, said):
    open_writer().write(database, [AGENT.birth()], now=START - seconds(60))
    open_writer().write(database, [structs.replace(said, retained=True)], now=START - seconds(30))

    service = SilenceService(pool, clock=lambda: START)
    service.load(database)
    service.watch.take(AgentGone(agent=AGENT.agent, heard_at=None))

    (silence,) = service.judge(())[AGENT.src]
    assert silence.since_at == START - seconds(60)


def test_agent_that_stays_away_is_silent_since_the_last_run_heard_it(database, pool):
    open_writer().write(database, [AGENT.birth()], now=START - seconds(60))
    now = START
    service = SilenceService(pool, clock=lambda: now)
    service.load(database)
    now = START + seconds(3)
    assert service.judge(())[AGENT.src] == ()

    now = START + seconds(5)
    found = service.judge(())[AGENT.src]
    assert [(silence.cause, silence.since_at) for silence in found] == [
        (GapCause.UPLINK_OFF, START - seconds(60))
    ]
