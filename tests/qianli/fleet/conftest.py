"""Simulated agents at moments that the test chooses, and what they send as the cloud reads it."""

from dataclasses import dataclass, field

import pytest

from qianli.fleet.agent import Books, Instant, SimulatedAgent
from qianli.fleet.figures import Figures
from qianli.fleet.ledger import Ledger
from qianli.fleet.scenario import Group, Kind, Member
from vitals.wire.batch import decode_batch
from vitals.wire.event import decode_event
from vitals.wire.status import Ack, encode_control
from vitals.wire.topics import LANES, parse_agent_topic
from vitals.wire.wave_block import decode_wave

START_MS = 1_790_000_000_000
LINEAGE = "00112233aabbccdd"


def at(elapsed_s: float) -> Instant:
    return Instant(START_MS + round(elapsed_s * 1000), elapsed_s)


def read(topic: str, payload: bytes):
    """Decode as the cloud does."""
    name = parse_agent_topic(topic).name
    if name == "vitals":
        return decode_batch(payload)
    if name == "event":
        return decode_event(payload)
    return decode_wave(payload, stream=name.removeprefix("wave/"))


@dataclass
class Bench:
    """One agent and the cloud's side of it."""

    agent: SimulatedAgent
    books: Books
    heard: list = field(default_factory=list)

    def run(
        self, from_s: float, to_s: float, *, is_linked: bool = True, is_acknowledged: bool = True
    ) -> list:
        """Half a second at a time; what was sent meanwhile."""
        before = len(self.heard)
        for half in range(round(from_s * 2) + 1, round(to_s * 2) + 1):
            now = at(half / 2)
            self.agent.measure(now)
            if not is_linked:
                continue
            while sent := self.agent.outgoing(now):
                self.heard += [read(*one) for one in sent]
                if not is_acknowledged:
                    break
                self.acknowledge_all(now)
        return self.heard[before:]

    def acknowledge_all(self, now: Instant):
        upto = {lane: lane_out.next_s - 1 for lane, lane_out in self.agent.spool._lanes.items()}
        return self.acknowledge(upto, now)

    def acknowledge(self, upto, now: Instant, *, lineage: str = LINEAGE):
        ack = Ack(v=1, ln=lineage, upto=dict.fromkeys(LANES, 0) | upto, at=now.true_ms)
        return self.agent.acknowledge(encode_control(ack), now)


@pytest.fixture
def make_bench():
    def make(kind: Kind = Kind.HOME, *, seed: int = 1, name: str = "town-00000", **words) -> Bench:
        group = Group(name="town", kind=kind, number=1, **words)
        books = Books(figures=Figures(), ledger=Ledger())
        member = Member(name=name, group=group)
        agent = SimulatedAgent(member, seed=seed, lineage=LINEAGE, boot="ffeeddcc44556677", books=books)
        return Bench(agent, books)

    return make
