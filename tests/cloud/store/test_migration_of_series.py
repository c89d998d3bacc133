"""What an older version stored is found by this one, and nothing of it is stored twice."""

import pytest
from msgspec import structs

from cloud.series.latest import read_latest
from cloud.store.connection import connect
from cloud.store.migrate import find_migrations, migrate
from tests.fixtures.stored import stored_cells
from tests.fixtures.wire_messages import LINEAGE, SOURCE, WireAgent, open_writer, seconds, utc_now
from vitals.observation import Flag, Quality
from vitals.wire.topics import Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

START = utc_now() - seconds(60)
ROW = """
    INSERT INTO observation (src, key, measured_at, value, unit, quality, flags, received_at, sent_at,
                             stored_at, late, lane, s, clock_shift)
    VALUES ('s-1', %s, %s, %s, '/min', 'good', %s, now(), now(), now(), false, 'live', 1, %s)
    """


@pytest.fixture
def upgraded(empty_database_url):
    """A database of the version before, with values of two keys, brought to this one."""
    with connect(empty_database_url) as database:
        migrate(database, [one for one in find_migrations() if one.name < "0014"])
        database.execute("INSERT INTO agent (agent, lineage) VALUES ('hut-1', %s)", (LINEAGE,))
        database.execute(
            "INSERT INTO source (src, agent, cadence) VALUES ('s-1', 'hut-1', '{\"heart_rate\": 1}')"
        )
        database.execute("INSERT INTO source (src) VALUES ('s-quiet')")
        database.execute(
            "INSERT INTO lane_progress (agent, lineage, lane, upto) VALUES ('hut-1', %s, 'live', 3)",
            (LINEAGE,),
        )
        for second in (1, 3, 2):
            database.execute(ROW, ("heart_rate", START + seconds(second), 60 + second, [], seconds(0)))
        database.execute(ROW, ("spo2", START, None, ["no_contact"], None))
        migrate(database)
        yield database


def test_newest_value_of_every_key_is_known(upgraded):
    ((src, content),) = upgraded.execute(
        "SELECT src, cells FROM latest JOIN source USING (src_no)"
    ).fetchall()
    beat, missing = (read_latest(content)[key] for key in ("heart_rate", "spo2"))

    assert (src, beat.value, beat.measured_us) == ("s-1", 63, round((START + seconds(3)).timestamp() * 10**6))
    assert (beat.quality, beat.shift_us) == (Quality.GOOD, 0)
    assert (missing.value, missing.flags, missing.shift_us) == (None, (Flag.NO_CONTACT,), None)


def test_what_comes_again_is_not_stored_twice_and_the_count_goes_on(upgraded):
    agent = WireAgent()
    sent = [(3, 99, 3), (4, 99, 3), (5, 64, 4)]
    messages = [
        structs.replace(
            agent.vitals(s, value, at=START + seconds(second)), received_at=START + seconds(second)
        )
        for s, value, second in sent
    ]
    written = open_writer().write(upgraded, messages, now=utc_now())

    beats = [cell["value"] for cell in stored_cells(upgraded, SOURCE) if cell["key"] == "heart_rate"]
    assert beats == [61, 62, 63, 64]
    assert written["hut-1"].upto[Lane.LIVE] == 5
    assert upgraded.execute("SELECT times FROM value_conflict").fetchall() == [(1,)]
