"""The real recordings that ship as package data, with the source and licence of each."""

import csv
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.errors import RecordUnknown

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a recording comes from, in the words that its licence asks for."""

    record: str
    source: str
    changes: str
    licence: str
    citation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RhythmChange:
    """From `at_s` on the rhythm is `rhythm`, in WFDB's words: N, AFIB, B (bigeminy), T (trigeminy), VT."""

    at_s: float
    rhythm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgRecord:
    """One lead in microvolts, and its beats as annotated by cardiologists."""

    source: Source
    lead: str
    rate_hz: int
    samples_uv: npt.NDArray[np.int32]
    beat_s: Seconds
    beat_symbols: str
    rhythms: tuple[RhythmChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlethRecord:
    """A plethysmogram of 7 bits, and the times of its pulses (found by us, not annotated in the source)."""

    source: Source
    rate_hz: int
    samples: npt.NDArray[np.int32]
    pulse_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StayRow:
    """One hour of a stay, as charted."""

    heart_rate_bpm: float
    spo2_pct: float
    systolic_mmhg: float
    mean_mmhg: float
    diastolic_mmhg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StayRecord:
    """Consecutive hours of one intensive-care stay."""

    source: Source
    rows: tuple[StayRow, ...]


@cache
def load_ecg(record: str) -> EcgRecord:
    """An ECG by its name, "mitdb/101".

    Raises:
        RecordUnknown: with the names that exist.
    """
    entry = _entry(record, "ecg")
    with _file(entry["file"]).open("rb") as file, np.load(file) as arrays:
        steps, beat_s, symbols = arrays["steps"], arrays["beat_s"], arrays["beat_symbols"]
    return EcgRecord(
        source=_source(entry),
        lead=entry["lead"],
        rate_hz=entry["rate_hz"],
        samples_uv=np.cumsum(steps, dtype=np.int32),
        beat_s=beat_s,
        beat_symbols=str(symbols),
        rhythms=tuple(RhythmChange(at_s=at_s, rhythm=rhythm) for at_s, rhythm in entry["rhythms"]),
    )


@cache
def load_pleth(record: str) -> PlethRecord:
    """A plethysmogram by its name, "challenge2015/a103l".

    Raises:
        RecordUnknown: with the names that exist.
    """
    entry = _entry(record, "pleth")
    with _file(entry["file"]).open("rb") as file, np.load(file) as arrays:
        samples, pulse_s = arrays["samples"].astype(np.int32), arrays["pulse_s"]
    return PlethRecord(source=_source(entry), rate_hz=entry["rate_hz"], samples=samples, pulse_s=pulse_s)


@cache
def load_stay(record: str) -> StayRecord:
    """A stay by its name, "sepsis2019/p117320".

    Raises:
        RecordUnknown: with the names that exist.
    """
    entry = _entry(record, "numerics")
    with _file(entry["file"]).open("r", encoding="ascii") as lines:
        rows = tuple(
            StayRow(**{name: float(value) for name, value in row.items() if name != "hour"})
            for row in csv.DictReader(lines)
        )
    return StayRecord(source=_source(entry), rows=rows)


def all_sources() -> tuple[Source, ...]:
    """Every recording that this package carries."""
    return tuple(_source(entry) for entry in _index())


def _folder() -> Traversable:
    return files("devices.simulators") / "recordings"


def _file(name: str) -> Traversable:
    return _folder() / name


@cache
def _index() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(_file("recordings.json").read_text(encoding="utf-8")))


def _entry(record: str, kind: str) -> dict[str, Any]:
    of_kind = {entry["record"]: entry for entry in _index() if entry["kind"] == kind}
    if record not in of_kind:
        raise RecordUnknown(record, known=tuple(sorted(of_kind)))
    return of_kind[record]


def _source(entry: dict[str, Any]) -> Source:
    return Source(
        record=entry["record"],
        source=entry["source"],
        changes=entry["changes"],
        licence=entry["licence"],
        citation=entry["citation"],
    )
