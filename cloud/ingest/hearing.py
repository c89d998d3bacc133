"""The live view's own ear at the broker: it does not wait for the commit, and hears of it when it comes.

Whoever stores is another process, perhaps several on several machines. What is heard here is not stored yet;
the acknowledgement that the agent gets for it is heard too, and says that it is. What is missed while the
broker is away is read from the database afterwards.
"""

import secrets

import structlog

from cloud.broker.address import BrokerAddress
from cloud.broker.link import BrokerLink, Delivery, LinkRole
from cloud.events import (
    AgentBorn,
    AgentGone,
    AgentHeard,
    BrokerBack,
    Clock,
    Deliver,
    Event,
    GapHeard,
    LaneOf,
    PartState,
    Reading,
    ReadingsHeard,
    StoredUpTo,
    WaveHeard,
)
from cloud.ingest.model import (
    OF_MEMORY,
    Arrived,
    Decoded,
    GapMessage,
    Place,
    Refused,
    StatusMessage,
    VitalsMessage,
    WaveBlockMessage,
    decode,
    newest_cells,
)
from cloud.series.model import from_us
from vitals.observation import VitalKey
from vitals.wire.batch import from_ms
from vitals.wire.errors import WireError
from vitals.wire.status import decode_ack, decode_beat
from vitals.wire.topics import ROOT, parse_agent_topic

_log = structlog.get_logger()
SUBSCRIPTIONS = (
    (f"{ROOT}/+/+/vitals", 1),
    (f"{ROOT}/+/+/wave/#", 0),
    (f"{ROOT}/+/+/event", 1),
    (f"{ROOT}/+/+/status", 1),
    (f"{ROOT}/+/+/ack", 1),
    (f"{ROOT}/+/+/beat", 0),
)


def hear(arrived: Arrived) -> list[Event]:
    """What a message tells; nothing if it will not be stored as it is.

    Raises:
        WireError: an acknowledgement or a beat that breaks the contract.
    """
    name = arrived.topic.rpartition("/")[2]
    if name == "beat":
        return [_beat(arrived)]
    if name == "ack":
        return _stored(arrived)
    event = _event(decode(arrived), arrived)
    return [] if event is None else [event]


def _event(item: Decoded, arrived: Arrived) -> Event | None:
    match item:
        case StatusMessage():
            return _status(item, arrived)
        case VitalsMessage():
            return _readings(item)
        case WaveBlockMessage():
            return None if item.message.historical else _wave(item)
        case GapMessage():
            return GapHeard(agent=item.place.agent, gap=item.gap)
        case Refused():
            _log.warning("not_shown", topic=arrived.topic, reason=item.reason.value)
            return None


def _wave(item: WaveBlockMessage) -> WaveHeard:
    return WaveHeard(
        agent=item.place.agent,
        src=item.src,
        block=item.message.block,
        late=False,
        heard_at=item.arrived.received_at,
        clock_shift=item.clock_shift,
    )


def _beat(arrived: Arrived) -> AgentHeard:
    agent = parse_agent_topic(arrived.topic).agent
    beat = decode_beat(arrived.payload)
    return AgentHeard(
        agent=agent,
        heard_at=arrived.received_at,
        depth=beat.depth,
        oldest_at=None if beat.oldest is None else from_ms(beat.oldest),
    )


def _stored(arrived: Arrived) -> list[Event]:
    agent = parse_agent_topic(arrived.topic).agent
    ack = decode_ack(arrived.payload)
    return [
        StoredUpTo(lane=LaneOf(agent=agent, lineage=ack.ln, lane=lane), s=upto, at=from_ms(ack.at))
        for lane, upto in ack.upto.items()
    ]


def _status(item: StatusMessage, arrived: Arrived) -> Event:
    heard_at = None if arrived.retained else arrived.received_at
    if not item.status.online:
        return AgentGone(agent=item.agent, heard_at=heard_at)
    return AgentBorn(agent=item.agent, sources=tuple(item.status.sources), heard_at=heard_at)


def _readings(item: VitalsMessage) -> ReadingsHeard:
    """The newest of each key. What a device remembers is placed by the database, which knows its clock."""
    readings = tuple(
        Reading(
            src=item.src,
            key=VitalKey(cell.key),
            value=cell.value,
            unit=cell.unit,
            measured_at=from_us(cell.measured_us),
            received_at=from_us(cell.received_us),
            arrived_at=item.arrived.received_at,
            stored_at=None,
            quality=cell.quality,
            flags=cell.flags,
            late=cell.late,
            clock_shift=None if OF_MEMORY.intersection(cell.flags) else item.clock_shift,
        )
        for cell in newest_cells(item.batch, stored_us=0, shift_us=item.shift_us)
    )
    return ReadingsHeard(
        readings=readings, heard_at=item.arrived.received_at, lane=_lane_of(item.place), s=item.place.s
    )


def _lane_of(place: Place) -> LaneOf:
    return LaneOf(agent=place.agent, lineage=place.lineage, lane=place.lane)


class Ear:
    """Listens to everything. It calls `deliver`, which must return at once.

    A message may be heard after its own acknowledgement; then it is told as stored.
    """

    def __init__(self, address: BrokerAddress, *, deliver: Deliver, clock: Clock) -> None:
        self._deliver = deliver
        self._clock = clock
        self._stored: dict[LaneOf, StoredUpTo] = {}
        role = LinkRole(
            client_id=f"qianli-live-{secrets.token_hex(4)}", subscriptions=SUBSCRIPTIONS, is_lasting=False
        )
        self._link = BrokerLink(
            address, role, on_delivery=self.receive, on_connected=self._tell_back, clock=clock
        )

    @property
    def state(self) -> PartState:
        """The broker as it is now."""
        return self._link.state

    def start(self) -> None:
        """Begin to listen."""
        self._link.start()

    def stop(self) -> None:
        """Listen no more."""
        self._link.stop()

    def receive(self, delivery: Delivery) -> None:
        """Take one message from the broker (the link's thread)."""
        delivery.acknowledge()
        arrived = Arrived(
            topic=delivery.topic,
            payload=delivery.payload,
            received_at=self._clock(),
            retained=delivery.retained,
        )
        try:
            self._deliver([self._with_what_is_known(event) for event in hear(arrived)])
        except WireError as error:
            _log.warning("not_understood", topic=delivery.topic, error=str(error))

    def _with_what_is_known(self, event: Event) -> Event:
        if isinstance(event, StoredUpTo):
            self._stored[event.lane] = event
        elif isinstance(event, ReadingsHeard):
            stored = self._stored.get(event.lane)
            if stored is not None and event.s <= stored.s:
                return event.as_stored(stored.at)
        return event

    def _tell_back(self) -> None:
        self._deliver([BrokerBack()])
