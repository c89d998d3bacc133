"""The vocabulary of vital signs: our keys, their names, codes, units and ranges.

The table is package data, `vitals-vocabulary.csv`. Each code carries the state of its verification, because
a wrong LOINC or MDC code is worse than none. The ranges are unsourced and not for alarms: they only tell what
a sensor can mean.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

from vitals.observation import VitalKey

# Decimals on a screen: as many as a device of that kind reads and a reader can use, by unit.
_DECIMALS_BY_UNIT = {
    "/min": 0,  # rates are charted whole
    "%": 0,  # an oximeter reads whole per cent, with an accuracy of 2
    "mm[Hg]": 0,  # cuffs and monitors read whole mmHg
    "ms": 0,
    "Cel": 1,  # thermometers read tenths, and NEWS2 bands are tenths
    "mg/dL": 0,
    "mmol/L": 1,  # meters read tenths; 0.1 mmol/L is about 2 mg/dL
    "kg": 1,  # scales read tenths
    "kg/m2": 1,
    "cm": 0,
    "L/min": 1,  # low-flow meters have half litres
    "mV": 2,  # 0.1 mV is one small square of ECG paper
    "mm": 1,  # ST level; half a millimetre matters
    "Ohm": 1,
    "{steps}": 0,
    "{score}": 0,
    "1": 0,  # pleth has no scale
    "": 0,  # coded values are words
}
# Where the unit alone would hide what matters.
_DECIMALS_BY_KEY = {
    "perfusion_index": 1,  # poor perfusion begins below 0.4 %
    "body_fat": 1,  # scales read tenths
}


class VitalKind(StrEnum):
    """What shape the values have."""

    NUMERIC = "numeric"
    SERIES = "series"  # one value per beat
    WAVEFORM = "waveform"
    CODED = "coded"
    DEVICE = "device"  # about the device, not the person


class CodeStatus(StrEnum):
    """How far a code was checked against public sources."""

    VERIFIED = "verified"
    ONE_SOURCE = "one source"
    DERIVED = "derived"  # follows from the pattern of its verified neighbours
    DISPUTED = "disputed"  # sources disagree
    UNVERIFIED = "unverified"
    NONE = "none"  # there is no code, or we know none


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalCode:
    """One vital sign. `plausible_*` bound a living person's values, `sensor_*` what a sensor can send."""

    key: VitalKey
    name_en: str
    name_zh: str
    kind: VitalKind
    loinc: str | None
    loinc_status: CodeStatus
    mdc_code: int | None
    mdc_ref: str | None
    mdc_status: CodeStatus
    ucum: str
    plausible_low: float | None
    plausible_high: float | None
    sensor_low: float | None
    sensor_high: float | None
    note: str
    decimals: int


@cache
def vocabulary() -> Mapping[VitalKey, VitalCode]:
    """Every vital sign by its key, in the order of the table."""
    text = files("vitals").joinpath("vitals-vocabulary.csv").read_text(encoding="utf-8")
    codes = (_read_row(row) for row in csv.DictReader(text.splitlines()))
    return MappingProxyType({code.key: code for code in codes})


@lru_cache(maxsize=1024)
def vital_code(key: str) -> VitalCode | None:
    """What is known about `key`; None for an unknown one, which is still stored and shown as unknown."""
    return vocabulary().get(VitalKey(key))


def _read_row(row: Mapping[str, str]) -> VitalCode:
    return VitalCode(
        key=VitalKey(row["key"]),
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        kind=VitalKind(row["kind"]),
        loinc=row["loinc"] or None,
        loinc_status=CodeStatus(row["loinc_status"]),
        mdc_code=int(row["mdc_code"]) if row["mdc_code"] else None,
        mdc_ref=row["mdc_ref"] or None,
        mdc_status=CodeStatus(row["mdc_status"]),
        ucum=row["ucum"],
        plausible_low=_read_bound(row["plausible_low"]),
        plausible_high=_read_bound(row["plausible_high"]),
        sensor_low=_read_bound(row["sensor_low"]),
        sensor_high=_read_bound(row["sensor_high"]),
        note=row["note"],
        decimals=_DECIMALS_BY_KEY.get(row["key"], _DECIMALS_BY_UNIT[row["ucum"]]),
    )


def _read_bound(text: str) -> float | None:
    return float(text) if text else None
