import random
from dataclasses import replace

import msgspec
import psycopg
import pytest
from msgspec import structs

from cloud.ingest import queries
from cloud.ingest.service import Writer
from cloud.shards.model import Lease, LeaseLost
from cloud.store.fence import Fence
from tests.fixtures.stored import stored_cells
from tests.fixtures.wire_messages import LINEAGE, SOURCE, WireAgent, open_writer, seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import SourceId
from vitals.wire.batch import to_ms
from vitals.wire.topics import Lane, shard_of
from vitals.wire.wave_block import stamp_wave

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()
START = utc_now() - seconds(20)
_RANDOM = random.Random(1)
NO_INDEX_HOLDS = "".join(chr(_RANDOM.randrange(0x4E00, 0x9FFF)) for _ in range(4000))


def write(database, *messages, writer=None):
    return (writer or open_writer()).write(database, messages, now=utc_now())


def values(database):
    return [row[0] for row in database.execute("SELECT value FROM observation ORDER BY measured_at")]


def beats(*sequence):
    return [AGENT.vitals(s, 60 + s, at=START + seconds(s)) for s in sequence]


def test_duplicate_and_reordered_messages_are_stored_once(database):
    writer = open_writer()
    write(database, *beats(3, 1, 3), writer=writer)
    written = write(database, *beats(2, 1), writer=writer)

    assert values(database) == [61, 62, 63]
    assert written["hut-1"].upto[Lane.LIVE] == 3


def test_hole_keeps_the_acknowledgement_back(database):
    writer = open_writer()
    assert write(database, *beats(1, 2, 4, 5), writer=writer)["hut-1"].upto[Lane.LIVE] == 2
    assert write(database, *beats(3), writer=writer)["hut-1"].upto[Lane.LIVE] == 5


def test_progress_outlives_the_writer(database):
    write(database, *beats(1, 2, 4))
    written = write(database, *beats(3))

    assert (written["hut-1"].ln, written["hut-1"].upto[Lane.LIVE]) == (LINEAGE, 4)


def test_lanes_are_counted_apart(database):
    backlog = AGENT.vitals(1, 50, at=START, lane=Lane.BACKLOG)
    written = write(database, *beats(1, 2), backlog, AGENT.gap(1, GapCause.CABLE, start=START))

    assert written["hut-1"].upto == {Lane.LIVE: 2, Lane.BACKLOG: 1, Lane.EVENT: 1}


def test_new_lineage_is_acknowledged_from_its_own_beginning(database):
    write(database, *beats(1, 2, 3))
    fresh = replace(AGENT, lineage="0000000000000001")
    written = write(database, fresh.vitals(1, 80, at=START + seconds(9)))

    assert (written["hut-1"].ln, written["hut-1"].upto[Lane.LIVE]) == ("0000000000000001", 1)


def test_database_from_a_backup_does_not_wait_for_what_the_agent_let_go(database):
    writer = open_writer()
    assert write(database, *beats(7, 8), writer=writer)["hut-1"].upto[Lane.LIVE] == 0

    written = write(database, AGENT.birth(released={Lane.LIVE: 6}), writer=writer)

    assert written["hut-1"].upto[Lane.LIVE] == 8
    assert write(database, *beats(9))["hut-1"].upto[Lane.LIVE] == 9


def test_birth_answers_what_was_stored_before(database):
    write(database, *beats(1, 2))

    assert write(database, AGENT.birth())["hut-1"].upto[Lane.LIVE] == 2


def test_other_value_for_the_same_key_keeps_the_first_and_is_counted(database):
    write(database, AGENT.vitals(1, 70, at=START))
    write(database, AGENT.vitals(2, 99, at=START), AGENT.vitals(3, 70, at=START))

    assert values(database) == [70]
    assert database.execute("SELECT key, times FROM value_conflict").fetchall() == [("heart_rate", 1)]


def test_other_samples_for_the_same_block_keep_the_first_and_are_counted(database):
    write(database, AGENT.wave(1, [1, 2, 3], at=START))
    write(database, AGENT.wave(2, [7, 7, 7], at=START), AGENT.wave(3, [1, 2, 3], at=START))

    assert database.execute("SELECT key, times FROM value_conflict").fetchall() == [("ecg", 1)]


def test_missing_value_is_stored_with_its_reason(database):
    write(database, AGENT.vitals(1, None, at=START))

    assert database.execute("SELECT value, flags FROM observation").fetchall() == [(None, ["no_contact"])]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dt": "x"}, "contract"),
        ({"v": 9}, "version"),
        ({"u": {"heart_rate": "a\x00b"}}, "database"),
        ({"src": NO_INDEX_HOLDS}, "database"),
    ],
    ids=["contract", "version", "database", "index"],
)
def test_poison_goes_to_the_dead_letters_and_counts_as_received(database, change, reason):
    good = beats(1, 2, 3)
    poison = structs.replace(
        good[1], payload=msgspec.json.encode(msgspec.json.decode(good[1].payload) | change)
    )
    written = write(database, good[0], poison, good[2])

    assert values(database) == [61, 63]
    letters = database.execute("SELECT reason, payload FROM dead_letter").fetchall()
    assert letters == [(reason, poison.payload)]
    assert written["hut-1"].upto[Lane.LIVE] == 3


def test_value_from_the_future_is_kept_apart_and_acknowledged(database):
    written = write(database, AGENT.vitals(1, 70, at=utc_now() + seconds(900)))

    assert values(database) == []
    assert database.execute("SELECT reason FROM dead_letter").fetchall() == [("clock",)]
    assert written["hut-1"].upto[Lane.LIVE] == 1


