"""`qianli devices`: what can be connected, and what any of its bytes mean."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from string import hexdigits, whitespace

from devices.driver import Access, Decoder, Driver, Frame, Reading, SensorState, Transport
from devices.errors import FrameError, FrameInvalid
from devices.formats.contec_frame import STORED_SAMPLE_BYTES, is_stored_sample
from devices.formats.gatt_uuid import canonical_uuid
from devices.registry import driver_by_name, find_driver
from vitals.errors import QianliError
from vitals.observation import Observation, Quality
from vitals.wave import WaveBlock, WaveLayout

HELP = "List the device drivers, decode bytes by hand, write the driver page."

READ_BYTES = 4096
LIVE_CHANNEL, STORED_CHANNEL = SERIAL_CHANNELS = ("serial", "stored")

Row = dict[str, object]
"""One line of JSON."""


class HexUnreadable(QianliError):
    """An argument is no hexadecimal text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def offset(self) -> int:
        """The place of the first wrong character, or the end of the text if half a byte is missing."""
        allowed = hexdigits + whitespace + "xX"
        return next((at for at, sign in enumerate(self.text) if sign not in allowed), len(self.text))

    def __str__(self) -> str:
        return f"not hexadecimal: {self.text!r}"


class ChannelUnknown(QianliError):
    """The driver has no such characteristic."""

    def __init__(self, channel: str, *, driver: str, known: tuple[str, ...]) -> None:
        super().__init__(channel, driver, known)
        self.channel = channel
        self.driver = driver
        self.known = known

    def __str__(self) -> str:
        return f"{self.driver} has no characteristic {self.channel}; it has: {', '.join(self.known)}"


class NothingToDecode(QianliError):
    """Neither HEX nor `--stdin` was given."""

    def __str__(self) -> str:
        return "give the bytes of a frame as HEX, or --stdin"


class IntermixedParser(argparse.ArgumentParser):
    """Options may stand before, between and after the words, which argparse alone does not allow here."""

    _is_inside = False

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """See `argparse`; `parse_known_intermixed_args` comes back here for its two passes."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, parser_class=IntermixedParser)
    actions.add_parser("list", help="one line of JSON per driver")
    actions.add_parser("catalogue", help="docs/drivers.md on stdout")
    decode = actions.add_parser("decode", help="one line of JSON per observation, wave block or sensor state")
    decode.add_argument("driver", metavar="DRIVER", help="a name of `qianli devices list`")
    decode.add_argument("frames", metavar="HEX", nargs="*", help="the bytes of one frame each")
    decode.add_argument("--char", metavar="UUID16", help="characteristic (default: the main measurement)")
    decode.add_argument("--stdin", action="store_true", help="read raw bytes from stdin instead")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen action."""
    if arguments.action == "list":
        for driver in driver_by_name().values():
            _print_row(_driver_row(driver))
        return 0
    if arguments.action == "catalogue":
        print(catalogue(driver_by_name().values()), end="")
        return 0
    driver = find_driver(arguments.driver)
    if not arguments.frames and not arguments.stdin:
        raise NothingToDecode
    channel = None if arguments.char is None else _known_channel(driver, arguments.char)
    if arguments.stdin:
        return _decode_stream(driver, channel)
    return _decode_frames(driver, arguments.frames, channel)


def catalogue(drivers: Iterable[Driver]) -> str:
    """The text of `docs/drivers.md`."""
    sections = [_catalogue_section(driver) for driver in drivers]
    return "\n".join([CATALOGUE_HEAD, *sections])


CATALOGUE_HEAD = """\
# Drivers

Written by `qianli devices catalogue`; do not edit. `qianli devices decode DRIVER [--char UUID16] HEX …`
decodes bytes by hand. "From documents" means that nobody has yet run this driver against the device and told
us; every driver decodes its own recordings in `tests/recordings/`.

Keys are those of the vocabulary; others (`spo2_fast`, `nibp_cuff`, `energy_expended`, feature and status
codes …) are kept as they are. Pressures are reported in the unit that the device says (mm[Hg] or kPa) and
converted to mm[Hg] before they are sent on.

A value that a device marks as missing is `null`, with the reason in its flags: `failed` (NaN),
`below_resolution` (NRes), `above_range` (+INF), `below_range` (-INF), `reserved`, or `searching` (the device
sent 0 because it has no value yet). Wave samples are the device's own integers; the value is sample × gain +
offset.

Every line on stdout has `key`, `value`, `unit`, `quality`, `flags` and `device_time`. A wave has its
`samples` too, and the last of them as `value`. `sensor_state` tells that the values of `keys` fall silent
(`sensor_off`, `sensor_fault`, `demo_mode` …) or, with `null`, that they are back. `as_sent` is what a frame
said and no other field holds: `value` (`NaN`, `NRes`, `+INF`, `-INF`, `reserved` or 0 where `value` is
`null`), `device_time` (a clock that is not set or not whole, 0 for what it does not know), `contact` of a
strap that can tell, `signal`, `bar`, `beep` and `spo2_drop` of an oximeter. A bad frame is one line on
stderr (`error`, `reason`, `offset`, `payload`); the others are still decoded, and the exit code is 1.
"""


