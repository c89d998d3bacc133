"""A Contec CMS50D+ on a serial port: 60 frames a second whether anybody listens or not."""

from pathlib import Path

from devices.formats.contec_frame import LiveFrame, encode_live_frame
from devices.simulators.finger import Finger
from devices.simulators.pty_port import PtyPort
from devices.simulators.recording import Source
from devices.simulators.simulated_device import DeviceSpec, Fault, SimulatedDevice

SEND_EVERY_S = 1 / 15
"""Four frames at a time, about what a USB adapter's latency timer makes of them."""

LONGEST_BACKLOG_FRAMES = 60
GOOD_SIGNAL = 6
WEAK_SIGNAL = 2
MIDDLE = 64
WEAK_AMPLITUDE = 0.15


class ContecCms50dPlus(SimulatedDevice):
    """Sends live frames. It has no radio, no battery report and no identity."""

    driver = "contec_cms50dplus"
    faults = (Fault.OUT_OF_RANGE, Fault.SILENT, Fault.FINGER_OUT, Fault.LOW_PERFUSION)

    def __init__(self, spec: DeviceSpec, *, port: Path) -> None:
        super().__init__(spec)
        self.finger = Finger(pleth=spec.record, stay=spec.stay)
        self.port = PtyPort(port)

    @property
    def address_or_port(self) -> str:
        """See `SimulatedDevice`."""
        return str(self.port.path)

    @property
    def round_s(self) -> float:
        """See `SimulatedDevice`."""
        return self.finger.replay.round_s

    @property
    def sources(self) -> tuple[Source, ...]:
        """See `SimulatedDevice`."""
        return self.finger.sources

    async def run(self) -> None:
        """See `SimulatedDevice`."""
        rate_hz = self.finger.replay.rate_hz
        first = int(self.elapsed_s() * rate_hz)
        async for at_s in self.ticks(SEND_EVERY_S):
            stop = round(at_s * rate_hz)
            first = max(first, stop - LONGEST_BACKLOG_FRAMES)
            if not self.has(Fault.SILENT) and self.port.is_open:
                self.port.write(self.measure(first, stop))
            first = stop

    async def note_fault(self, fault: Fault) -> None:
        """See `SimulatedDevice`."""
        if fault is Fault.OUT_OF_RANGE and self.has(fault):
            self.port.pull_out()
        elif fault is Fault.OUT_OF_RANGE:
            self.port.plug_in()

    def measure(self, first: int, stop: int) -> bytes:
        """The bytes of frames `first` to `stop` (excluded), counted since the replay began."""
        if self.has(Fault.FINGER_OUT):
            out = LiveFrame(spo2=None, pulse_rate=None, pleth=0, finger_out=True)
            return encode_live_frame(out) * (stop - first)
        rate_hz = self.finger.replay.rate_hz
        at_s = first / rate_hz
        pulse_rate = self.finger.pulse_rate_at(at_s)
        is_weak = self.has(Fault.LOW_PERFUSION)
        beeps = {
            int(pulse.at_s * rate_hz) for pulse in self.finger.replay.pulses_between(at_s, stop / rate_hz)
        }
        return b"".join(
            encode_live_frame(
                LiveFrame(
                    spo2=None if pulse_rate is None else round(self.finger.spo2_pct_at(at_s)),
                    pulse_rate=None if pulse_rate is None else round(pulse_rate),
                    pleth=_weaken(sample) if is_weak else sample,
                    bar=sample >> 3,
                    signal=WEAK_SIGNAL if is_weak else GOOD_SIGNAL,
                    beep=index in beeps,
                    searching=pulse_rate is None,
                )
            )
            for index, sample in enumerate(self.finger.pleth(first, stop).tolist(), start=first)
        )


def _weaken(sample: int) -> int:
    return MIDDLE + round((sample - MIDDLE) * WEAK_AMPLITUDE)
