import json

import numpy as np
import pytest

from cloud.store.connection import connect
from cloud.trend.routes import WAVES_TYPE
from cloud.waves.service import Waves
from tests.fixtures.stored import bring_waves_together
from tests.fixtures.wire_messages import SOURCE, WireAgent, open_writer, seconds, utc_now
from vitals.wire.batch import to_ms

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()
PATH = "/api/patients/p-1/waves"
SECONDS = 20


def frames_of(content):
    """Header and samples of each."""
    at, found = 0, []
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        frame = content[at + 4 : at + 4 + length]
        head = int.from_bytes(frame[:4], "little")
        samples_at = 4 + head + -(4 + head) % 4
        found.append((json.loads(frame[4 : 4 + head]), np.frombuffer(frame[samples_at:], "<i4").tolist()))
        at += 4 + length
    return found


@pytest.fixture
def began_at(cloud_server, database_url):
    """Twenty blocks of a second, the older half compressed."""
    now = utc_now().replace(microsecond=0) - seconds(900)
    blocks = [
        AGENT.wave(s, [s, -s, 2 * s] * 43 + [s], at=now + seconds(s), first=s * 130)
        for s in range(1, SECONDS + 1)
    ]
    with connect(database_url) as connection:
        connection.execute("UPDATE binding SET during = tstzrange(%s, NULL)", (now - seconds(5),))
        open_writer().write(connection, [AGENT.birth(), *blocks[:10]], now=utc_now())
        bring_waves_together(connection, Waves(), before_us=2**62)
        open_writer().write(connection, blocks[10:], now=utc_now())
        assert connection.execute("SELECT count(*) FROM wave_block").fetchone()[0] == 10
    return now


def test_waves_come_from_rows_and_windows_as_one(cloud_server, began_at):
    ends = {"from_at": to_ms(began_at), "to_at": to_ms(began_at + seconds(60))}
    answer = cloud_server.client("doctor").get(PATH, params=ends)
    found = frames_of(answer.content)

    assert (answer.status_code, answer.headers["content-type"]) == (200, WAVES_TYPE)
    assert [samples for _, samples in found] == [[s, -s, 2 * s] * 43 + [s] for s in range(1, SECONDS + 1)]
    header = found[0][0]
    assert {name: header[name] for name in ("patient", "src", "stream", "n", "rate", "gain", "unit")} == {
        "patient": "p-1", "src": SOURCE, "stream": "ecg", "n": 130, "rate": [130, 1], "gain": 0.001,
        "unit": "mV",
    }  # fmt: skip
    assert header["t0_us"] == to_ms(began_at + seconds(1)) * 1000


def test_only_what_reaches_into_the_range_is_sent(cloud_server, began_at):
    ends = {"from_at": to_ms(began_at + seconds(9.5)), "to_at": to_ms(began_at + seconds(11.5))}
    found = frames_of(cloud_server.client("doctor").get(PATH, params=ends).content)
    none = cloud_server.client("doctor").get(PATH, params={**ends, "stream": "pleth"})

    assert [samples[0] for _, samples in found] == [9, 10, 11]
    assert (none.status_code, none.content) == (200, b"")


def test_who_may_not_see_the_patient_gets_none_and_a_look_is_on_record(cloud_server, began_at, database):
    assert cloud_server.client("doctor").get("/api/patients/p-none/waves").status_code == 404
    assert cloud_server.client("admin").get(PATH).status_code == 403
    assert cloud_server.client("doctor").get(PATH).status_code == 200

    looks = database.execute("SELECT count(*) FROM audit_entry WHERE action = 'read_waves'").fetchone()
    assert looks == (1,)


def test_range_that_is_none_is_refused(cloud_server):
    client = cloud_server.client("doctor")
    for wrong in (
        {"from_at": 5},
        {"from_at": 5, "to_at": 5},
        {"from_at": 0, "to_at": 600_001},
        {"stream": "a\0"},
    ):
        assert client.get(PATH, params=wrong).status_code == 422
