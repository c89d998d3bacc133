from hypothesis import given
from hypothesis import strategies as st

from cloud.enrolment.authority.certificates import CLOUD_PREFIX as ISSUED_PREFIX
from qianli.embedded.broker_rights import CLOUD_PREFIX, may_connect, may_publish, may_subscribe
from vitals.wire.errors import WireInvalid
from vitals.wire.topics import CLOUD_STATUS, AgentTopic, parse_agent_topic

agents = st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True)
names = st.sampled_from(
    [
        "vitals",
        "wave/ecg",
        "event",
        "status",
        "beat",
        "ack",
        "cmd",
        "cmd/reply",
        "cmd/x",
        "",
        "ack/x",
        "+",
        "#",
    ]
)
CLOUD = f"{CLOUD_PREFIX}cloud"
COMMANDS = f"{CLOUD_PREFIX}commands"
levels = st.one_of(agents, st.sampled_from(["q", "v1", "cloud", "+", "#", "", "$SYS", "ack", "status"]))
topics = st.one_of(
    st.text(max_size=60),
    st.lists(levels, max_size=6).map("/".join),
    st.builds(lambda agent, name: str(AgentTopic(agent=agent, name=name)), agents, names),
)


def agent_in(topic):
    """As whom the cloud takes a message that came with this topic."""
    try:
        return parse_agent_topic(topic).agent
    except WireInvalid:
        return None


@given(agents, topics)
def test_agent_never_publishes_as_another(agent, topic):
    if may_publish(agent, topic):
        assert agent_in(topic) == agent


@given(agents, agents, names)
def test_agent_never_publishes_nor_hears_below_anothers_name(agent, other, name):
    topic = str(AgentTopic(agent=other, name=name))
    if agent != other:
        assert not may_publish(agent, topic)
        assert not may_subscribe(agent, topic)


@given(agents, topics)
def test_agent_asks_for_nothing_but_its_own(agent, topic):
    own = {str(AgentTopic(agent=agent, name=name)) for name in ("ack", "cmd")}
    assert may_subscribe(agent, topic) is (topic in own | {CLOUD_STATUS})


@given(agents, st.text(max_size=50), topics)
def test_agent_connects_as_itself_and_leaves_its_own_will_only(agent, client_id, will):
    if may_connect(agent, client_id, will_topic=will):
        assert client_id == f"agent-{agent}"
        assert agent_in(will) == agent


@given(topics)
def test_cloud_speaks_to_agents_and_never_as_one(topic):
    if may_publish(CLOUD, topic):
        found = agent_in(topic)
        assert topic == CLOUD_STATUS or found is None or topic.endswith(("/ack", "/cmd"))


@given(st.text(max_size=40), topics)
def test_whose_name_is_no_agents_may_nothing(identity, topic):
    known = may_connect(identity, f"agent-{identity}", will_topic=None) or identity in (CLOUD, COMMANDS)
    if not known:
        assert not may_publish(identity, topic)
        assert not may_subscribe(identity, topic)


@given(topics)
def test_commands_of_the_cloud_command_and_acknowledge_nothing(topic):
    if may_publish(COMMANDS, topic):
        assert topic.endswith("/cmd")
    assert may_subscribe(COMMANDS, topic) is may_subscribe(CLOUD, topic)


def test_agent_is_commanded_and_commands_nobody():
    for name in ("cmd", "cmd/x", "ack"):
        assert not may_publish("hut-1", str(AgentTopic(agent="hut-1", name=name)))
    assert may_publish(COMMANDS, str(AgentTopic(agent="hut-1", name="cmd")))
    assert may_connect(COMMANDS, "qianli-commands", will_topic=None)


def test_agent_does_all_that_the_wire_contract_asks_of_it():
    for name in ("vitals", "wave/ecg", "event", "status", "beat", "cmd/reply"):
        assert may_publish("hut-1", str(AgentTopic(agent="hut-1", name=name)))
    assert may_connect("hut-1", "agent-hut-1", will_topic=str(AgentTopic(agent="hut-1", name="status")))


def test_broker_and_authority_call_the_cloud_alike():
    assert CLOUD_PREFIX == ISSUED_PREFIX
