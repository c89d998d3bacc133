"""The two frames of the Contec CMS50D+ (firmware before 4.6), 19200 baud 8O1.

Live, 60 per second, five bytes of which only the first has bit 7 set:

| byte | bits |
|---|---|
| 0 | 7 sync; 6 beep; 5 SpO2 is dropping; 4 finger out; 3-0 signal strength |
| 1 | 6-0 pleth |
| 2 | 6 bit 7 of the pulse rate; 5 searching; 4 probe error; 3-0 bar graph |
| 3 | 6-0 of the pulse rate |
| 4 | 6-0 SpO2 |

Stored, one per second of a recorded session, three bytes: F0 or F1 (bit 0 is bit 7 of the pulse rate),
0x80 + pulse rate, SpO2. The download begins after `REQUEST_STORED` with F2 80 00 three times and three bytes
of length.

Layout from atbrask/CMS50Dplus, cms50dplus/cms50dplus.py (BSD-3-Clause); never run against hardware here.
"""

from dataclasses import dataclass

LIVE_FRAME_BYTES = 5
STORED_SAMPLE_BYTES = 3
REQUEST_STORED = b"\xf5\xf5"

NO_PULSE_RATE = frozenset({0, 255})
NO_SPO2 = frozenset({0, 127})
"""All bits set is "no value" in the BCI layout, from which this one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFrame:
    """One sixtieth of a second. `spo2` and `pulse_rate` are None when the device has no value."""

    spo2: int | None
    pulse_rate: int | None
    pleth: int
    bar: int = 0
    signal: int = 0
    beep: bool = False
    spo2_drop: bool = False
    finger_out: bool = False
    probe_error: bool = False
    searching: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSample:
    """One second of a recorded session."""

    spo2: int | None
    pulse_rate: int | None


def decode_live_frame(frame: bytes) -> LiveFrame:
    """The fields of five bytes that `LiveFrameSplitter` found."""
    head, pleth, bar, low_rate, spo2 = frame
    return LiveFrame(
        spo2=_or_none(spo2 & 0x7F, NO_SPO2),
        pulse_rate=_or_none((bar & 0x40) << 1 | low_rate & 0x7F, NO_PULSE_RATE),
        pleth=pleth & 0x7F,
        bar=bar & 0x0F,
        signal=head & 0x0F,
        beep=bool(head & 0x40),
        spo2_drop=bool(head & 0x20),
        finger_out=bool(head & 0x10),
        probe_error=bool(bar & 0x10),
        searching=bool(bar & 0x20),
    )


def encode_live_frame(frame: LiveFrame) -> bytes:
    """The inverse of `decode_live_frame`, for simulators; no value is sent as 0."""
    pulse_rate = frame.pulse_rate or 0
    head = 0x80 | frame.beep << 6 | frame.spo2_drop << 5 | frame.finger_out << 4 | frame.signal & 0x0F
    bar = (pulse_rate & 0x80) >> 1 | frame.searching << 5 | frame.probe_error << 4 | frame.bar & 0x0F
    return bytes([head, frame.pleth & 0x7F, bar, pulse_rate & 0x7F, (frame.spo2 or 0) & 0x7F])


def is_stored_sample(sample: bytes) -> bool:
    """Whether three bytes have the fixed bits of a stored sample."""
    return sample[0] & 0xFE == 0xF0 and bool(sample[1] & 0x80) and not sample[2] & 0x80


def decode_stored_sample(sample: bytes) -> StoredSample:
    """The fields of three bytes that `is_stored_sample`."""
    pulse_rate = (sample[0] & 0x01) << 7 | sample[1] & 0x7F
    return StoredSample(spo2=_or_none(sample[2], NO_SPO2), pulse_rate=_or_none(pulse_rate, NO_PULSE_RATE))


class LiveFrameSplitter:
    """Finds live frames in any run of bytes and counts what it had to drop."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._is_lost = False
        self.rejected = 0

    def split(self, run: bytes) -> list[bytes]:
        """The frames that `run` completes. One rejection is one cut frame, or one run of stray bytes."""
        frames = []
        for byte in run:
            if byte & 0x80:
                if self._pending:
                    self.rejected += 1
                self._pending = bytearray([byte])
                self._is_lost = False
            elif self._pending:
                self._pending.append(byte)
            elif not self._is_lost:
                self.rejected += 1
                self._is_lost = True
            if len(self._pending) == LIVE_FRAME_BYTES:
                frames.append(bytes(self._pending))
                self._pending.clear()
        return frames


def _or_none(number: int, nothing: frozenset[int]) -> int | None:
    return None if number in nothing else number
