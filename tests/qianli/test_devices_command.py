import json
import os
from pathlib import Path

import pytest

from devices.registry import driver_by_name
from qianli.__main__ import main
from qianli.commands.devices import catalogue

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests/recordings"
ECG_FRAME = "000000a43993435208000280ff028000960000b5ffff"
ECG_CHAR = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"


@pytest.fixture
def decode(capsys):
    """Run `qianli devices decode`; gives exit code, rows on stdout, lines on stderr."""

    def run(*words):
        code = main(["devices", "decode", *words])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err.splitlines()

    return run


@pytest.fixture
def stdin(monkeypatch):
    """Put bytes on stdin, through a real pipe."""
    read_fd, write_fd = os.pipe()

    def put(payload):
        os.write(write_fd, payload)
        os.close(write_fd)

    with os.fdopen(read_fd, encoding="utf-8") as reader:
        monkeypatch.setattr("sys.stdin", reader)
        yield put


def test_list_gives_one_line_of_json_per_driver(capsys):
    assert main(["devices", "list"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == list(driver_by_name())
    polar = next(row for row in rows if row["name"] == "polar_h10")
    assert polar["title_zh"] == "Polar H10 心电胸带"
    assert polar["waves"] == [{"stream": "ecg", "rate_hz": 130.0, "unit": "mV", "gain": 0.001, "offset": 0.0}]
    assert polar["confirmed_on_hardware"] is False
    assert {"uuid": "2A37", "name": "Heart Rate Measurement", "access": "notify", "required": True} in polar[
        "characteristics"
    ]


def test_driver_page_is_not_stale(capsys):
    assert main(["devices", "catalogue"]) == 0
    assert (ROOT / "docs/drivers.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_driver_page_names_every_driver_and_characteristic():
    page = catalogue(driver_by_name().values())
    for driver in driver_by_name().values():
        assert f"## `{driver.name}`" in page
        assert all(f"`{each.uuid}`" in page for each in driver.characteristics)


def test_observation_is_one_line_of_json(decode):
    code, rows, errors = decode("heart_rate", "10484103")
    assert (code, errors) == (0, [])
    assert rows[0] == {
        "key": "heart_rate",
        "value": 72,
        "unit": "/min",
        "quality": "good",
        "flags": [],
        "device_time": None,
    }
    assert (rows[1]["key"], rows[1]["value"], rows[1]["rr_1024"]) == ("rr_interval", 813.4765625, 833)


@pytest.mark.parametrize("text", ["0055", "0x0055", "0x00 0x55", "00 55", " 0055 "])
def test_hex_may_be_written_as_people_do(decode, text):
    assert decode("heart_rate", text)[1][0]["value"] == 85


@pytest.mark.parametrize("char", ["2A38", "2a38", "0x2A38", "00002a38-0000-1000-8000-00805f9b34fb"])
def test_characteristic_may_be_written_in_any_spelling(decode, char):
    _code, rows, _errors = decode("heart_rate", "--char", char, "01", "02")
    assert [row["value"] for row in rows] == [1, 2]
    assert decode("heart_rate", "01", "--char", char)[1] == rows[:1]


def test_missing_value_is_null_with_its_reason(decode):
    _code, rows, _errors = decode("blood_pressure", "0678005000ff07ea070b16081e004800")
    mean = next(row for row in rows if row["key"] == "nibp_mean")
    assert (mean["value"], mean["quality"], mean["flags"]) == (None, "invalid", ["failed"])
    assert mean["device_time"] == "2026-11-22T08:30:00"


def test_tenths_print_as_tenths(decode):
    _code, rows, _errors = decode("blood_pressure", "15bdf00b009ff03c001200")
    assert [(row["value"], row["unit"]) for row in rows[:3]] == [(18.9, "kPa"), (11, "kPa"), (15.9, "kPa")]


def test_wave_is_printed_in_the_integers_of_the_device(decode):
    _code, rows, _errors = decode("polar_h10", "--char", ECG_CHAR, ECG_FRAME)
    assert rows == [
        {
            "key": "ecg",
            "value": -0.075,
            "unit": "mV",
            "quality": "good",
            "flags": [],
            "device_time": None,
            "stream": "ecg",
            "rate_hz": 130.0,
            "gain": 0.001,
            "offset": 0.0,
            "first_sample": 0,
            "samples": [-32766, 32770, 150, -75],
        }
    ]


def test_sensor_state_is_printed(decode):
    _code, rows, _errors = decode("heart_rate", "04ff")
    assert [row["key"] for row in rows] == ["heart_rate", "sensor_state"]
    assert (rows[1]["value"], rows[1]["keys"]) == ("sensor_off", ["heart_rate", "rr_interval"])


@pytest.mark.parametrize(
    ("words", "key", "as_sent"),
    [
        (["heart_rate", "0655"], "heart_rate", {"contact": True}),
        (["heart_rate", "04ff"], "heart_rate", {"contact": False}),
        (["heart_rate", "0000"], "heart_rate", {"value": 0}),
        (["blood_pressure", "00fe0758005d00"], "nibp_sys", {"value": "+INF"}),
        (["blood_pressure", "047800580060000000"], "pulse_rate_nibp", {"value": 0}),
        (
            ["blood_pressure", "027800580060000000041114293b"],
            "nibp_sys",
            {"device_time": "0000-04-17T20:41:59"},
        ),
        (
            ["pulse_oximeter", "--char", "2A5E", "1161004600ea070b16081e00"],
            "spo2",
            {"device_time": "2026-11-22T08:30:00"},
        ),
        (
            ["contec_cms50dplus", "c62d074861"],
            "spo2",
            {"signal": 6, "bar": 7, "beep": True, "spo2_drop": False},
        ),
    ],
)
def test_what_no_other_field_holds_is_told_as_sent(decode, words, key, as_sent):
    row = next(row for row in decode(*words)[1] if row["key"] == key)
    assert row["as_sent"] == as_sent


def test_strap_that_cannot_tell_contact_says_nothing_about_it(decode):
    assert "as_sent" not in decode("heart_rate", "0255")[1][0]


@pytest.mark.parametrize(
    "words",
    [
        ["heart_rate", "04ff"],
        ["polar_h10", "--char", ECG_CHAR, ECG_FRAME],
        ["contec_cms50dplus", "9000000000", "c62d074861"],
        ["blood_pressure", "1e8a00580078000000041114293b3c00012700"],
    ],
)
def test_every_line_has_the_same_six_fields(decode, words):
    six = {"key", "value", "unit", "quality", "flags", "device_time"}
    rows = decode(*words)[1]
    assert rows
    assert all(six <= row.keys() for row in rows)


@pytest.mark.parametrize(
    "words",
    [["--char=2a37", "0055"], ["--char", "2A37", "--", "0055"], ["0055", "--char", "2A37"]],
    ids=["equals sign", "two dashes", "afterwards"],
)
def test_characteristic_may_stand_anywhere(decode, words):
    code, rows, errors = decode("heart_rate", *words)
    assert (code, rows[0]["value"], errors) == (0, 85, [])


def test_bad_frame_is_one_line_and_the_next_is_still_decoded(decode):
    code, rows, errors = decode("heart_rate", "01c8", "0055")
    assert code == 1
    assert [row["value"] for row in rows] == [85]
    assert [json.loads(line) for line in errors] == [
        {
            "error": "bad frame",
            "reason": "heart rate needs 2 bytes, 1 left",
            "offset": 1,
            "payload": "01c8",
        }
    ]


@pytest.mark.parametrize(
    ("text", "offset"), [("0g", 1), ("005", 3), ("0x0055 0x0z", 10)], ids=["letter", "half a byte", "words"]
)
def test_text_that_is_not_hexadecimal_is_a_bad_frame(decode, text, offset):
    code, rows, errors = decode("heart_rate", text, "0055")
    assert (code, [row["value"] for row in rows], len(errors)) == (1, [85], 1)
    assert json.loads(errors[0]) == {
        "error": "bad frame",
        "reason": f"not hexadecimal: {text!r}",
        "offset": offset,
        "payload": text,
    }


def test_empty_frame_is_a_bad_frame(decode):
    code, rows, errors = decode("heart_rate", "")
    assert (code, rows, len(errors)) == (1, [], 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope", "00"], "no driver named 'nope'"),
        (["heart_rate", "--char", "2A35", "00"], "heart_rate has no characteristic 2A35; it has: 2A37"),
        (["contec_cms50dplus", "--char", "2A35", "00"], "it has: serial, stored"),
        (["heart_rate"], "give the bytes of a frame as HEX, or --stdin"),
    ],
    ids=["driver", "characteristic", "channel", "nothing"],
)
def test_wrong_request_is_one_clear_line(decode, words, message):
    code, rows, errors = decode(*words)
    assert (code, rows, len(errors)) == (1, [], 1)
    assert message in errors[0]


def test_serial_frame_and_stored_sample(decode):
    code, rows, errors = decode("contec_cms50dplus", "c62d074861", "f19160")
    assert (code, errors) == (0, [])
    assert [(row.get("key"), row.get("value")) for row in rows] == [
        ("spo2", 97),
        ("pulse_rate_spo2", 72),
        ("pleth", 45),
        ("spo2", 96),
        ("pulse_rate_spo2", 145),
    ]


def test_serial_argument_without_a_frame_is_an_error(decode):
    code, _rows, errors = decode("contec_cms50dplus", "c62d0748")
    assert code == 1
    assert json.loads(errors[0]) == {
        "error": "bad frame",
        "reason": "no complete frame",
        "offset": 4,
        "payload": "c62d0748",
    }


def test_stored_samples_may_come_many_at_a_time(decode):
    code, rows, _errors = decode("contec_cms50dplus", "f19160f04861" + "f08062")
    assert (code, rows) == (1, [])  # the second has no bit 7 in its pulse rate
    code, rows, _errors = decode("contec_cms50dplus", "f19160f0c861")
    assert (code, [row["value"] for row in rows]) == (0, [96, 145, 97, 72])


def test_stored_samples_on_stdin_may_be_longer_than_one_read(decode, stdin):
    stdin(bytes.fromhex("f19160") * 3000)
    code, rows, errors = decode("contec_cms50dplus", "--stdin")
    assert (code, len(rows), errors) == (0, 6000, [])


def test_stream_is_resynchronised_and_says_what_it_dropped(decode, stdin):
    stdin(bytes.fromhex("862d07862e074861"))
    code, rows, errors = decode("contec_cms50dplus", "--stdin")
    assert code == 0
    assert rows[-1]["samples"] == [46]
    assert [json.loads(line) for line in errors] == [{"rejected": 1}]


@pytest.mark.parametrize("payload", [b"", b"\x01\x02"], ids=["empty", "stray"])
def test_stream_without_a_frame_is_an_error(decode, stdin, payload):
    stdin(payload)
    code, rows, errors = decode("contec_cms50dplus", "--stdin")
    assert (code, rows) == (1, [])
    assert json.loads(errors[-1])["offset"] == len(payload)


def test_bluetooth_value_may_come_on_stdin(decode, stdin):
    stdin(b"\x00\x55")
    code, rows, _errors = decode("heart_rate", "--stdin")
    assert (code, rows[0]["value"]) == (0, 85)


def test_bad_bytes_on_stdin_are_one_line(decode, stdin):
    stdin(b"\x01")
    code, rows, errors = decode("heart_rate", "--stdin")
    assert (code, rows, len(errors)) == (1, [], 1)


def vectors():
    for driver in ("heart_rate", "blood_pressure", "pulse_oximeter"):
        for vector in json.loads((RECORDINGS / driver / "vectors.json").read_text()):
            yield pytest.param(driver, vector, id=vector["id"])


@pytest.mark.parametrize(("driver", "vector"), list(vectors()))
def test_every_profile_vector_passes_through_the_command(decode, driver, vector):
    code, rows, errors = decode(driver, "--char", vector["uuid"], vector["hex"])
    if vector["kind"] == "invalid":
        assert (code, rows, len(errors)) == (1, [], 1)
    else:
        assert (code, errors) == (0, [])
        assert rows
