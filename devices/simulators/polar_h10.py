"""A Polar H10: the heart rate belt, and one ECG lead at 130 Hz over Polar Measurement Data."""

import asyncio
from datetime import UTC, datetime

import numpy as np

from devices.driver import Access
from devices.formats.polar_pmd import (
    CONTROL_UUID,
    DATA_UUID,
    ECG,
    OPERATION_START,
    SERVICE_UUID,
    SUCCESS,
    ControlAnswer,
    EcgFrame,
    encode_control_answer,
    encode_ecg_frame,
)
from devices.simulators.heart_rate_belt import HeartRateBelt
from devices.simulators.replay import Samples
from devices.simulators.simulated_device import DeviceSpec, Fault, stable_number
from devices.simulators.virtual_radio import VirtualCharacteristic, VirtualService

SAMPLES_PER_FRAME = 73
LONGEST_BACKLOG_S = 5.0

POLAR_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
OPERATION_STOP = 3
INVALID_OPERATION = 1
NOT_SUPPORTED = 3
ALREADY_IN_STATE = 6

FEATURES = bytes([0x0F, 1 << ECG])
REQUESTS_WAITING = 8
"""More unanswered requests than this are dropped, as a strap would."""

OPEN_INPUT_UV = 15.0
MUSCLE_UV = 250.0
MAINS_UV = 200.0
MAINS_HZ = 50


class PolarH10(HeartRateBelt):
    """A start request is answered; then frames of 73 samples follow, stamped with their last sample."""

    driver = "polar_h10"
    maker = "Polar Electro Oy"
    model = "H10"
    local_name = "Polar H10 {serial}"
    advertised_uuids = ("180D", "FEEE")

    def __init__(self, spec: DeviceSpec) -> None:
        super().__init__(spec)
        self._zero_ns = round((self.started_at - POLAR_EPOCH).total_seconds() * 1e9 - spec.start_at_s * 1e9)
        self._requests: asyncio.Queue[bytes] = asyncio.Queue(REQUESTS_WAITING)
        self._is_streaming = asyncio.Event()
        self._random = np.random.default_rng(stable_number(spec.name))

    def services(self) -> tuple[VirtualService, ...]:
        """See `BleDevice`."""
        control = VirtualCharacteristic(
            uuid=CONTROL_UUID,
            access=(Access.READ, Access.INDICATE),
            read=lambda: FEATURES,
            on_write=self._take_request,
        )
        samples = VirtualCharacteristic(uuid=DATA_UUID, access=(Access.NOTIFY,))
        return (*super().services(), VirtualService(uuid=SERVICE_UUID, characteristics=(control, samples)))

    async def run(self) -> None:
        """See `SimulatedDevice`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.send_heart_rate())
            tasks.create_task(self._answer_requests())
            tasks.create_task(self._send_ecg())

    def ecg_uv(self, first: int, stop: int) -> Samples:
        """Samples `first` to `stop` (excluded) as the strap measures them with its present faults."""
        if self.has(Fault.ELECTRODES_OFF):
            return np.rint(self._random.normal(0, OPEN_INPUT_UV, stop - first)).astype(np.int32)
        clean = self.replay.samples_uv(first, stop)
        if not self.has(Fault.NOISE):
            return clean
        mains = MAINS_UV * np.sin(2 * np.pi * MAINS_HZ * np.arange(first, stop) / self.replay.rate_hz)
        muscle = self._random.normal(0, MUSCLE_UV, stop - first)
        return clean + np.rint(mains + muscle).astype(np.int32)

    def obey(self, request: bytes) -> ControlAnswer:
        """Act on a request to the control point: start or stop the ECG, refuse everything else."""
        operation, measurement = (*request[:2], 0, 0)[:2]
        if operation not in {OPERATION_START, OPERATION_STOP}:
            status = INVALID_OPERATION
        elif measurement != ECG:
            status = NOT_SUPPORTED
        elif operation == OPERATION_STOP:
            status = SUCCESS
            self._is_streaming.clear()
        else:
            status = ALREADY_IN_STATE if self._is_streaming.is_set() else SUCCESS
            self._is_streaming.set()
        return ControlAnswer(operation=operation, measurement=measurement, status=status)

    def _take_request(self, request: bytes) -> None:
        if not self._requests.full():
            self._requests.put_nowait(request)

    async def _answer_requests(self) -> None:
        while True:
            answer = self.obey(await self._requests.get())
            await self.peripheral.indicate(CONTROL_UUID, encode_control_answer(answer))

    async def _send_ecg(self) -> None:
        rate_hz = self.replay.rate_hz
        while True:
            await self._is_streaming.wait()
            first = int(self.elapsed_s() * rate_hz)
            while self._is_streaming.is_set():
                stop = first + SAMPLES_PER_FRAME
                await self.wait_until(stop / rate_hz)
                if not self.peripheral.is_connected:
                    self._is_streaming.clear()  # a strap forgets what it was asked when the link ends
                elif self.is_listened_to(DATA_UUID):
                    await self.peripheral.notify(DATA_UUID, self._ecg_frame(first, stop))
                is_far_behind = self.elapsed_s() - stop / rate_hz > LONGEST_BACKLOG_S
                first = int(self.elapsed_s() * rate_hz) if is_far_behind else stop

    def _ecg_frame(self, first: int, stop: int) -> bytes:
        last_sample_ns = self._zero_ns + (stop - 1) * 1_000_000_000 // self.replay.rate_hz
        samples_uv = tuple(int(sample) for sample in self.ecg_uv(first, stop))
        return encode_ecg_frame(EcgFrame(last_sample_ns=last_sample_ns, samples_uv=samples_uv))
