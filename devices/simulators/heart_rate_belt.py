"""A chest strap with the standard Heart Rate Service: rate and R-R intervals of annotated beats."""

from typing import ClassVar

from devices.driver import Access
from devices.formats.heart_rate_measurement import HeartRateMeasurement, encode_heart_rate_measurement
from devices.simulators.ble_device import RADIO_FAULTS, BleDevice
from devices.simulators.recording import Source, load_ecg
from devices.simulators.replay import EcgReplay
from devices.simulators.simulated_device import DeviceSpec, Fault
from devices.simulators.virtual_radio import VirtualCharacteristic, VirtualService

HEART_RATE_UUID = "2A37"
CHEST = b"\x01"
SEND_EVERY_S = 1.0


class HeartRateBelt(BleDevice):
    """Sends 0x2A37 once a second."""

    driver = "heart_rate"
    faults = (*RADIO_FAULTS, Fault.ELECTRODES_OFF, Fault.NOISE)
    maker = "Qianli simulator"
    model = "HR belt"
    local_name = "HR belt {serial}"
    advertised_uuids: ClassVar[tuple[str, ...]] = ("180D",)

    def __init__(self, spec: DeviceSpec) -> None:
        super().__init__(spec)
        self._record = load_ecg(spec.record)
        self.replay = EcgReplay(self._record)

    @property
    def round_s(self) -> float:
        """See `SimulatedDevice`."""
        return self.replay.round_s

    @property
    def sources(self) -> tuple[Source, ...]:
        """See `SimulatedDevice`."""
        return (self._record.source,)

    def services(self) -> tuple[VirtualService, ...]:
        """See `BleDevice`."""
        return (
            VirtualService(
                uuid="180D",
                characteristics=(
                    VirtualCharacteristic(uuid=HEART_RATE_UUID, access=(Access.NOTIFY,)),
                    VirtualCharacteristic(uuid="2A38", access=(Access.READ,), read=lambda: CHEST),
                ),
            ),
        )

    async def run(self) -> None:
        """See `SimulatedDevice`."""
        await self.send_heart_rate()

    async def send_heart_rate(self) -> None:
        """Once a second the rate, and the intervals that ended since the value before."""
        async for at_s in self.ticks(SEND_EVERY_S):
            if self.is_listened_to(HEART_RATE_UUID):
                measurement = self.measure(at_s)
                await self.peripheral.notify(HEART_RATE_UUID, encode_heart_rate_measurement(measurement))

    def measure(self, at_s: float) -> HeartRateMeasurement:
        """What the strap reports at a replay time."""
        if self.has(Fault.ELECTRODES_OFF):
            return HeartRateMeasurement(heart_rate=0, has_contact=False, energy_kj=None, rr_1024=())
        beats = self.replay.beats_between(max(0.0, at_s - SEND_EVERY_S), at_s)
        return HeartRateMeasurement(
            heart_rate=round(self.replay.heart_rate_at(at_s) or 0),
            has_contact=True,
            energy_kj=None,
            rr_1024=tuple(round(beat.rr_s * 1024) for beat in beats if beat.rr_s is not None),
        )
