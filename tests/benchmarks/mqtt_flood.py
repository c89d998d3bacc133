"""Vitals messages at a planned pace over raw sockets, encoded beforehand (MQTT 3.1.1, QoS 1).

`declare` says before what every agent's source measures by itself, as a birth does.

`python -m tests.benchmarks.mqtt_flood '{"port": …}'` prints one JSON object when all is confirmed.
The measured time of a message is the moment for which it was planned: a sender that is late counts as delay.
"""

import json
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

import msgspec

from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import VitalsBatch, encode_batch
from vitals.wire.status import SourceDeclaration, Status, encode_control
from vitals.wire.topics import AgentTopic, Lane, source_id

KEYS = (
    "heart_rate", "spo2", "pulse_rate_spo2", "resp_rate", "nibp_sys", "nibp_dia", "temp_skin",
    "perfusion_index",
)  # fmt: skip
OUTSTANDING = 2000
AGENTS = 200
BOOT = "0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Flood:
    """What to send: `messages` with `rows` moments of `columns` values each, `per_s` of them a second."""

    port: int
    messages: int
    per_s: float
    lineage: str
    rows: int = 1
    columns: int = 1
    agents: int = AGENTS
    connections: int = 8


def main() -> None:
    flood = msgspec.convert(json.loads(sys.argv[1]), type=Flood)
    senders = [Sender(flood.port, f"flood-{flood.lineage}-{i}") for i in range(flood.connections)]
    started_s, size = encode_all(flood, senders)
    send_all(flood, senders, started_s)
    print(json.dumps({"started_s": started_s, "confirmed_s": time.time(), "bytes_per_message": size}))


def declare(port: int, *, agents: int) -> None:
    """Birth of every agent; returns when the broker has them all."""
    sender = Sender(port, "flood-births")
    for number in range(agents):
        agent = f"bench-{number}"
        source = SourceDeclaration(
            src=source_of(agent),
            driver="bench",
            title_zh="测",
            title_en="bench",
            serial_hash="0",
            cadence=dict.fromkeys(map(VitalKey, KEYS), 1.0),
        )
        status = Status(v=1, agent=agent, boot=BOOT, online=True, sources=[source])
        sender.add(number, str(AgentTopic(agent=agent, name="status")), encode_control(status))
    births = Flood(port=port, messages=agents, per_s=1e6, lineage="", agents=agents)
    send_all(births, [sender], time.time())


def source_of(agent: str) -> SourceId:
    return SourceId(source_id(agent, driver="bench", serial="1"))


def encode_all(flood: Flood, senders: list["Sender"]) -> tuple[float, float]:
    """Encode every message for its planned moment; returns the moment of the first, and the mean size."""
    guess_s, trial = time.perf_counter(), min(300, flood.messages)
    for number in range(trial):
        encode(flood, number, planned_s=time.time())
    guess_s = (time.perf_counter() - guess_s) / trial * flood.messages * 2 + 0.5
    started_s = time.time() + guess_s
    size = 0
    for number in range(flood.messages):
        topic, payload = encode(flood, number, planned_s=started_s + number / flood.per_s)
        size += len(payload)
        senders[number % flood.agents % len(senders)].add(number, topic, payload)
    assert time.time() < started_s, "encoding took longer than planned"
    time.sleep(started_s - time.time())
    return started_s, size / flood.messages


def encode(flood: Flood, number: int, *, planned_s: float) -> tuple[str, bytes]:
    agent = f"bench-{number % flood.agents}"
    newest_ms = round(planned_s * 1000)
    # Rows stand so close that two messages of an agent never name the same millisecond.
    step_ms = max(1, int(1000 * flood.agents / flood.per_s / flood.rows)) if flood.rows > 1 else 0
    rows = [step_ms * row for row in range(flood.rows)]
    batch = VitalsBatch(
        v=1,
        ln=flood.lineage,
        boot=BOOT,
        lane=Lane.LIVE,
        s=number // flood.agents + 1,
        src=source_of(agent),
        t0=newest_ms - rows[-1],
        dt=rows,
        rx=rows,
        m={
            key: [60.0 + (number + 7 * row + column) % 40 for row in range(flood.rows)]
            for column, key in enumerate(KEYS[: flood.columns])
        },
        u=dict.fromkeys(KEYS[: flood.columns], "/min"),
        sent=newest_ms,
    )
    return str(AgentTopic(agent=agent, name="vitals")), encode_batch(batch)


class Sender:
    """One connection with a window of messages that the broker has not confirmed."""

    def __init__(self, port: int, client_id: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = client_id.encode()
        body = struct.pack(">H4sBBHH", 4, b"MQTT", 4, 0x02, 0, len(name)) + name
        self.socket.sendall(bytes((0x10, len(body))) + body)
        assert self.socket.recv(4) == b"\x20\x02\x00\x00", "the broker refused"
        self.socket.settimeout(0)
        self.frames: list[tuple[int, bytes]] = []
        self.sent = self.confirmed = self._half = 0
        self.out = b""

    def add(self, number: int, topic: str, payload: bytes) -> None:
        name = topic.encode()
        identifier = len(self.frames) % 60_000 + 1
        body = struct.pack(">H", len(name)) + name + struct.pack(">H", identifier) + payload
        length, left = b"", len(body)
        while True:
            left, digit = divmod(left, 128)
            length += bytes((digit | (0x80 if left else 0),))
            if not left:
                break
        self.frames.append((number, b"\x32" + length + body))

    def fill(self, due: int, window: int) -> None:
        """Take what is due into the buffer, then push it out."""
        first = self.sent
        last = min(len(self.frames), self.confirmed + window)
        while self.sent < last and self.frames[self.sent][0] < due:
            self.sent += 1
        if self.sent > first:
            self.out += b"".join(frame for _, frame in self.frames[first : self.sent])
        self.push()

    def push(self) -> None:
        if self.out:
            try:
                self.out = self.out[self.socket.send(self.out) :]
            except BlockingIOError:
                return

    def read(self) -> None:
        count = self._half + len(self.socket.recv(65536))
        self.confirmed += count // 4  # a PUBACK has four bytes, and nothing else comes
        self._half = count % 4


def send_all(flood: Flood, senders: list[Sender], started_s: float) -> None:
    window = OUTSTANDING // len(senders)
    while any(sender.confirmed < len(sender.frames) for sender in senders):
        due = int((time.time() - started_s) * flood.per_s) + 1
        for sender in senders:
            sender.fill(due, window)
        blocked = [sender.socket for sender in senders if sender.out]
        readable, _, _ = select.select([sender.socket for sender in senders], blocked, [], 0.001)
        for sender in senders:
            if sender.socket in readable:
                sender.read()
        time.sleep(0.0003)


if __name__ == "__main__":
    main()
