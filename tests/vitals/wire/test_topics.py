import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.wire.errors import WireInvalid
from vitals.wire.topics import AgentTopic, parse_agent_topic, shard_of, source_id


@given(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True),
    st.sampled_from(["vitals", "wave/ecg", "event"]),
)
def test_topic_round_trips(agent, name):
    topic = AgentTopic(agent=agent, name=name)

    assert parse_agent_topic(str(topic)) == topic


def test_shard_of_an_agent_never_changes():
    assert (shard_of("hut-1"), shard_of("ambulance-7")) == ("ac", "ae")


@pytest.mark.parametrize(
    "topic",
    ["", "q/v1", "q/v2/ac/hut-1/vitals", "q/v1/ac/UPPER/vitals", "q/v1/ac/hut-1", "q/v1/00/hut-1/vitals"],
)
def test_foreign_topic_is_refused(topic):
    with pytest.raises(WireInvalid):
        parse_agent_topic(topic)


def test_source_id_is_stable_and_tells_the_devices_apart():
    first = source_id("hut-1", driver="heart_rate", serial="A1")

    assert first == source_id("hut-1", driver="heart_rate", serial="A1")
    assert (
        len(
            {
                first,
                source_id("hut-2", driver="heart_rate", serial="A1"),
                source_id("hut-1", driver="heart_rate", serial="A2"),
            }
        )
        == 3
    )
