"""What each device sends, decoded by its driver, is what the recording holds. No radio, no waiting."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from devices.driver import Frame, Reading, SensorState
from devices.errors import FaultUnsupported
from devices.formats.heart_rate_measurement import encode_heart_rate_measurement
from devices.registry import find_driver
from devices.simulators.blood_pressure_cuff import SITE_ZONE, BloodPressureCuff
from devices.simulators.contec_cms50dplus import ContecCms50dPlus
from devices.simulators.heart_rate_belt import HeartRateBelt
from devices.simulators.polar_h10 import PolarH10
from devices.simulators.pulse_oximeter import PulseOximeter
from devices.simulators.recording import load_ecg, load_pleth, load_stay
from devices.simulators.simulated_device import DeviceSpec, Fault, SimulatedDevice
from vitals.gap import GapCause
from vitals.observation import Flag, Observation, Quality
from vitals.wave import WaveBlock

PLETH = "challenge2015/a103l"
STAY = "sepsis2019/p102070"
AT_S = 125.0
LOST_PULSE_S = 172.0
"""Here the pleth of a103l has been flat for more than three seconds."""


def decode(device: SimulatedDevice, channel: str, payload: bytes) -> list[Reading]:
    frame = Frame(channel=channel, payload=payload, received_at=datetime.now(UTC))
    return find_driver(device.driver).new_decoder().feed(frame)


def by_key(readings: list[Reading]) -> dict[str, Observation]:
    return {reading.key: reading for reading in readings if isinstance(reading, Observation)}


def causes(readings: list[Reading]) -> list[GapCause | None]:
    return [reading.cause for reading in readings if isinstance(reading, SensorState)]


def switch(device: SimulatedDevice, *faults: Fault) -> None:
    device._active_faults = frozenset(faults)


def belt() -> HeartRateBelt:
    return HeartRateBelt(DeviceSpec(name="belt", driver="heart_rate", record="mitdb/203"))


def strap(*faults: Fault) -> PolarH10:
    made = PolarH10(DeviceSpec(name="h10", driver="polar_h10", record="mitdb/119"))
    switch(made, *faults)
    return made


def cuff(*faults: Fault) -> BloodPressureCuff:
    made = BloodPressureCuff(DeviceSpec(name="cuff", driver="blood_pressure", record=STAY))
    switch(made, *faults)
    return made


def oximeter(*faults: Fault, stay: str | None = STAY) -> PulseOximeter:
    made = PulseOximeter(DeviceSpec(name="plx", driver="pulse_oximeter", record=PLETH, stay=stay))
    switch(made, *faults)
    return made


def contec(folder: Path, *faults: Fault) -> ContecCms50dPlus:
    spec = DeviceSpec(name="cms", driver="contec_cms50dplus", record=PLETH, stay=STAY)
    made = ContecCms50dPlus(spec, port=folder / "tty")
    switch(made, *faults)
    return made


def test_the_belt_sends_the_annotated_rate_and_intervals() -> None:
    device, record = belt(), load_ecg("mitdb/203")
    readings = decode(device, "2A37", encode_heart_rate_measurement(device.measure(AT_S)))
    beats = record.beat_s[record.beat_s <= AT_S]
    assert by_key(readings)["heart_rate"].value == round(60 / np.diff(beats)[-5:].mean())
    intervals = [reading.value for reading in readings if isinstance(reading, Observation)][1:]
    expected = [1000 * (b - a) for a, b in pairwise(beats) if b >= AT_S - 1]
    assert intervals == pytest.approx(expected, abs=0.5)


def test_a_belt_that_lost_contact_reports_no_rate() -> None:
    device = belt()
    switch(device, Fault.ELECTRODES_OFF)
    readings = decode(device, "2A37", encode_heart_rate_measurement(device.measure(AT_S)))
    assert by_key(readings)["heart_rate"].value is None
    assert causes(readings) == [GapCause.SENSOR_OFF]


def test_the_strap_sends_the_samples_of_the_record() -> None:
    device = strap()
    (block,) = decode(device, "fb005c82-02e7-f387-1cad-8acd2d8df0c8", device._ecg_frame(1000, 1073))
    assert isinstance(block, WaveBlock)
    assert block.samples.tolist() == load_ecg("mitdb/119").samples_uv[1000:1073].tolist()


def test_loose_electrodes_give_a_flat_noisy_line() -> None:
    assert abs(strap(Fault.ELECTRODES_OFF).ecg_uv(0, 1300)).max() < 150


def test_noise_lies_upon_the_ecg() -> None:
    noise = strap(Fault.NOISE).ecg_uv(0, 1300) - load_ecg("mitdb/119").samples_uv[:1300]
    assert 200 < noise.std() < 400


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(b"\x02\x00", 0), (b"\x03\x00", 0), (b"\x02\x02", 3), (b"\x09\x00", 1), (b"\x09", 1), (b"", 1)],
    ids=["start", "stop", "start acceleration", "unknown operation", "cut short", "empty"],
)
def test_the_strap_answers_a_request_with_its_status(request_bytes: bytes, status: int) -> None:
    assert strap().obey(request_bytes).status == status


def test_a_second_start_is_answered_with_already_in_state() -> None:
    device = strap()
    assert [device.obey(b"\x02\x00").status for _ in range(2)] == [0, 6]


def test_the_cuff_sends_the_charted_pressures_and_its_clock() -> None:
    device = cuff()
    observed = by_key(decode(device, "2A35", device.measure(AT_S)))
    row = load_stay(STAY).rows[2]
    expected = (row.systolic_mmhg, row.diastolic_mmhg, row.mean_mmhg, row.heart_rate_bpm)
    keys = ("nibp_sys", "nibp_dia", "nibp_mean", "pulse_rate_nibp")
    assert [observed[key].value for key in keys] == [round(value) for value in expected]
    clock = observed["nibp_sys"].device_time
    assert clock is not None
    assert abs((datetime.now(SITE_ZONE) - clock.replace(tzinfo=SITE_ZONE)).total_seconds()) < 5


def test_a_failed_cuff_sends_no_number() -> None:
    device = cuff(Fault.CUFF_ERROR)
    observed = by_key(decode(device, "2A35", device.measure(AT_S)))
    assert observed["nibp_sys"].value is None
    assert {Flag.FAILED, Flag.CUFF_LOOSE} <= set(observed["nibp_sys"].flags)


def test_movement_makes_a_reading_questionable() -> None:
    device = cuff(Fault.MOVEMENT)
    observed = by_key(decode(device, "2A35", device.measure(AT_S)))["nibp_sys"]
    assert (observed.quality, observed.flags) == (Quality.QUESTIONABLE, (Flag.MOVEMENT,))


def test_the_oximeter_sends_the_charted_spo2_and_the_rate_of_the_pleth() -> None:
    device, pulses = oximeter(), load_pleth(PLETH).pulse_s
    observed = by_key(decode(device, "2A5F", device.measure(AT_S)))
    assert observed["spo2"].value == round(load_stay(STAY).rows[2].spo2_pct)
    assert observed["pulse_rate_spo2"].value == round(60 / np.diff(pulses[pulses <= AT_S])[-5:].mean())


def test_without_a_stay_spo2_is_simulated_and_its_source_says_so() -> None:
    device = oximeter(stay=None)
    observed = [
        by_key(decode(device, "2A5F", device.measure(at_s)))["spo2"].value for at_s in range(0, 240, 10)
    ]
    assert {value for value in observed if value is not None} == {96, 97, 98}
    assert "simulated" in device.sources[1].source


def test_an_oximeter_that_loses_the_pulse_sends_no_rate() -> None:
    device = oximeter()
    observed = by_key(decode(device, "2A5F", device.measure(LOST_PULSE_S)))
    assert observed["pulse_rate_spo2"].value is None
    assert observed["spo2"].quality is Quality.QUESTIONABLE


@pytest.mark.parametrize(
    ("fault", "flag", "cause"),
    [
        (Fault.FINGER_OUT, Flag.NO_CONTACT, GapCause.SENSOR_OFF),
        (Fault.LOW_PERFUSION, Flag.LOW_PERFUSION, None),
        (Fault.DEMO_FLAG, Flag.DEMONSTRATION, GapCause.DEMO_MODE),
    ],
)
def test_an_oximeter_tells_its_fault(fault: Fault, flag: Flag, cause: GapCause | None) -> None:
    device = oximeter(fault)
    readings = decode(device, "2A5F", device.measure(AT_S))
    assert flag in by_key(readings)["spo2"].flags
    assert causes(readings) == ([] if cause is None else [cause])


def test_the_serial_oximeter_sends_the_record(tmp_path: Path) -> None:
    device = contec(tmp_path)
    readings = decode(device, "serial", device.measure(7500, 7560))
    (block,) = [reading for reading in readings if isinstance(reading, WaveBlock)]
    assert block.samples.tolist() == load_pleth(PLETH).samples[7500:7560].tolist()
    assert by_key(readings)["spo2"].value == round(load_stay(STAY).rows[2].spo2_pct)
    assert by_key(readings)["pulse_rate_spo2"].value == round(device.finger.pulse_rate_at(AT_S) or 0)


def test_the_serial_oximeter_beeps_once_per_pulse(tmp_path: Path) -> None:
    device = contec(tmp_path)
    sent = device.measure(0, 600)
    beeps = sum(bool(head & 0x40) for head in sent[::5])
    assert beeps == len(device.finger.replay.pulses_between(0, 10))


def test_the_serial_oximeter_searches_while_the_pulse_is_lost(tmp_path: Path) -> None:
    first = int(LOST_PULSE_S * 60)
    observed = by_key(decode(contec(tmp_path), "serial", contec(tmp_path).measure(first, first + 4)))
    assert observed["pulse_rate_spo2"].value is None
    assert observed["spo2"].flags == (Flag.SEARCHING,)


def test_the_serial_oximeter_without_a_finger_sends_no_curve(tmp_path: Path) -> None:
    device = contec(tmp_path, Fault.FINGER_OUT)
    readings = decode(device, "serial", device.measure(0, 60))
    assert causes(readings) == [GapCause.SENSOR_OFF]
    assert not any(isinstance(reading, WaveBlock) for reading in readings)


def test_low_perfusion_flattens_the_curve(tmp_path: Path) -> None:
    (usual, weak) = (
        np.frombuffer(device.measure(0, 600), np.uint8).reshape(-1, 5)
        for device in (contec(tmp_path), contec(tmp_path, Fault.LOW_PERFUSION))
    )
    assert np.ptp(weak[:, 1]) < np.ptp(usual[:, 1]) / 4
    assert set(weak[:, 0] & 0x0F) == {2}


async def test_a_fault_that_a_device_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultUnsupported, match="out_of_range, silent, finger_out, low_perfusion"):
        await contec(tmp_path).set_fault(Fault.CUFF_ERROR, on=True)


async def test_faults_are_switched_on_and_off(tmp_path: Path) -> None:
    device = contec(tmp_path)
    await device.set_fault(Fault.FINGER_OUT, on=True)
    await device.set_fault(Fault.FINGER_OUT, on=True)
    await device.set_fault(Fault.SILENT, on=True)
    assert device.active_faults == (Fault.FINGER_OUT, Fault.SILENT)
    await device.set_fault(Fault.FINGER_OUT, on=False)
    assert device.active_faults == (Fault.SILENT,)


def test_the_position_begins_where_the_spec_says() -> None:
    spec = DeviceSpec(name="plx", driver="pulse_oximeter", record=PLETH, start_at_s=400.0)
    position = PulseOximeter(spec).position()
    assert position.record == PLETH
    assert position.seconds_into_record == pytest.approx(70.0, abs=0.5)
    assert (datetime.now(UTC) - position.started_at).total_seconds() < 5


async def test_ticks_are_whole_multiples_and_leave_out_what_a_stall_missed() -> None:
    device, ticked = oximeter(), list[float]()
    async for at_s in device.ticks(0.02):
        ticked.append(round(at_s / 0.02, 6))
        if len(ticked) == 3:
            device._zero_mono_s -= 1.0
        if len(ticked) == 5:
            break
    assert all(tick == int(tick) for tick in ticked)
    assert ticked[3] - ticked[2] >= 50
    await asyncio.sleep(0)


def test_an_address_is_the_same_in_every_run_and_random_static() -> None:
    assert oximeter().address == oximeter().address != strap().address
    assert int(strap().address[:2], 16) >> 6 == 0b11
