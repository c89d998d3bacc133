"""Hand-overs while every sensor sends and somebody watches: broker, ingest, database, wall, WebSocket."""

import time

import pytest

from cloud.seed import ORGANISATION, SITE
from tests.cloud.conftest import cloud_server, pace  # noqa: F401 - the whole cloud, as a fixture
from tests.fixtures.hand_over import (
    Sender,
    Watcher,
    await_stored,
    furnish,
    hand_over,
    misfiled_frames,
    misfiled_rows,
    overlapping_bindings,
)
from tests.fixtures.ingest import uncontested_ingest
from vitals.observation import SourceId

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(180)]

SOURCES = [SourceId(f"clip-{number}") for number in range(6)]


def test_next_patients_value_is_never_on_the_former(cloud_server, database, database_url, mqtt_url):  # noqa: F811
    furnish(database, SOURCES, organisation=ORGANISATION, site=SITE)
    ingest = uncontested_ingest(database_url, mqtt_url)
    ingest.start()
    client = cloud_server.client("doctor")
    while not client.get("/api/health").json()["broker"]:
        time.sleep(0.05)
    watcher = Watcher(cloud_server.websocket(client))
    sender = Sender(mqtt_url=mqtt_url, sources=SOURCES, every_s=0.03)
    try:
        hand_over(client, sender, times=60, pause_s=0.05, seed=3)
        time.sleep(1)
    finally:
        sender.stop()
    await_stored(database, sender.sent, within_s=30)
    time.sleep(1)
    watcher.stop()
    ingest.stop()

    assert misfiled_rows(database) == []
    assert misfiled_frames(database, watcher.frames) == []
    assert len(watcher.frames) > 300
    assert len({patient for patient, *_ in watcher.frames}) == len(SOURCES)
    assert watcher.unbound
    assert overlapping_bindings(database) == 0
