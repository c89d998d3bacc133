import csv
from importlib.resources import files

import pytest

from vitals.vocabulary import CodeStatus, VitalCode, VitalKind, vital_code, vocabulary


def test_every_row_of_the_table_is_in_the_vocabulary_once() -> None:
    text = files("vitals").joinpath("vitals-vocabulary.csv").read_text(encoding="utf-8")
    keys = [row["key"] for row in csv.DictReader(text.splitlines())]
    assert list(vocabulary()) == keys
    assert len(set(keys)) == 77


def test_a_vital_carries_its_codes_and_their_verification() -> None:
    assert vital_code("pulse_rate_spo2") == VitalCode(
        key=next(key for key in vocabulary() if key == "pulse_rate_spo2"),
        name_en="Pulse rate (oximeter)",
        name_zh="脉率",
        kind=VitalKind.NUMERIC,
        loinc="8889-8",
        loinc_status=CodeStatus.UNVERIFIED,
        mdc_code=149530,
        mdc_ref="MDC_PULS_OXIM_PULS_RATE",
        mdc_status=CodeStatus.VERIFIED,
        ucum="/min",
        plausible_low=20.0,
        plausible_high=300.0,
        sensor_low=18.0,
        sensor_high=321.0,
        note="LOINC 8889-8 'Heart rate by pulse oximetry' from general knowledge; fall back to 8867-4",
        decimals=0,
    )


def test_unknown_key_is_none_and_not_an_error() -> None:
    assert vital_code("aura") is None


def test_single_lead_ecg_without_position_has_no_code_and_says_who_added_it() -> None:
    code = vital_code("ecg")
    assert code is not None
    assert (code.name_zh, code.kind, code.ucum) == ("心电图(单导联,位置未说明)", VitalKind.WAVEFORM, "mV")
    assert (code.loinc, code.mdc_code, code.mdc_ref) == (None, None, None)
    assert (code.loinc_status, code.mdc_status) == (CodeStatus.NONE, CodeStatus.NONE)
    assert code.note.startswith("Added by this project")


@pytest.mark.parametrize(
    ("key", "decimals"),
    [
        ("temp", 1), ("temp_tymp", 1), ("perfusion_index", 1), ("spo2", 0), ("heart_rate", 0),
        ("nibp_sys", 0), ("glucose_cap_mmol", 1), ("glucose_cap_mgdl", 0), ("weight", 1), ("ecg", 2),
        ("body_fat", 1),
    ],
)  # fmt: skip
def test_screen_decimals_follow_the_device_resolution(key: str, decimals: int) -> None:
    code = vital_code(key)
    assert code is not None
    assert code.decimals == decimals


@pytest.mark.parametrize("code", vocabulary().values(), ids=lambda code: code.key)
def test_row_is_whole_and_its_ranges_run_upwards(code: VitalCode) -> None:
    assert code.name_en
    assert code.name_zh
    assert (code.loinc is None) == (code.loinc_status is CodeStatus.NONE)
    assert not (code.mdc_ref is None and code.mdc_code is not None)
    assert (code.ucum == "") == (code.kind in (VitalKind.CODED, VitalKind.DEVICE) and code.key != "battery")
    for low, high in ((code.plausible_low, code.plausible_high), (code.sensor_low, code.sensor_high)):
        assert (low is None) == (high is None)
        assert low is None or high is None or low < high


def test_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        vocabulary()["temp"] = None  # type: ignore[index]


def test_vocabulary_is_read_once() -> None:
    assert vocabulary() is vocabulary()