def _decode_frames(driver: Driver, texts: list[str], channel: str | None) -> int:
    """Decode each argument as one whole frame, a second apart, in one session."""
    decoder = driver.new_decoder()
    received_at = datetime.now(UTC)
    exit_code = 0
    for text in texts:
        received_at += timedelta(seconds=1)
        try:
            payload = _parse_hex(text)
            usual = channel or _usual_channel(driver, payload)
            readings = decoder.feed(Frame(channel=usual, payload=payload, received_at=received_at))
            if not readings and driver.transport is Transport.SERIAL:
                raise FrameInvalid("no complete frame", offset=len(payload), payload=payload)
        except (FrameError, HexUnreadable) as error:
            _print_error(error)
            exit_code = 1
            continue
        _print_readings(readings, driver)
    _report_rejected(decoder)
    return exit_code


def _decode_stream(driver: Driver, channel: str | None) -> int:
    """Decode stdin as it comes (serial), or as one value (Bluetooth)."""
    decoder = driver.new_decoder()
    chunks = _stdin_chunks()
    if driver.transport is Transport.SERIAL:
        beginning = _take_beginning(chunks)
        channel = channel or _usual_channel(driver, beginning[:STORED_SAMPLE_BYTES])
        chunks = chain([beginning], chunks)
    total_bytes = total_readings = 0
    for payload in chunks if channel == LIVE_CHANNEL else [b"".join(chunks)]:
        total_bytes += len(payload)
        try:
            usual = channel or _usual_channel(driver, payload)
            readings = decoder.feed(Frame(channel=usual, payload=payload, received_at=datetime.now(UTC)))
        except FrameError as error:
            _print_error(error)
            return 1
        total_readings += len(readings)
        _print_readings(readings, driver)
    _report_rejected(decoder)
    if driver.transport is Transport.SERIAL and not total_readings:
        _print_error(FrameInvalid("no complete frame", offset=total_bytes, payload=b""))
        return 1
    return 0


def _stdin_chunks() -> Iterator[bytes]:
    while chunk := os.read(sys.stdin.fileno(), READ_BYTES):
        yield chunk


def _take_beginning(chunks: Iterator[bytes]) -> bytes:
    """Enough of a serial stream to tell a live one from a download, or all of it."""
    beginning = b""
    while len(beginning) < STORED_SAMPLE_BYTES and (chunk := next(chunks, b"")):
        beginning += chunk
    return beginning


def _usual_channel(driver: Driver, payload: bytes) -> str:
    if driver.transport is Transport.BLE:
        return driver.characteristics[0].uuid
    is_stored = len(payload) >= STORED_SAMPLE_BYTES and is_stored_sample(payload[:STORED_SAMPLE_BYTES])
    return STORED_CHANNEL if is_stored else LIVE_CHANNEL


def _known_channel(driver: Driver, text: str) -> str:
    if driver.transport is Transport.BLE:
        known = tuple(characteristic.uuid for characteristic in driver.characteristics)
        channel = canonical_uuid(text)
    else:
        known, channel = SERIAL_CHANNELS, text
    if channel not in known:
        raise ChannelUnknown(text, driver=driver.name, known=known)
    return channel


def _parse_hex(text: str) -> bytes:
    digits = "".join(word.lower().removeprefix("0x") for word in text.split())
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise HexUnreadable(text) from error


def _print_readings(readings: Iterable[Reading], driver: Driver) -> None:
    """Values first: a reader who wants the measurement finds it on the first line."""
    for reading in sorted(readings, key=lambda reading: isinstance(reading, SensorState)):
        _print_row(_reading_row(reading, driver))


def _print_row(row: Row) -> None:
    print(json.dumps(row, ensure_ascii=False), flush=True)


def _print_error(error: FrameError | HexUnreadable) -> None:
    row: Row = {"error": "bad frame", "reason": str(error)}
    match error:
        case FrameInvalid():
            row |= {"reason": error.reason, "offset": error.offset, "payload": error.payload.hex()}
        case HexUnreadable():
            row |= {"offset": error.offset, "payload": error.text}
    print(json.dumps(row), file=sys.stderr)


