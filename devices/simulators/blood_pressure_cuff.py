"""A cuff with the standard Blood Pressure Service: one reading a minute out of a charted stay.

A charted hour lasts a minute here. A reading that nobody took is kept, as cuffs do, and sent after the next
subscription; one that was not confirmed is sent again.
"""

from collections import deque
from datetime import datetime
from zoneinfo import ZoneInfo

from devices.driver import Access
from devices.formats.date_time import encode_date_time
from devices.formats.medfloat import NotANumber, encode_sfloat
from devices.simulators.ble_device import RADIO_FAULTS, BleDevice
from devices.simulators.recording import Source, load_stay
from devices.simulators.replay import STAY_ROW_S, StayReplay
from devices.simulators.simulated_device import DeviceSpec, Fault
from devices.simulators.virtual_radio import VirtualCharacteristic, VirtualService

MEASUREMENT_UUID = "2A35"
POLL_S = 0.25
FIRST_READING_AFTER_S = 1.0

TIME_PULSE_STATUS = 0x02 | 0x04 | 0x10
"""Flags: mmHg, with time stamp, pulse rate and status (Blood Pressure Service 1.0 §3.1)."""

STATUS_MOVEMENT = 1 << 0
STATUS_CUFF_LOOSE = 1 << 1
FEATURES = (1 << 0 | 1 << 1).to_bytes(2, "little")
"""It detects movement and a loose cuff."""

SITE_ZONE = ZoneInfo("Asia/Shanghai")
"""The cuff's clock is set to the wall clock of the default site."""

MEMORY_READINGS = 25
"""The oldest reading falls out, as from the memory of a cuff."""


class BloodPressureCuff(BleDevice):
    """Indicates 0x2A35 once a minute."""

    driver = "blood_pressure"
    faults = (*RADIO_FAULTS, Fault.CUFF_ERROR, Fault.MOVEMENT)
    maker = "Qianli simulator"
    model = "BP cuff"
    local_name = "BP cuff {serial}"
    advertised_uuids = ("1810",)

    def __init__(self, spec: DeviceSpec) -> None:
        super().__init__(spec)
        self._record = load_stay(spec.record)
        self.replay = StayReplay(self._record)
        self._unsent: deque[bytes] = deque(maxlen=MEMORY_READINGS)

    @property
    def round_s(self) -> float:
        """See `SimulatedDevice`."""
        return len(self._record.rows) * STAY_ROW_S

    @property
    def sources(self) -> tuple[Source, ...]:
        """See `SimulatedDevice`."""
        return (self._record.source,)

    def services(self) -> tuple[VirtualService, ...]:
        """See `BleDevice`."""
        return (
            VirtualService(
                uuid="1810",
                characteristics=(
                    VirtualCharacteristic(uuid=MEASUREMENT_UUID, access=(Access.INDICATE,)),
                    VirtualCharacteristic(uuid="2A49", access=(Access.READ,), read=lambda: FEATURES),
                ),
            ),
        )

    async def run(self) -> None:
        """See `SimulatedDevice`."""
        next_s = self.elapsed_s() + FIRST_READING_AFTER_S
        async for at_s in self.ticks(POLL_S):
            if at_s >= next_s:
                self._unsent.append(self.measure(at_s))
                next_s += STAY_ROW_S
            while self._unsent and self.is_listened_to(MEASUREMENT_UUID):
                if not await self.peripheral.indicate(MEASUREMENT_UUID, self._unsent[0]):
                    break
                self._unsent.popleft()

    def measure(self, at_s: float) -> bytes:
        """The payload of a reading at a replay time, stamped by the cuff's own wall clock."""
        row = self.replay.row_at(at_s)
        status = 0
        pressures = [row.systolic_mmhg, row.diastolic_mmhg, row.mean_mmhg]
        fields = b"".join(encode_sfloat(round(pressure)) for pressure in pressures)
        pulse_rate = encode_sfloat(round(row.heart_rate_bpm))
        if self.has(Fault.MOVEMENT):
            status |= STATUS_MOVEMENT
        if self.has(Fault.CUFF_ERROR):
            status |= STATUS_CUFF_LOOSE
            pulse_rate = encode_sfloat(NotANumber.NAN)
            fields = pulse_rate * 3
        wall_clock = encode_date_time(datetime.now(SITE_ZONE))
        return bytes([TIME_PULSE_STATUS]) + fields + wall_clock + pulse_rate + status.to_bytes(2, "little")
