"""Topic names, and the ids that stand in them."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from vitals.observation import SourceId
from vitals.wire.errors import WireInvalid

ROOT = "q/v1"
CLOUD_STATUS = f"{ROOT}/cloud/status"
_AGENT = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


class Lane(StrEnum):
    """Three sequences per agent, so that a refill never looks like a hole."""

    EVENT = "event"
    LIVE = "live"
    BACKLOG = "backlog"


LANES = tuple(Lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTopic:
    """A topic below one agent; `name` is "vitals", "wave/ecg", "event" and so on."""

    agent: str
    name: str

    def __str__(self) -> str:
        return f"{ROOT}/{shard_of(self.agent)}/{self.agent}/{self.name}"


def is_agent_name(name: str) -> bool:
    """Whether an agent may have this name: it is one level of a topic."""
    return _AGENT.fullmatch(name) is not None


@lru_cache(maxsize=16_384)
def shard_of(agent: str) -> str:
    """Two hex digits that never change for an agent: the unit of scale-out (`docs/wire-contract.md`)."""
    return hashlib.sha256(agent.encode()).hexdigest()[:2]


@lru_cache(maxsize=16_384)
def parse_agent_topic(topic: str) -> AgentTopic:
    """Split a received topic.

    Raises:
        WireInvalid: it is not `q/v1/{shard}/{agent}/{name}` with the shard that belongs to the agent.
    """
    parts = topic.split("/", 4)
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or not is_agent_name(parts[3]):
        raise WireInvalid("not an agent topic", topic=topic)
    if parts[2] != shard_of(parts[3]):
        raise WireInvalid(f"shard {parts[2]!r} is not that of agent {parts[3]!r}", topic=topic)
    return AgentTopic(agent=parts[3], name=parts[4])


def source_id(agent: str, *, driver: str, serial: str) -> SourceId:
    """The opaque id of a sensor: stable for the same device at the same agent, tells nothing else."""
    digest = hashlib.sha256(f"{agent}\n{driver}\n{serial}".encode()).hexdigest()
    return SourceId(f"s-{digest[:16]}")
