"""Which topics the holder of a certificate may use; pure, and the same rules as in `deploy/`.

| holder | publishes | subscribes |
|---|---|---|
| agent A | `q/v1/{shard of A}/A/…` but `ack`, `cmd` | its own `…/ack`, `…/cmd`, and `q/v1/cloud/status` |
| the cloud | `q/v1/{any}/{any}/ack`, `…/cmd`, `q/v1/cloud/status` | everything below `q/v1` |
"""

from vitals.wire.topics import CLOUD_STATUS, ROOT, is_agent_name, shard_of

CLOUD_PREFIX = "qianli."
"""Before the name of a part of the service; the name of an agent has no dot."""
FROM_CLOUD = ("ack", "cmd")


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
        return topic == CLOUD_STATUS or _is_to_agent(topic)
    if not is_agent_name(identity):
        return False
    own = f"{ROOT}/{shard_of(identity)}/{identity}/"
    name = topic.removeprefix(own)
    return topic.startswith(own) and name != "" and name.split("/")[0] not in FROM_CLOUD


def may_subscribe(identity: str, topic_filter: str) -> bool:
    """Whether a holder may ask for that, and be given it."""
    if identity.startswith(CLOUD_PREFIX):
        return topic_filter.startswith(f"{ROOT}/")
    if not is_agent_name(identity):
        return False
    own = f"{ROOT}/{shard_of(identity)}/{identity}/"
    return topic_filter in {CLOUD_STATUS, *(own + name for name in FROM_CLOUD)}


def _is_to_agent(topic: str) -> bool:
    parts = topic.split("/")
    return len(parts) == 5 and "/".join(parts[:2]) == ROOT and parts[4] in FROM_CLOUD
