import signal
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest

from cloud.shards import stream
from cloud.shards.service import LeaseBook, lay_out
from cloud.shards.stream import Steward

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


class Serving:
    """Which groups are served now; one that is served twice is an error."""

    def __init__(self):
        self.now = []
        self.opened = []

    def open(self, lease):
        self.opened.append(_Tenure(self, lease.group))
        return self.opened[-1]


class _Tenure:
    def __init__(self, serving, group):
        self._serving, self._group = serving, group

    def start(self):
        self._serving.now.append(self._group)

    def stop(self):
        self._serving.now.remove(self._group)

    def tally(self):
        return {"received": 1}


@contextmanager
def stewarding(database_url, name, *, groups):
    serving = Serving()
    steward = Steward(database_url, LeaseBook(name, groups=groups), open_tenure=serving.open, facts={})
    thread = threading.Thread(target=steward.run)
    thread.start()
    try:
        yield serving
    finally:
        steward.stop()
        thread.join(timeout=10)


def await_groups(serving, wanted):
    deadline = time.monotonic() + 15
    while sorted(serving.now) != wanted:
        assert time.monotonic() < deadline, serving.now
        time.sleep(0.05)


def test_groups_move_to_a_second_worker_and_back(database_url, database):
    lay_out(database, 2)
    with stewarding(database_url, "a", groups=2) as first:
        await_groups(first, [0, 1])
        with stewarding(database_url, "b", groups=2) as second:
            await_groups(second, [1])
            await_groups(first, [0])
        await_groups(first, [0, 1])
    assert first.now == []


@pytest.mark.timeout(90)
def test_short_outage_of_the_database_takes_no_lease_and_a_long_one_ends_what_serves(
    postgres_server, database_url, database, monkeypatch
):
    monkeypatch.setattr(stream, "LEASE_LASTS", timedelta(seconds=4))
    lay_out(database, 1)
    with stewarding(database_url, "a", groups=1) as serving:
        await_groups(serving, [0])
        postgres_server.stop(signal.SIGQUIT)
        time.sleep(2.5)
        assert serving.now == [0]
        await_groups(serving, [])
        postgres_server.start()
        await_groups(serving, [0])
        assert len(serving.opened) == 2
