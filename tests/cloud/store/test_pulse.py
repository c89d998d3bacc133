import signal
import time

import pytest

from cloud.events import Part, PartState
from cloud.store.pulse import DatabasePulse, DatabaseWatch
from tests.fixtures.wire_messages import seconds, utc_now


def watched_database(now):
    return DatabaseWatch(PartState(part=Part.DATABASE, ok=True, since_at=now))


def test_database_that_does_not_answer_is_off_since_the_question():
    start = utc_now()
    watch = watched_database(start)
    watch.begin(start + seconds(10))

    assert watch.state(start + seconds(12)).ok
    state = watch.state(start + seconds(13.5))
    assert (state.ok, state.since_at) == (False, start + seconds(10))
    watch.note(start + seconds(14), ok=True)
    assert watch.state(start + seconds(30)).ok


def test_database_is_back_only_when_it_answers():
    start = utc_now()
    watch = watched_database(start)
    watch.begin(start + seconds(1))
    watch.note(start + seconds(2), ok=False)
    watch.begin(start + seconds(3))
    assert watch.state(start + seconds(9)).since_at == start + seconds(1)

    watch.note(start + seconds(10), ok=True)
    assert (watch.state(start + seconds(11)).ok, watch.state(start + seconds(11)).since_at) == (
        True,
        start + seconds(10),
    )


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.enable_socket
def test_pulse_tells_a_crash_a_return_and_whether_anybody_stores(postgres_server, database_url):
    pulse = DatabasePulse(
        database_url,
        is_storing=lambda connection: bool(connection.execute("SELECT count(*) FROM site").fetchone()[0]),
        clock=utc_now,
    )
    pulse.start()
    await_states(pulse, {Part.DATABASE: True, Part.INGEST: False})
    postgres_server.stop(signal.SIGQUIT)
    await_states(pulse, {Part.DATABASE: False, Part.INGEST: False})
    postgres_server.start()
    await_states(pulse, {Part.DATABASE: True, Part.INGEST: False})
    pulse.stop()


def await_states(pulse, wanted):
    deadline = time.monotonic() + 10
    while {state.part: state.ok for state in pulse.states()} != wanted:
        assert time.monotonic() < deadline, pulse.states()
        time.sleep(0.05)
