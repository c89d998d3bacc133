import numpy as np
import pytest

from cloud.store.connection import connect
from cloud.trend.routes import MEDIA_TYPE
from tests.fixtures.trend_frames import read_columns
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import Quality, VitalKey
from vitals.wire.batch import to_ms

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()
TREND = "/api/patients/p-1/trend"
WALKS = {"heart_rate": (72, 1, 0), "spo2": (97, 0.4, 0), "temp": (36.8, 0.05, 1), "nibp_mean": (93, 2, 6)}


def fill(database_url, *, now, rows=120):
    """Four keys every ten seconds with a hole, a value that the device rejects, and two gaps."""
    chance = np.random.default_rng(20261126)
    messages = [AGENT.birth()]
    for key, (middle, step, decimals) in WALKS.items():
        values = np.round(middle + np.cumsum(chance.normal(0, step, rows)), decimals).tolist()
        for row, value in enumerate(values):
            if not 50 <= row < 60:
                fields = {"key": VitalKey(key), "quality": Quality.INVALID if row == 7 else Quality.GOOD}
                at = now - seconds(10 * (rows - row))
                messages.append(AGENT.vitals(len(messages), value, at=at, **fields))
    messages.append(AGENT.gap(1, GapCause.SENSOR_OFF, start=now - seconds(700), end=now - seconds(600)))
    messages.append(AGENT.gap(2, GapCause.BATTERY, start=now - seconds(60)))
    with connect(database_url) as connection:
        connection.execute("UPDATE binding SET during = tstzrange(%s, NULL)", (now - seconds(2000),))
        open_writer().write(connection, messages, now=now)


@pytest.fixture
def within(cloud_server, database_url):
    now = utc_now()
    fill(database_url, now=now)
    return {"from_at": to_ms(now - seconds(1500)), "to_at": to_ms(now)}


def both(client, params):
    """The answer as JSON and in columns."""
    return [client.get(TREND, params=params, headers={"accept": kind}) for kind in ("*/*", MEDIA_TYPE)]


def test_both_answers_say_the_same(cloud_server, within):
    client = cloud_server.client("doctor")
    for pixels in ({}, {"pixels": 10}, {"pixels": 4000}):
        text, columns = both(client, within | pixels)
        said = text.json()

        assert read_columns(columns.content) == said
        assert set(said["series"]) == set(WALKS)
        assert [gap["cause"] for gap in said["gaps"]] == ["sensor_off", "battery"]
        assert text.headers["vary"] == columns.headers["vary"] == "Accept"
        kinds = [answer.headers["content-type"] for answer in (text, columns)]
        assert kinds == ["application/json", MEDIA_TYPE]


def test_answer_without_values_says_so_in_both(cloud_server, within):
    early = {"from_at": within["from_at"] - 10**8, "to_at": within["from_at"] - 10**7}
    text, columns = both(cloud_server.client("doctor"), early)

    assert read_columns(columns.content) == text.json()
    assert text.json()["series"] == {}


def test_schema_names_both_answers_and_columns_are_refused_like_json(cloud_server):
    client = cloud_server.client("doctor")
    named = client.get("/api/openapi.json").json()["paths"]["/api/patients/{patient_id}/trend"]["get"]
    refused = client.get("/api/patients/p-none/trend", headers={"accept": MEDIA_TYPE})

    assert set(named["responses"]["200"]["content"]) == {"application/json", MEDIA_TYPE}
    assert (refused.status_code, refused.json()) == (404, {"error": "no such patient"})
