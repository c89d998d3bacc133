"""What every driver must do, whatever its device: one contract over the whole registry."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.driver import Access, Frame, Transport
from devices.errors import FrameError, FrameInvalid
from devices.registry import driver_by_name, find_driver_for
from vitals.observation import Observation, Quality
from vitals.vocabulary import vital_code
from vitals.wave import WaveBlock

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
RECORDINGS = Path(__file__).parents[1] / "recordings"
DRIVERS = list(driver_by_name().values())
BLE_DRIVERS = [driver for driver in DRIVERS if driver.transport is Transport.BLE]

each_driver = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
each_ble_driver = pytest.mark.parametrize("driver", BLE_DRIVERS, ids=lambda driver: driver.name)
few_examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def recording(driver, suffix=""):
    """Lines `CHANNEL HEX` as (channel, bytes); the hex may be empty."""
    lines = (RECORDINGS / driver.name / f"session{suffix}.hex").read_text().splitlines()
    words = [line.split() for line in lines]
    return [(channel, bytes.fromhex("".join(rest))) for channel, *rest in words]


def feed_all(driver, frames):
    """Readings of a session; anything but a `FrameError` fails the test."""
    decoder, readings, errors = driver.new_decoder(), [], []
    for second, (channel, payload) in enumerate(frames):
        received_at = NOW + timedelta(seconds=second)
        try:
            readings += decoder.feed(Frame(channel=channel, payload=payload, received_at=received_at))
        except FrameError as error:
            errors.append(str(error))
    assert all(errors)
    return readings


def channels(driver):
    return sorted({channel for channel, _payload in recording(driver)})


@each_driver
def test_recording_decodes_without_an_error(driver):
    decoder = driver.new_decoder()
    for second, (channel, payload) in enumerate(recording(driver)):
        decoder.feed(Frame(channel=channel, payload=payload, received_at=NOW + timedelta(seconds=second)))
    assert decoder.rejected == 0


@each_driver
def test_recording_shows_everything_that_the_driver_declares(driver):
    readings = feed_all(driver, recording(driver))
    keys = {reading.key for reading in readings if isinstance(reading, Observation)}
    streams = {reading.stream for reading in readings if isinstance(reading, WaveBlock)}
    assert keys >= set(driver.measures)
    assert streams == {layout.stream for layout in driver.waves}


@each_driver
def test_observations_are_what_the_contract_says(driver):
    readings = feed_all(driver, recording(driver))
    for reading in readings:
        if isinstance(reading, Observation):
            assert reading.measured_at.tzinfo is not None
            assert reading.measured_at <= reading.received_at
            assert reading.value is not None or (reading.flags and reading.quality is Quality.INVALID)


@each_driver
@pytest.mark.parametrize("suffix", ["_truncated", "_invalid"])
def test_damaged_value_is_refused_or_rejected(driver, suffix):
    for channel, payload in recording(driver, suffix):
        frame = Frame(channel=channel, payload=payload, received_at=NOW)
        if channel == "serial":
            decoder = driver.new_decoder()
            assert decoder.feed(frame) == []
            assert decoder.rejected or suffix == "_truncated"
        else:
            with pytest.raises(FrameInvalid) as raised:
                driver.new_decoder().feed(frame)
            assert 0 <= raised.value.offset <= len(payload)


@each_driver
def test_every_cut_gives_readings_or_a_frame_error(driver):
    for channel, payload in recording(driver):
        feed_all(driver, [(channel, payload[:length]) for length in range(len(payload))])


@each_driver
def test_every_flipped_bit_gives_readings_or_a_frame_error(driver):
    for channel, payload in recording(driver):
        whole = int.from_bytes(payload, "big")
        flipped = [(whole ^ (1 << bit)).to_bytes(len(payload), "big") for bit in range(8 * len(payload))]
        feed_all(driver, [(channel, each) for each in flipped])


@each_driver
def test_repeated_frames_give_readings_or_a_frame_error(driver):
    readings = feed_all(driver, [frame for frame in recording(driver) for _ in range(2)])
    assert readings


@each_driver
def test_merged_frames_give_readings_or_a_frame_error(driver):
    pairs = pairwise(recording(driver))
    feed_all(driver, [(channel, payload + after) for (channel, payload), (_, after) in pairs])


@each_driver
def test_byte_at_a_time_gives_readings_or_a_frame_error(driver):
    single = [(channel, bytes([byte])) for channel, payload in recording(driver) for byte in payload]
    feed_all(driver, single)


@each_driver
@few_examples
@given(frames=st.data())
def test_any_bytes_give_readings_or_a_frame_error(driver, frames):
    channel = st.sampled_from(channels(driver))
    drawn = frames.draw(st.lists(st.tuples(channel, st.binary(max_size=64)), max_size=8))
    feed_all(driver, drawn)


@each_ble_driver
def test_unknown_characteristic_is_refused(driver):
    with pytest.raises(FrameInvalid, match="does not read characteristic 2AFF"):
        driver.new_decoder().feed(Frame(channel="2AFF", payload=b"\x00", received_at=NOW))


@each_ble_driver
def test_driver_matches_its_own_device_and_no_other(driver):
    for name in driver.match.name_prefixes or ("A device",):
        assert find_driver_for(name, driver.match.service_uuids) is driver


@each_ble_driver
def test_every_declared_characteristic_can_be_decoded(driver):
    declared = {characteristic.uuid for characteristic in driver.characteristics}
    assert set(channels(driver)) <= declared
    for uuid in declared:
        with pytest.raises(FrameInvalid, match="needs"):
            driver.new_decoder().feed(Frame(channel=uuid, payload=b"", received_at=NOW))


@each_ble_driver
def test_first_characteristic_is_the_measurement(driver):
    assert driver.characteristics[0].access is not Access.READ
    assert driver.characteristics[0].required


@each_driver
def test_declaration_speaks_the_vocabulary(driver):
    assert all(vital_code(key) for key in driver.measures)
    assert set(driver.cadence_s) <= set(driver.measures)
    assert driver.sources
    assert (driver.transport is Transport.SERIAL) == (driver.serial is not None)
