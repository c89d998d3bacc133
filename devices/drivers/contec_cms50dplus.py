"""Contec CMS50D+ fingertip oximeter over USB serial (firmware before 4.6): live values and pleth.

* `pleth` is the device's 7-bit curve at 60 Hz. The device has no clock: samples are counted, see
  `devices.formats.sample_clock.CountingClock`. While the finger is out there is no pleth, and its samples
  are counted as a hole.
* SpO2 and pulse rate come with every frame; one observation a second is kept, and one at every change.
* "Searching" silences SpO2 and pulse rate only: the pleth that it searches in is real.
* The bits "SpO2 is dropping", beep, bar graph and signal strength say nothing that the values do not: they
  stay beside them, as sent.

A `Frame` may hold any run of bytes, and becomes one wave block: collect a quarter of a second or so per
frame. Frames of the channel `STORED_CHANNEL` hold whole stored samples.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np

from devices.driver import (
    Driver,
    Frame,
    Match,
    Reading,
    SensorState,
    SerialSettings,
    Transport,
)
from devices.errors import FrameInvalid
from devices.formats.contec_frame import (
    STORED_SAMPLE_BYTES,
    LiveFrame,
    LiveFrameSplitter,
    decode_live_frame,
    decode_stored_sample,
    is_stored_sample,
)
from devices.formats.observed import Circumstances, absent, observe
from devices.formats.sample_clock import CountingClock
from devices.formats.sensor_watch import SensorWatch
from vitals.gap import GapCause
from vitals.observation import Flag, Observation, Quality, VitalKey
from vitals.wave import WaveBlock, WaveLayout

SPO2 = VitalKey("spo2")
PULSE_RATE = VitalKey("pulse_rate_spo2")
PLETH = VitalKey("pleth")
PLETH_RATE_HZ = Fraction(60)

LIVE_CHANNEL = "serial"
STORED_CHANNEL = "stored"

VALUES_EVERY = timedelta(seconds=1)

NUMERIC_KEYS = (SPO2, PULSE_RATE)
ALL_KEYS = (SPO2, PULSE_RATE, PLETH)

Numerics = tuple[int | None, int | None, Flag]
"""SpO2, pulse rate, and why one of them is missing if it is."""


class ContecDecoder:
    """One session on an open port."""

    def __init__(self) -> None:
        self._splitter = LiveFrameSplitter()
        self._clock = CountingClock(PLETH_RATE_HZ)
        self._watch = SensorWatch()
        self._last_numerics: Numerics | None = None
        self._last_numerics_at = datetime.min.replace(tzinfo=UTC)

    @property
    def rejected(self) -> int:
        """See `devices.driver.Decoder`."""
        return self._splitter.rejected

    def feed(self, frame: Frame) -> list[Reading]:
        """See `devices.driver.Decoder`. Live bytes are never invalid: the decoder finds the next frame."""
        if frame.channel == LIVE_CHANNEL:
            return self._decode_live(frame)
        if frame.channel == STORED_CHANNEL:
            return _decode_stored(frame)
        raise FrameInvalid(f"this driver has no channel {frame.channel}", offset=0, payload=frame.payload)

    def _decode_live(self, frame: Frame) -> list[Reading]:
        live_frames = [decode_live_frame(found) for found in self._splitter.split(frame.payload)]
        readings: list[Reading] = []
        for frames_after, live in zip(reversed(range(len(live_frames))), live_frames, strict=True):
            measured_at = frame.received_at - _duration(frames_after)
            readings.extend(self._sensor_changes(live, measured_at))
            readings.extend(self._numerics(live, measured_at, frame.received_at))
        return readings + self._pleth_blocks(live_frames, frame.received_at)

    def _sensor_changes(self, live: LiveFrame, at: datetime) -> list[SensorState]:
        if live.finger_out:
            return self._watch.note(GapCause.SENSOR_OFF, ALL_KEYS, at=at)
        if live.probe_error:
            return self._watch.note(GapCause.SENSOR_FAULT, ALL_KEYS, at=at)
        if live.searching:
            return self._watch.note(GapCause.SEARCHING, NUMERIC_KEYS, at=at)
        return self._watch.note(None, (), at=at)

    def _numerics(self, live: LiveFrame, measured_at: datetime, received_at: datetime) -> list[Observation]:
        numerics = _read_numerics(live)
        if numerics == self._last_numerics and abs(measured_at - self._last_numerics_at) < VALUES_EVERY:
            return []
        self._last_numerics, self._last_numerics_at = numerics, measured_at
        spo2, pulse_rate, reason = numerics
        under = Circumstances(received_at=received_at, measured_at=measured_at).beside(
            signal=live.signal, bar=live.bar, beep=live.beep, spo2_drop=live.spo2_drop
        )
        return _observe_pair(spo2, pulse_rate, under=under, reason=reason)

    def _pleth_blocks(self, live_frames: list[LiveFrame], received_at: datetime) -> list[Reading]:
        """One block per run of frames with a finger in."""
        blocks: list[Reading] = []
        run: list[int] = []
        for index, live in enumerate(live_frames):
            if not (live.finger_out or live.probe_error):
                run.append(live.pleth)
                continue
            blocks.extend(self._place(run, received_at, frames_after=len(live_frames) - index))
            run = []
            self._clock.skip(1)
        return blocks + self._place(run, received_at, frames_after=0)

    def _place(self, run: list[int], received_at: datetime, *, frames_after: int) -> list[Reading]:
        if not run:
            return []
        place = self._clock.place(len(run), received_at - _duration(frames_after))
        block = WaveBlock(
            stream=PLETH,
            t0_us=place.t0_us,
            rate_hz=PLETH_RATE_HZ,
            first_sample=place.first_sample,
            samples=np.array(run, dtype=np.int32),
        )
        return [block]


def _duration(frame_count: int) -> timedelta:
    return timedelta(seconds=float(frame_count / PLETH_RATE_HZ))


def _read_numerics(live: LiveFrame) -> Numerics:
    """Whatever stands in the fields while the device has no finger or no pulse yet is not a value."""
    if live.finger_out:
        return None, None, Flag.NO_CONTACT
    if live.probe_error:
        return None, None, Flag.SENSOR_FAULT
    if live.searching:
        return None, None, Flag.SEARCHING
    return live.spo2, live.pulse_rate, Flag.SEARCHING


def _observe_pair(
    spo2: int | None, pulse_rate: int | None, *, under: Circumstances, reason: Flag
) -> list[Observation]:
    pair = ((SPO2, spo2, "%"), (PULSE_RATE, pulse_rate, "/min"))
    return [
        absent(key, reason, unit=unit, under=under)
        if value is None
        else observe(key, value, unit=unit, under=under)
        for key, value, unit in pair
    ]


def _decode_stored(frame: Frame) -> list[Reading]:
    """Stored samples, oldest first. They carry no time: the caller knows when the session began."""
    under = Circumstances.live(frame.received_at).doubted(Quality.GOOD, Flag.STORED)
    readings: list[Reading] = []
    for offset in range(0, len(frame.payload), STORED_SAMPLE_BYTES):
        sample = frame.payload[offset : offset + STORED_SAMPLE_BYTES]
        if len(sample) < STORED_SAMPLE_BYTES or not is_stored_sample(sample):
            raise FrameInvalid("not a stored sample", offset=offset, payload=frame.payload)
        decoded = decode_stored_sample(sample)
        readings.extend(_observe_pair(decoded.spo2, decoded.pulse_rate, under=under, reason=Flag.FAILED))
    if not readings:
        raise FrameInvalid("no stored sample", offset=0, payload=frame.payload)
    return readings


DRIVER = Driver(
    name="contec_cms50dplus",
    maker="Contec",
    title_en="Contec CMS50D+ fingertip oximeter",
    title_zh="康泰 CMS50D+ 指夹式血氧仪",
    transport=Transport.SERIAL,
    match=Match(),
    measures=(SPO2, PULSE_RATE),
    new_decoder=ContecDecoder,
    serial=SerialSettings(baud=19200, parity="O"),
    waves=(WaveLayout(stream=PLETH, rate_hz=PLETH_RATE_HZ, gain=1.0, offset=0.0, unit="1"),),
    cadence_s={SPO2: 1.0, PULSE_RATE: 1.0},
    sources=("atbrask/CMS50Dplus: cms50dplus/cms50dplus.py (BSD-3-Clause, facts only)",),
)
