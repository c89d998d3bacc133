"""An oximeter with the standard Pulse Oximeter Service: SpO2 of a stay, pulse rate of a real pleth."""

from devices.driver import Access
from devices.formats.medfloat import NotANumber, encode_sfloat
from devices.simulators.ble_device import RADIO_FAULTS, BleDevice
from devices.simulators.finger import Finger
from devices.simulators.recording import Source
from devices.simulators.simulated_device import DeviceSpec, Fault
from devices.simulators.virtual_radio import VirtualCharacteristic, VirtualService

CONTINUOUS_UUID = "2A5F"
SEND_EVERY_S = 1.0

STATUS_STATUS_INDEX = 0x04 | 0x08 | 0x10
"""Flags: with measurement status, device and sensor status, pulse amplitude index (PLXS 1.0.1 §3.2)."""

ONGOING = 1 << 5
FROM_DEMONSTRATION = 1 << 10
QUESTIONABLE = 1 << 14
LOW_PERFUSION = 1 << 5
NOT_ON_USER = 1 << 11

FEATURES = (1 << 0 | 1 << 1).to_bytes(2, "little") + (
    (ONGOING | FROM_DEMONSTRATION | QUESTIONABLE).to_bytes(2, "little")
    + (LOW_PERFUSION | NOT_ON_USER).to_bytes(3, "little")
)
"""Both status fields are supported, and which of their bits."""


class PulseOximeter(BleDevice):
    """Notifies 0x2A5F once a second."""

    driver = "pulse_oximeter"
    faults = (*RADIO_FAULTS, Fault.FINGER_OUT, Fault.LOW_PERFUSION, Fault.DEMO_FLAG)
    maker = "Qianli simulator"
    model = "PLX"
    local_name = "PLX {serial}"
    advertised_uuids = ("1822",)

    def __init__(self, spec: DeviceSpec) -> None:
        super().__init__(spec)
        self.finger = Finger(pleth=spec.record, stay=spec.stay)

    @property
    def round_s(self) -> float:
        """See `SimulatedDevice`."""
        return self.finger.replay.round_s

    @property
    def sources(self) -> tuple[Source, ...]:
        """See `SimulatedDevice`."""
        return self.finger.sources

    def services(self) -> tuple[VirtualService, ...]:
        """See `BleDevice`."""
        return (
            VirtualService(
                uuid="1822",
                characteristics=(
                    VirtualCharacteristic(uuid=CONTINUOUS_UUID, access=(Access.NOTIFY,)),
                    VirtualCharacteristic(uuid="2A60", access=(Access.READ,), read=lambda: FEATURES),
                ),
            ),
        )

    async def run(self) -> None:
        """See `SimulatedDevice`."""
        async for at_s in self.ticks(SEND_EVERY_S):
            if self.is_listened_to(CONTINUOUS_UUID):
                await self.peripheral.notify(CONTINUOUS_UUID, self.measure(at_s))

    def measure(self, at_s: float) -> bytes:
        """The payload of a continuous measurement at a replay time."""
        spo2: float | NotANumber = round(self.finger.spo2_pct_at(at_s))
        pulse_rate: float | NotANumber = NotANumber.NAN
        measured = self.finger.pulse_rate_at(at_s)
        measurement_status, device_status = ONGOING, 0
        if measured is None:
            measurement_status |= QUESTIONABLE
        else:
            pulse_rate = round(measured)
        if self.has(Fault.DEMO_FLAG):
            measurement_status |= FROM_DEMONSTRATION
        if self.has(Fault.LOW_PERFUSION):
            device_status |= LOW_PERFUSION
        if self.has(Fault.FINGER_OUT):
            spo2 = pulse_rate = NotANumber.NAN
            device_status |= NOT_ON_USER
        index = self.finger.perfusion_pct(is_low=self.has(Fault.LOW_PERFUSION))
        return (
            bytes([STATUS_STATUS_INDEX])
            + encode_sfloat(spo2)
            + encode_sfloat(pulse_rate)
            + measurement_status.to_bytes(2, "little")
            + device_status.to_bytes(3, "little")
            + encode_sfloat(NotANumber.NAN if self.has(Fault.FINGER_OUT) else index, -1)
        )
