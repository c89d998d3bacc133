"""Which topics the holder of a certificate may use; pure, and the same rules as in `deploy/`.

| holder | publishes | subscribes |
|---|---|---|
| agent A | `q/v1/{shard of A}/A/…`, not `ack`, `cmd` | its own `…/ack`, `…/cmd`, and `q/v1/cloud/status` |
| the service | `q/v1/{any}/{any}/ack`, `…/cmd`, `q/v1/cloud/status` | everything below `q/v1` |
| its ingest workers | `q/v1/{any}/{any}/ack`, `q/v1/cloud/status` | everything below `q/v1` |
| its commands | `q/v1/{any}/{any}/cmd` | everything below `q/v1` |
| its questions to the broker | `q/v1/{any}/{any}/check` | everything below `q/v1` |

Below `cmd` an agent publishes `cmd/reply` only. Each part of the service has a certificate of its own, for
brokers that take the name in it for the client id keep one connection of each name.
"""

from vitals.wire.topics import CLOUD_STATUS, ROOT, is_agent_name, shard_of

CLOUD_PREFIX = "qianli."
"""Before the name of a part of the service; the name of an agent has no dot."""
FROM_CLOUD = ("ack", "cmd")
REPLY = "cmd/reply"


def may_connect(identity: str, client_id: str | None, *, will_topic: str | None) -> bool:
    """Whether a holder may use this client id and leave this will: an agent only its own."""
    if will_topic is not None and not may_publish(identity, will_topic):
        return False
    if identity.startswith(CLOUD_PREFIX):
        return client_id is not None and not client_id.startswith("agent-")
    return is_agent_name(identity) and client_id == f"agent-{identity}"


def may_publish(identity: str, topic: str) -> bool:
    """Whether a holder may publish there."""
    if "+" in topic or "#" in topic:
        return False
    if identity.startswith(CLOUD_PREFIX):
        says = _said_by(identity.removeprefix(CLOUD_PREFIX))
        return (topic == CLOUD_STATUS and "ack" in says) or _is_to_agent(topic, says)
    if not is_agent_name(identity):
        return False
    own = f"{ROOT}/{shard_of(identity)}/{identity}/"
    name = topic.removeprefix(own)
    is_of_agents = name == REPLY or (name != "" and name.split("/")[0] not in FROM_CLOUD)
    return topic.startswith(own) and is_of_agents


def may_subscribe(identity: str, topic_filter: str) -> bool:
    """Whether a holder may ask for that, and be given it."""
    if identity.startswith(CLOUD_PREFIX):
        return topic_filter.startswith(f"{ROOT}/")
    if not is_agent_name(identity):
        return False
    own = f"{ROOT}/{shard_of(identity)}/{identity}/"
    return topic_filter in {CLOUD_STATUS, *(own + name for name in FROM_CLOUD)}


def _said_by(part: str) -> tuple[str, ...]:
    if part.startswith("ingest-"):
        return ("ack",)
    return {"cloud": FROM_CLOUD, "commands": ("cmd",), "check": ("check",)}.get(part, ())


def _is_to_agent(topic: str, names: tuple[str, ...]) -> bool:
    parts = topic.split("/")
    return len(parts) == 5 and "/".join(parts[:2]) == ROOT and parts[4] in names
