"""What a simulated agent says, as the bytes of the wire contract."""

from dataclasses import dataclass

from qianli.fleet.scenario import Group
from qianli.fleet.sensors import SENSORS, TABLE_ROWS, Sensor, unit_of, values_of
from qianli.fleet.spool import VITALS, Made, Numbered
from qianli.fleet.waves import CODEC, LOOP_S, PackedSecond, WaveSpec, loop_of, rate
from vitals.observation import SourceId
from vitals.wave import WaveBlock
from vitals.wire.batch import HISTORICAL_AFTER_MS, ClockState, Envelope, VitalsBatch, encode_batch
from vitals.wire.event import build_gap_event, encode_event, stamp_event
from vitals.wire.status import Beat, Status, encode_control
from vitals.wire.topics import AgentTopic, Lane
from vitals.wire.wave_block import encode_packed_wave, stamp_wave


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who speaks; lineage of the spool and boot are new in every run."""

    agent: str
    lineage: str
    boot: str


class Voice:
    """Builds the messages of one agent; `first_row` is where in the tables of values it begins."""

    def __init__(self, identity: Identity, group: Group, *, first_row: int) -> None:
        self.identity = identity
        self.sensors = SENSORS[group.kind]
        self.sources = [sensor.source(identity.agent) for sensor in self.sensors]
        self._group = group
        self._first_row = first_row
        self._clock = ClockState(src=group.clock.source)
        streams = [wave.stream for sensor in self.sensors for wave in sensor.waves]
        names = ["vitals", "event", "status", "beat", "ack", *(f"wave/{stream}" for stream in streams)]
        self.topics = {name: str(AgentTopic(agent=identity.agent, name=name)) for name in names}

    def period_s(self, sensor: int, part: int) -> float:
        """How long a message of a part takes to measure."""
        return (self.sensors[sensor].batch_s if part == VITALS else 1.0) / self._group.pace

    def column(self, key: str, sensor: Sensor, number: int) -> list[float]:
        """The values of one key in a batch."""
        table = values_of(key)
        first = self._first_row + number * sensor.rows
        return [table[(first + row) % TABLE_ROWS] for row in range(sensor.rows)]

    def second(self, wave: WaveSpec, number: int) -> PackedSecond:
        """The samples of a block."""
        return loop_of(wave)[(self._first_row + number) % LOOP_S]

    def message(self, one: Numbered, *, sent_ms: int) -> tuple[str, bytes]:
        """Topic and payload of a numbered message that is sent now."""
        made, lane, s = one.made, one.lane, one.s
        envelope = Envelope(ln=self.identity.lineage, boot=self.identity.boot, lane=lane, s=s)
        if made.gap is not None:
            event = encode_event(build_gap_event(made.gap, envelope=envelope))
            return self.topics["event"], stamp_event(event, lane=lane, s=s, sent_ms=sent_ms)
        if made.part == VITALS:
            return self.topics["vitals"], encode_batch(self._batch(made, envelope, sent_ms))
        wave = self.sensors[made.sensor].waves[made.part]
        payload = self._block(wave, made, envelope)
        return self.topics[f"wave/{wave.stream}"], stamp_wave(payload, lane=lane, s=s, sent_ms=sent_ms)

    def birth(self, *, at_ms: int, released: dict[Lane, int]) -> bytes:
        """The retained message that says who is there."""
        said = Status(
            v=1,
            agent=self.identity.agent,
            boot=self.identity.boot,
            online=True,
            ln=self.identity.lineage,
            at=at_ms,
            clk=self._clock,
            sources=[sensor.declare(self.identity.agent, pace=self._group.pace) for sensor in self.sensors],
            released=released,
        )
        return encode_control(said)

    def will(self) -> bytes:
        """What the broker says when the link breaks."""
        return encode_control(Status(v=1, agent=self.identity.agent, boot=self.identity.boot, online=False))

    def beat(self, *, at_ms: int, depth: int, oldest_ms: int | None) -> bytes:
        """A sign of life."""
        ln, boot = self.identity.lineage, self.identity.boot
        return encode_control(
            Beat(v=1, ln=ln, boot=boot, at=at_ms, depth=depth, oldest=oldest_ms, clk=self._clock)
        )

    def _batch(self, made: Made, envelope: Envelope, sent_ms: int) -> VitalsBatch:
        """As `build_batch` and `stamp_batch` would build it, without a detour over single observations."""
        sensor, src = self.sensors[made.sensor], self.sources[made.sensor]
        step_ms = round(self.period_s(made.sensor, VITALS) * 1000 / sensor.rows)
        offsets = [row * step_ms for row in range(sensor.rows)]
        return VitalsBatch(
            v=1,
            ln=envelope.ln,
            boot=envelope.boot,
            lane=envelope.lane,
            s=envelope.s,
            src=src,
            t0=made.t0_us // 1000,
            dt=offsets,
            rx=offsets,
            m={key: list(self.column(key, sensor, made.number)) for key in sensor.keys},
            u={key: unit_of(key) for key in sensor.keys},
            clk=self._clock,
            sent=sent_ms,
            h=int(sent_ms - made.newest_ms > HISTORICAL_AFTER_MS),
        )

    def _block(self, wave: WaveSpec, made: Made, envelope: Envelope) -> bytes:
        second = self.second(wave, made.number)
        block = WaveBlock(
            stream=wave.stream,
            t0_us=made.t0_us,
            rate_hz=rate(wave, pace=self._group.pace),
            first_sample=made.number * wave.rate_hz,
            samples=second.samples,
        )
        src: SourceId = self.sources[made.sensor]
        return encode_packed_wave(block, second.packed, src=src, envelope=envelope, codec=CODEC)