def test_source_of_another_agent_cannot_be_spoken_for(database):
    write(database, AGENT.birth())
    thief = WireAgent(agent="hut-2")
    stolen = thief.vitals(1, 70, at=START)
    written = write(database, stolen, thief.birth())

    assert values(database) == []
    assert database.execute("SELECT reason, payload FROM dead_letter").fetchall() == [
        ("owner", stolen.payload)
    ]
    assert database.execute("SELECT agent FROM source").fetchall() == [("hut-1",)]
    assert written["hut-2"].upto[Lane.LIVE] == 1


def test_values_before_the_birth_are_stored_and_the_birth_completes_the_source(database):
    write(database, *beats(1))
    assert database.execute("SELECT declared_at, driver FROM source").fetchall() == [(None, "")]

    write(database, AGENT.birth())
    assert database.execute("SELECT driver, simulated FROM source").fetchall() == [("polar_h10", True)]


def test_gap_that_is_told_again_with_its_end_is_one_gap(database):
    ended = AGENT.gap(2, GapCause.SENSOR_OFF, start=START, end=START + seconds(5))
    write(database, AGENT.gap(1, GapCause.SENSOR_OFF, start=START))
    write(database, ended, AGENT.gap(3, GapCause.SENSOR_OFF, start=START))

    rows = database.execute("SELECT cause, ended_at, told_by FROM gap").fetchall()
    assert rows == [("sensor_off", START + seconds(5), "edge")]


def test_failed_transaction_stores_nothing_and_leaves_the_count_as_it_was(database_url, database):
    writer = open_writer()
    write(database, *beats(1), writer=writer)
    database.execute("ALTER TABLE lane_progress RENAME TO hidden")
    with pytest.raises(psycopg.Error):
        write(database, *beats(2), writer=writer)
    database.execute("ALTER TABLE hidden RENAME TO lane_progress")

    assert values(database) == [61]
    assert write(database, *beats(3), writer=writer)["hut-1"].upto[Lane.LIVE] == 1


def test_old_block_is_stored_as_late(database):
    old = replace(AGENT, src=SourceId("s-2")).wave(1, [1, 2], at=START)
    payload = stamp_wave(old.payload, lane=Lane.LIVE, s=1, sent_ms=to_ms(utc_now() + seconds(60)))
    write(database, structs.replace(old, payload=payload))

    assert database.execute("SELECT late FROM wave_block").fetchall() == [(True,)]


def test_nothing_is_written_once_somebody_else_writes(database):
    lost = LeaseLost(Lease(group=0, groups=1, holder="w", token=1))

    with pytest.raises(LeaseLost):
        Writer(Fence(condition="false", refusal=lost)).write(database, beats(1), now=utc_now())
    assert values(database) == []


def letters(database):
    rows = database.execute(
        "SELECT dead_letter_id, reason, replay_asked_at IS NOT NULL, replayed_at IS NOT NULL FROM dead_letter"
    )
    return rows.fetchall()


def test_message_that_was_refused_is_stored_when_it_is_tried_again_and_the_reason_is_gone(database):
    write(database, WireAgent(agent="hut-2").birth())
    message = AGENT.vitals(1, 70, at=START)
    write(database, message)
    database.execute("UPDATE source SET agent = 'hut-1'")
    database.execute("UPDATE dead_letter SET replay_asked_at = now()")
    ((letter_id, arrived),) = queries.find_replays(database, [], limit=9)

    assert open_writer().replay(database, letter_id, arrived, now=utc_now())
    assert [cell["value"] for cell in stored_cells(database, SOURCE)] == [70]
    assert letters(database) == [(letter_id, "owner", True, True)]
    assert queries.find_replays(database, [], limit=9) == []


def test_message_that_is_refused_again_says_why_and_can_be_asked_for_once_more(database):
    poison = AGENT.vitals(1, 70, at=utc_now() + seconds(900))
    write(database, poison)
    database.execute("UPDATE dead_letter SET replay_asked_at = now()")
    ((letter_id, arrived),) = queries.find_replays(database, [], limit=9)

    assert not open_writer().replay(database, letter_id, arrived, now=utc_now())
    assert letters(database) == [(letter_id, "clock", False, False)]
    assert values(database) == []


def test_message_from_the_future_is_taken_when_that_has_come_and_placed_by_when_it_arrived(database):
    arrived_at = utc_now()
    write(database, AGENT.vitals(1, 70, at=arrived_at + seconds(900)))
    database.execute("UPDATE dead_letter SET replay_asked_at = now()")
    ((letter_id, arrived),) = queries.find_replays(database, [], limit=9)

    assert open_writer().replay(database, letter_id, arrived, now=arrived_at + seconds(1000))
    assert letters(database) == [(letter_id, "clock", True, True)]
    (cell,) = stored_cells(database, SOURCE)
    assert abs((cell["measured_at"] + cell["clock_shift"] - arrived_at).total_seconds()) < 1


def test_only_letters_of_the_own_shards_are_tried_again(database):
    write(database, AGENT.vitals(1, 70, at=utc_now() + seconds(900)))
    database.execute("UPDATE dead_letter SET replay_asked_at = now()")
    own = shard_of("hut-1")

    assert len(queries.find_replays(database, [own], limit=9)) == 1
    assert queries.find_replays(database, ["zz"], limit=9) == []
