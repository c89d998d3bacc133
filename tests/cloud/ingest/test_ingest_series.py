"""Continuous values on a real database: what came first stays, wherever it lies meanwhile."""

import random

import pytest
from msgspec import structs
from psycopg.errors import UniqueViolation

from cloud.ingest import queries
from cloud.series.latest import read_latest
from cloud.series.model import HOUR_MS
from tests.cloud.series.batches import KEYS, SRC, START_MS, batch
from tests.fixtures.stored import bring_together, stored_cells
from tests.fixtures.wire_messages import WireAgent, open_writer, utc_now
from vitals.observation import Flag
from vitals.wire.batch import encode_batch, from_ms
from vitals.wire.topics import Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()


@pytest.fixture
def declared(database):
    """A source that sends three keys every second."""
    database.execute("INSERT INTO agent (agent) VALUES ('hut-1')")
    declare(database, SRC)
    return database


def declare(database, src):
    database.execute(
        "INSERT INTO source (src, agent, cadence) VALUES "
        '(%s, \'hut-1\', \'{"heart_rate": 1, "spo2": 1, "temp": 60, "nibp_sys": 1800}\')',
        (src,),
    )


def arrived(message):
    """As the broker hands it over at the moment at which it was sent."""
    return structs.replace(AGENT.arrived("vitals", encode_batch(message)), received_at=from_ms(message.sent))


def write(database, *messages, writer=None):
    return (writer or open_writer()).write(database, [arrived(one) for one in messages], now=utc_now())


