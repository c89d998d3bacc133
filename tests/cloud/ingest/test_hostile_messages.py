"""What one agent can send must not end a worker, stop the others, or be more than a letter."""

import msgspec
import pytest
from msgspec import structs

from cloud.ingest.model import Reason, Refused, decode
from tests.fixtures.stored import stored_cells
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.wire.batch import to_ms

AGENT = WireAgent()
FAR = 9_223_372_036_854_775_808


def changed(message, **fields):
    """The same message, saying something else."""
    return structs.replace(
        message, payload=msgspec.json.encode(msgspec.json.decode(message.payload) | fields)
    )


@pytest.mark.parametrize("name", ["status", "vitals", "event"])
def test_text_of_any_depth_is_a_letter(name):
    deep = AGENT.arrived(name, b'{"v":1,"x":' + b"[" * 5000)

    refused = decode(deep)
    assert (type(refused), refused.reason) == (Refused, Reason.CONTRACT)


def test_times_beyond_what_a_number_holds_are_a_letter():
    now = utc_now()
    far = {"t0": FAR, "dt": [to_ms(now) - FAR], "rx": [to_ms(now) - FAR]}
    refused = decode(changed(AGENT.vitals(1, 70, at=now), **far))

    assert refused.reason is Reason.CONTRACT


@pytest.mark.parametrize("cadence_s", [-1e300, 0, 1e300])
def test_cadence_that_cannot_be_is_a_letter(cadence_s):
    status = msgspec.json.decode(AGENT.birth().payload)
    status["sources"][0]["cadence"] = {"heart_rate": cadence_s}

    assert decode(changed(AGENT.birth(), sources=status["sources"])).reason is Reason.CONTRACT


def test_value_that_was_sent_in_the_year_9999_is_shifted_by_a_century_at_most():
    now = utc_now()
    message = decode(changed(AGENT.vitals(1, 70, at=now), sent=253_402_300_799_000))

    assert abs(message.clock_shift) <= seconds(100 * 365 * 86_400)


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.enable_socket
class TestStored:
    def test_message_with_which_we_cannot_deal_is_a_letter_and_others_are_stored(self, database):
        now = utc_now()
        writer = open_writer()
        writer.write(database, [AGENT.birth(), AGENT.vitals(1, 70, at=now - seconds(5))], now=now)
        database.execute("UPDATE series_batch SET payload = '{'")
        other = WireAgent(agent="hut-2", src="s-other")
        again = AGENT.vitals(2, 71, at=now - seconds(5))
        writer.write(database, [other.birth(), other.vitals(1, 60, at=now), again], now=now)
        database.execute("DELETE FROM series_batch WHERE payload = '{'")

        (letter,) = database.execute("SELECT topic, reason, detail FROM dead_letter").fetchall()
        assert letter[:2] == (again.topic, "database")
        assert letter[2].isidentifier()
        assert [cell["value"] for cell in stored_cells(database, "s-other")] == [60]

    def test_status_of_then_is_not_tried_again(self, database):
        writer = open_writer()
        writer.write(database, [AGENT.birth()], now=utc_now())
        database.execute("UPDATE agent SET online = false")
        birth = AGENT.birth()
        (letter_id,) = database.execute(
            "INSERT INTO dead_letter (topic, payload, reason, detail, received_at) "
            "VALUES (%s, %s, 'version', '', now()) RETURNING dead_letter_id",
            (birth.topic, birth.payload),
        ).fetchone()

        assert not writer.replay(database, letter_id, birth, now=utc_now())
        assert database.execute("SELECT online FROM agent").fetchone() == (False,)
