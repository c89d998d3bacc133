import signal
import time
from contextlib import closing

import pytest

from cloud.shards.model import LEASE_LASTS
from tests.cloud.ingest.test_ingest_stream import Sender, beats, stored, wait_until
from tests.cloud.test_cloud_main import run_cloud, settings  # noqa: F401 a fixture

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def holder(database):
    row = database.execute("SELECT holder FROM ingest_lease WHERE until > now()").fetchone()
    return None if row is None else row[0]


def test_worker_stores_and_leaves_its_group_free(settings, database, mqtt_url):  # noqa: F811
    with (
        run_cloud("ingest", QIANLI_WORKER_NAME="w-1", **settings) as worker,
        closing(Sender(mqtt_url)) as hut,
    ):
        wait_until(lambda: holder(database) == "w-1", within_s=30)
        send_until_stored(hut, beats(1, 2), upto=2, within_s=10)
        stopping = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=10)

        assert (worker.returncode, holder(database)) == (0, None)
        assert time.monotonic() - stopping < 3


def send_until_stored(hut, messages, *, upto, within_s):
    """As an agent does: the same again and again, until it hears that they are stored."""
    deadline = time.monotonic() + within_s
    while hut.upto() < upto:
        assert time.monotonic() < deadline, hut.upto()
        hut.send(*messages)
        time.sleep(1)


@pytest.mark.timeout(90)
def test_stand_by_goes_on_when_the_first_worker_is_killed(settings, database, mqtt_url):  # noqa: F811
    with closing(Sender(mqtt_url)) as hut, run_cloud("ingest", QIANLI_WORKER_NAME="w-1", **settings) as first:
        wait_until(lambda: holder(database) == "w-1", within_s=30)
        with run_cloud("ingest", QIANLI_WORKER_NAME="w-2", **settings):
            send_until_stored(hut, beats(1), upto=1, within_s=10)
            first.kill()
            send_until_stored(hut, beats(2, 3), upto=3, within_s=LEASE_LASTS.total_seconds() + 10)

            assert (holder(database), stored(database)) == ("w-2", [61, 62, 63])


def test_worker_that_divides_otherwise_says_so_and_ends(settings, database):  # noqa: F811
    with run_cloud("ingest", **settings):
        wait_until(lambda: holder(database), within_s=30)
        with run_cloud("ingest", QIANLI_INGEST_GROUPS="2", **settings) as other:
            errors = other.communicate(timeout=30)[1]

    assert other.returncode == 1
    assert errors.splitlines(keepends=True)[-1] == (
        "QIANLI_INGEST_GROUPS is 2, but workers that run now use 1: "
        "stop them first, or wait 10 s after they were killed, or give all the same number\n"
    )