def found(database, src=SRC):
    """Value by key and second; a value that is there twice is told."""
    cells = stored_cells(database, src)
    times = [(cell["key"], round(cell["measured_at"].timestamp() * 1000) - START_MS) for cell in cells]
    assert len(set(times)) == len(times)
    return {(key, t_ms // 1000): cell["value"] for (key, t_ms), cell in zip(times, cells, strict=True)}


def conflicts(database):
    return dict(database.execute("SELECT key, sum(times)::int FROM value_conflict GROUP BY key").fetchall())


def rows(database, table):
    return database.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0]  # noqa: S608


def beats(s, *seconds, values=None, **fields):
    return batch(
        s, times=seconds, columns={"heart_rate": values or [60.0 + one for one in seconds]}, **fields
    )


def test_continuous_message_is_stored_as_it_came(declared):
    message = beats(1, 0, 1, 2)
    write(declared, message)

    assert declared.execute("SELECT payload FROM series_batch").fetchall() == [(encode_batch(message),)]
    assert rows(declared, "observation") == 0
    assert found(declared) == {("heart_rate", 0): 60, ("heart_rate", 1): 61, ("heart_rate", 2): 62}


def test_reading_within_a_continuous_message_becomes_a_row(declared):
    write(declared, batch(1, times=[0], columns={"heart_rate": [70.0], "nibp_sys": [120.0]}))

    assert (rows(declared, "observation"), rows(declared, "series_batch")) == (1, 1)
    assert found(declared) == {("heart_rate", 0): 70, ("nibp_sys", 0): 120}


@pytest.mark.parametrize(
    "fields",
    [
        {"f": {"heart_rate": {"0": [Flag.STORED]}}},
        {"f": {"heart_rate": {"1": [Flag.CLOCK_NOT_SET]}}},
        {"f": {"heart_rate": {"9": [Flag.MOVEMENT]}}},
        {"dv": {"heart_rate": {"x": "2025-11-26T00:00:00"}}},
    ],
    ids=["memory", "no clock", "row that is not there", "no row"],
)
def test_what_is_in_doubt_is_stored_value_by_value(declared, fields):
    write(declared, beats(1, 0, 1, **fields))

    assert (rows(declared, "observation"), rows(declared, "series_batch")) == (2, 0)


def test_clock_of_a_device_that_tells_its_zone_is_no_reason_to_fail(declared):
    write(
        declared,
        batch(1, times=[0], columns={"nibp_sys": [120.0]}, dv={"nibp_sys": {"0": "2025-11-26T08:00+08"}}),
    )

    (cell,) = stored_cells(declared, SRC)
    assert cell["device_time"].isoformat() == "2025-11-26T00:00:00"


@pytest.mark.parametrize("is_one_transaction", [True, False], ids=["together", "apart"])
def test_first_value_stays_where_messages_overlap(declared, is_one_transaction):
    writer = open_writer()
    messages = [beats(1, 0, 1, 2), beats(2, 1, 2, 3, values=[61.0, 99.0, 63.0])]
    if is_one_transaction:
        write(declared, *messages, writer=writer)
    else:
        for message in messages:
            write(declared, message, writer=writer)

    assert found(declared) == {("heart_rate", second): 60 + second for second in range(4)}
    assert conflicts(declared) == {"heart_rate": 1}


def test_key_that_comes_twice_at_one_time_in_a_message_is_one_value(declared):
    twice = structs.replace(beats(1, 0, 1), dt=[0, 0])
    write(declared, twice)

    assert found(declared) == {("heart_rate", 0): 60}
    assert conflicts(declared) == {"heart_rate": 1}


def test_value_that_was_stored_before_its_source_was_declared_stays(declared):
    declared.execute("UPDATE source SET cadence = '{}'")
    write(declared, beats(1, 0, 1))
    declared.execute("UPDATE source SET cadence = '{\"heart_rate\": 1}'")
    write(declared, beats(2, 1, 2, values=[99.0, 62.0]))

    assert (rows(declared, "observation"), rows(declared, "series_batch")) == (2, 1)
    assert found(declared) == {("heart_rate", 0): 60, ("heart_rate", 1): 61, ("heart_rate", 2): 62}


def test_second_writer_of_a_source_notices_the_first(declared):
    first, second = open_writer(), open_writer()
    write(declared, beats(1, 0), writer=first)
    write(declared, beats(2, 1), writer=second)
    write(declared, beats(3, 2), writer=second)
    write(declared, beats(4, 1, 2, 3, values=[1.0, 2.0, 63.0]), writer=first)

    assert found(declared) == {("heart_rate", second): 60 + second for second in range(4)}
    assert conflicts(declared) == {"heart_rate": 2}


def test_row_that_no_writer_knows_of_is_met_without_loss(declared):
    writer = open_writer()
    write(declared, batch(1, times=[0], columns={"nibp_sys": [120.0]}), writer=writer)
    declared.execute(
        "INSERT INTO observation SELECT src, key, measured_at + '1 s', 140, unit, quality, flags, "
        "device_time, received_at, sent_at, stored_at, late, lane, 99, clock_shift FROM observation"
    )
    write(declared, batch(2, times=[1, 2], columns={"nibp_sys": [150.0, 160.0]}), writer=writer)

    assert found(declared) == {("nibp_sys", 0): 120, ("nibp_sys", 1): 140, ("nibp_sys", 2): 160}
    assert conflicts(declared) == {"nibp_sys": 1}


def test_violation_that_lasts_is_a_refusal_and_no_crash(declared, monkeypatch):
    def violate(*_):
        raise UniqueViolation

    monkeypatch.setattr(queries, "insert_observations", violate)
    written = write(declared, batch(1, times=[0], columns={"nibp_sys": [120.0]}))

    assert written["hut-1"].upto[Lane.LIVE] == 1
    assert declared.execute("SELECT reason FROM dead_letter").fetchall() == [("database",)]


def latest(database):
    (content,) = database.execute("SELECT cells FROM latest").fetchone()
    return {
        key: (cell.value, cell.measured_us // 10**6 - START_MS // 1000)
        for key, cell in read_latest(content).items()
    }


def test_latest_is_by_measured_time_of_every_key(declared):
    writer = open_writer()
    write(
        declared,
        batch(1, times=[0, 5], columns={"heart_rate": [60.0, None], "spo2": [97.0, 98.0]}),
        writer=writer,
    )
    write(declared, beats(2, 3, h=1), beats(3, 2), writer=writer)
    write(declared, beats(4, 1), writer=open_writer())

    assert latest(declared) == {"heart_rate": (63, 3), "spo2": (98, 5)}


def test_value_that_is_not_kept_is_not_the_latest(declared):
    write(declared, beats(1, 0))
    write(declared, beats(2, 0, values=[99.0]))

    assert latest(declared) == {"heart_rate": (60, 0)}


def random_message(chance, s):
    """Up to ten values of some keys, somewhere in two hours; one may be missing, with or without a reason."""
    first = chance.choice([0, 0, 3590, 7100]) + chance.randrange(30)
    times = sorted(chance.sample(range(first, first + 12), chance.randint(1, 10)))
    keys = chance.sample([*KEYS, "nibp_sys"], chance.randint(1, 3))
    columns = {key: [chance.choice([None, float(chance.randint(1, 4))]) for _ in times] for key in keys}
    flags = {keys[0]: {"0": [Flag.NO_CONTACT]}} if chance.random() < 0.3 else {}
    return batch(s, times=times, columns=columns, f=flags, lane=chance.choice(list(Lane)))


def expect(record, message):
    for key, column in message.m.items():
        for row, value in enumerate(column):
            if value is not None or str(row) in message.f.get(key, {}):
                second = (message.t0 + message.dt[row] - START_MS) // 1000
                record.setdefault((key, second), value)


@pytest.mark.parametrize("seed", range(12))
def test_any_messages_in_any_order_give_what_came_first(declared, seed):
    """Overlaps, repeats, late ones, changing writers, hours that are brought together at any moment."""
    chance = random.Random(seed)
    messages = [random_message(chance, s) for s in range(1, 26)]
    record, seen, writer = {}, set(), open_writer()
    sent = messages + chance.sample(messages, 8)
    chance.shuffle(sent)
    while sent:
        some = [sent.pop() for _ in range(min(len(sent), chance.randint(1, 4)))]
        write(declared, *some, writer=writer)
        for message in some:
            if (message.lane, message.s) not in seen:
                seen.add((message.lane, message.s))
                expect(record, message)
        if chance.random() < 0.3:
            bring_together(declared, before_ms=START_MS + chance.choice([1, 2, 3]) * HOUR_MS)
        if chance.random() < 0.2:
            writer = open_writer()

    assert found(declared) == record
    bring_together(declared, before_ms=START_MS + 4 * HOUR_MS)
    assert (found(declared), rows(declared, "series_batch")) == (record, 0)