def _report_rejected(decoder: Decoder) -> None:
    if decoder.rejected:
        print(json.dumps({"rejected": decoder.rejected}), file=sys.stderr)


def _reading_row(reading: Reading, driver: Driver) -> Row:
    match reading:
        case Observation():
            return _observation_row(reading)
        case WaveBlock():
            layout = next(layout for layout in driver.waves if layout.stream == reading.stream)
            return _wave_row(reading, layout)
        case SensorState():
            quality = Quality.INVALID if reading.cause else Quality.GOOD
            return {
                **_basic_row("sensor_state", reading.cause, unit=None, quality=quality),
                "keys": list(reading.keys),
            }


def _wave_row(block: WaveBlock, layout: WaveLayout) -> Row:
    last = float(Decimal(str(layout.gain)) * int(block.samples[-1]) + Decimal(str(layout.offset)))
    return {
        **_basic_row(block.stream, _plain_number(last), unit=layout.unit, quality=Quality.GOOD),
        **_layout_row(layout),
        "first_sample": block.first_sample,
        "samples": block.samples.tolist(),
    }


def _basic_row(key: str, value: float | str | None, *, unit: str | None, quality: Quality) -> Row:
    """What every line on stdout has."""
    return {"key": key, "value": value, "unit": unit, "quality": quality, "flags": [], "device_time": None}


def _layout_row(layout: WaveLayout) -> Row:
    return {
        "stream": layout.stream,
        "rate_hz": float(layout.rate_hz),
        "unit": layout.unit,
        "gain": layout.gain,
        "offset": layout.offset,
    }


def _observation_row(observation: Observation) -> Row:
    number = _plain_number(observation.value)
    row = _basic_row(observation.key, number, unit=observation.unit, quality=observation.quality) | {
        "flags": list(observation.flags),
        "device_time": observation.device_time.isoformat() if observation.device_time else None,
    }
    if observation.key == "rr_interval" and observation.value is not None:
        row["rr_1024"] = round(observation.value * 1024 / 1000)
    if observation.as_sent:
        row["as_sent"] = dict(observation.as_sent)
    return row


def _plain_number(value: float | None) -> float | None:
    return int(value) if value is not None and value.is_integer() else value


def _driver_row(driver: Driver) -> Row:
    return {
        "name": driver.name,
        "maker": driver.maker,
        "title_en": driver.title_en,
        "title_zh": driver.title_zh,
        "transport": driver.transport,
        "characteristics": [
            {"uuid": each.uuid, "name": each.name, "access": each.access, "required": each.required}
            for each in driver.characteristics
        ],
        "measures": list(driver.measures),
        "waves": [_layout_row(layout) for layout in driver.waves],
        "confirmed_on_hardware": driver.confirmed_on_hardware,
        "sources": list(driver.sources),
    }


def _catalogue_section(driver: Driver) -> str:
    lines = [f"## `{driver.name}` · {driver.title_en} · {driver.title_zh}", ""]
    lines += [f"- Maker: {driver.maker}", f"- Reached by: {_catalogue_reach(driver)}"]
    lines += [f"- Measures: {_code_list(driver.measures)}"]
    lines += [f"- Expected every: {_catalogue_cadence(driver)}"]
    lines += [
        f"- Wave: `{wave.stream}`, {float(wave.rate_hz):g} Hz, gain {wave.gain:g}, offset {wave.offset:g}, "
        f"unit `{wave.unit}`"
        for wave in driver.waves
    ]
    lines += ["- " + ("Confirmed on hardware" if driver.confirmed_on_hardware else "From documents")]
    lines += [f"- Source: {source}" for source in driver.sources]
    if driver.characteristics:
        lines += ["", "| characteristic | name | access | needed |", "|---|---|---|---|"]
    for each in driver.characteristics:
        access = "read once" if each.access is Access.READ else each.access.value
        lines.append(f"| `{each.uuid}` | {each.name} | {access} | {'yes' if each.required else 'no'} |")
    return "\n".join([*lines, ""])


def _catalogue_reach(driver: Driver) -> str:
    if driver.serial is not None:
        line = driver.serial
        return f"serial, {line.baud} baud, 8{line.parity}{line.stop_bits}"
    if driver.match.name_prefixes:
        return f"Bluetooth, name begins with {_code_list(driver.match.name_prefixes)}"
    return f"Bluetooth, service {_code_list(driver.match.service_uuids)}"


def _catalogue_cadence(driver: Driver) -> str:
    if not driver.cadence_s:
        return "on demand (spot measurement)"
    return ", ".join(f"{seconds:g} s (`{key}`)" for key, seconds in driver.cadence_s.items())


def _code_list(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
