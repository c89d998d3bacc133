"""Stored series as CSV text: what a back-test reads. `docs/early-warning.md` names the columns.

One line is one instant of one person (wide form), or one value (`param` and `value`, long form). A column is
known by its vital sign's own key (`heart_rate`, `nibp_sys` …), by `patient.…`, or by one of the short names
below. Cells may be empty; NaN is an empty cell. What nobody knows, a column or a `param`, is left out and
named in the result.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from vitals.observation import Flag
from vitals.vocabulary import VitalKind, vital_code
from vitals.warning.errors import RuleError
from vitals.warning.rule import InputType
from vitals.warning.rule_file import PATIENT
from vitals.warning.rule_set import PATIENT_TYPES
from vitals.warning.sample import Sample

_PERSON_COLUMNS = ("patient", "person", "pid", "subject", "record_id")
_MS_BY_TIME_COLUMN = MappingProxyType(
    {"at_ms": 1, "t_ms": 1, "t_s": 1000, "second": 1000, "minute": 60_000, "hour": 3_600_000}
)
_ISO_COLUMNS = ("time", "measured_at")
# Short name → vital sign and the factor to its unit in the vocabulary.
_SHORT_NAMES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "hr": ("heart_rate", 1),
        "pulse": ("pulse_rate", 1),
        "o2sat": ("spo2", 1),
        "sao2": ("spo2", 1),
        "rr": ("resp_rate", 1),
        "resp": ("resp_rate", 1),
        "resprate": ("resp_rate", 1),
        "sbp": ("nibp_sys", 1),
        "dbp": ("nibp_dia", 1),
        "map": ("nibp_mean", 1),
        "nisysabp": ("nibp_sys", 1),
        "nidiasabp": ("nibp_dia", 1),
        "nimap": ("nibp_mean", 1),
        "sysabp": ("abp_sys", 1),
        "diasabp": ("abp_dia", 1),
        "step_count": ("steps", 1),
        "resting_heart_rate": ("heart_rate_resting", 1),
        "glucose_mmol_l": ("glucose_cap_mmol", 1),
        "cgm_mg_dl": ("glucose_isf", 1),
        "age": ("patient.age", 1),
        "spo2_scale": ("patient.spo2_scale", 1),
        "pregnant": ("patient.pregnant", 1),
    }
)
_MEANINGS_BESIDE: Mapping[str, tuple[tuple[str, float], ...]] = MappingProxyType(
    {"glucose_mmol_l": (("glucose_isf", 18.0182),)}  # of a meter or of a sensor; in mg/dL
)
_BOUND_BY_CELL = MappingProxyType({"HI": Flag.ABOVE_RANGE.value, "LO": Flag.BELOW_RANGE.value})
_TRUTHS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
_TRUE = ("1", "1.0", "true")
_FRACTIONS = ("fio2",)  # charted as 0.21 or as 21
_RECORD_COLUMNS = ("period", "recording")
"""Divide a person's lines into records, whose times may overlap."""
_LATEST_MS = 253_402_300_800_000  # the end of the year 9999
_QUALITY_COLUMNS = ("sqi", "quality")
_CONTACT_COLUMN = "contact"
_FROM_WEARABLE = frozenset({"heart_rate", "spo2", "resp_rate", "pulse_rate", "pulse_rate_spo2"})
"""What `sqi` and `contact` speak of; a cuff or a thermometer on the same line is not meant."""


class SeriesInvalid(RuleError):
    """A line of a series cannot be read."""

    def __init__(self, reason: str, *, line: int, column: str = "") -> None:
        super().__init__(reason, line, column)
        self.reason = reason
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", column {self.column!r}" if self.column else "")
        return f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One line, or several of one instant: what was measured, and what is known by hindsight."""

    at_ms: int
    samples: tuple[Sample, ...]
    outcome: bool | None


@dataclass(slots=True, kw_only=True)
class SeriesTable:
    """The instants of each person in the order of the file, and the columns that nothing reads."""

    instants_by_person: dict[str, list[Instant]] = field(default_factory=dict)
    unknown_columns: tuple[str, ...] = ()
    lines: int = 0


def read_table(lines: Iterable[str], *, outcome: str | None = None) -> SeriesTable:
    """Read a whole file.

    Raises:
        SeriesInvalid: no person or time column, a line with too many cells, a cell that is no number.
    """
    rows = _read_rows(lines)
    _, header = next(rows, (1, None))
    if header is None:
        raise SeriesInvalid("the file is empty", line=1)
    columns = _Columns([name.strip() for name in header], outcome=outcome)
    table = SeriesTable()
    for line, cells in rows:
        if len(cells) != len(header):
            raise SeriesInvalid(f"has {len(cells)} cells instead of {len(header)}", line=line)
        person, instant = columns.read_line(cells, line)
        table.instants_by_person.setdefault(person, []).append(instant)
        table.lines += 1
    table.unknown_columns = columns.unknown
    return table


def read_persons(lines: Iterable[str]) -> dict[str, tuple[Sample, ...]]:
    """What is known of each person from the beginning: a person column and `patient.…` columns.

    Raises:
        SeriesInvalid: no person column, a column that is not of the person, a cell that cannot be read.
    """
    rows = _read_rows(lines)
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    person = next((header.index(name) for name in _PERSON_COLUMNS if name in header), None)
    if person is None:
        raise SeriesInvalid(f"has no column of the person: one of {', '.join(_PERSON_COLUMNS)}", line=1)
    keys = [name if name.startswith(PATIENT) else PATIENT + name for name in header]
    for number, key in enumerate(keys):
        if number != person and key not in PATIENT_TYPES:
            raise SeriesInvalid(f"knows no {key!r}; known: {', '.join(PATIENT_TYPES)}", line=1)
    found: dict[str, tuple[Sample, ...]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise SeriesInvalid(f"has {len(cells)} cells instead of {len(header)}", line=line)
        found[cells[person].strip()] = tuple(
            Sample(key, "csv", 0, _read_of_person(key, text.strip(), line))
            for number, (key, text) in enumerate(zip(keys, cells, strict=True))
            if number != person and text.strip()
        )
    return found


def _read_of_person(key: str, text: str, line: int) -> float | str | bool:
    kind = PATIENT_TYPES[key]
    if kind is InputType.WORD:
        return text
    if kind is InputType.TRUTH and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text.replace("_", "?"))  # Python would read 1_0 as 10
    except ValueError:
        raise SeriesInvalid(f"{text!r} is no number", line=line, column=key) from None
    return number != 0 if kind is InputType.TRUTH else number


def _read_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Every line that is not empty, with its number."""
    reader = csv.reader(lines)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise SeriesInvalid(str(error), line=reader.line_num) from error


class _Columns:
    """Which column means what."""

    def __init__(self, header: list[str], *, outcome: str | None) -> None:
        lower = [name.lower() for name in header]
        self._header = header
        self._person = self._find(lower, _PERSON_COLUMNS, "of the person")
        self._time = self._find(lower, (*_MS_BY_TIME_COLUMN, *_ISO_COLUMNS), "of time")
        self._time_name = lower[self._time]
        self._outcome = self._find_named(outcome)
        self._record = next((lower.index(name) for name in _RECORD_COLUMNS if name in lower), None)
        self._quality = next((lower.index(name) for name in _QUALITY_COLUMNS if name in lower), None)
        self._contact = lower.index(_CONTACT_COLUMN) if _CONTACT_COLUMN in lower else None
        self._values = [
            (number, *meaning)
            for number, name in enumerate(lower)
            if number not in (self._person, self._time, self._outcome) and _is_known(name)
            for meaning in _meanings(name)
        ]
        self._param, self._value = self._find_long_form(lower)
        used = {number for number, _, _ in self._values} | {self._person, self._record, self._time}
        used |= {self._outcome, self._quality, self._contact, self._param, self._value}
        self._unknown = dict.fromkeys(name for number, name in enumerate(header) if number not in used)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The columns and, so far, the values of `param` that nothing reads."""
        return tuple(self._unknown)

    def read_line(self, cells: list[str], line: int) -> tuple[str, Instant]:
        person = cells[self._person].strip()
        if not person:
            raise SeriesInvalid("names no person", line=line, column=self._header[self._person])
        if self._record is not None:
            person = f"{person}/{cells[self._record].strip()}"
        at_ms = self._read_time(cells[self._time].strip(), line)
        outcome = None if self._outcome is None else cells[self._outcome].strip().lower() in _TRUE
        samples = tuple(self._read_long(cells, at_ms, line)) if self._param is not None else ()
        return person, Instant(
            at_ms=at_ms, samples=(*samples, *self._read_wide(cells, at_ms, line)), outcome=outcome
        )

    def _read_wide(self, cells: list[str], at_ms: int, line: int) -> Iterator[Sample]:
        for number, key, factor in self._values:
            yield from self._read_cell(cells, number, (key, factor), at_ms=at_ms, line=line)

    def _read_long(self, cells: list[str], at_ms: int, line: int) -> Iterator[Sample]:
        name = cells[self._param or 0].strip()
        if not _is_known(name.lower()):
            self._unknown[name] = None
            return
        for meaning in _meanings(name.lower()):
            yield from self._read_cell(cells, self._value or 0, meaning, at_ms=at_ms, line=line)

    def _read_cell(
        self, cells: list[str], number: int, meaning: tuple[str, float], *, at_ms: int, line: int
    ) -> Iterator[Sample]:
        key, factor = meaning
        bound = _BOUND_BY_CELL.get(cells[number].strip().upper())
        value = None if bound else self._value_of(key, factor, cells, number, line)
        if value is None and bound is None:
            return
        quality, flags = self._read_quality(cells, line) if key in _FROM_WEARABLE else (None, ())
        yield Sample(key, "csv", at_ms, value, quality, (*flags, *([bound] if bound else [])))

    def _read_quality(self, cells: list[str], line: int) -> tuple[float | None, tuple[str, ...]]:
        quality = None if self._quality is None else self._number(cells, self._quality, line)
        touches = None if self._contact is None else self._number(cells, self._contact, line)
        return quality, (Flag.NO_CONTACT.value,) if touches == 0 else ()

    def _value_of(
        self, key: str, factor: float, cells: list[str], number: int, line: int
    ) -> float | bool | str | None:
        if _is_word(key):
            text = cells[number].strip()
            return _TRUTHS.get(text.lower(), text or None)
        value = self._number(cells, number, line)
        return None if value is None else _to_unit(key, value * factor)

    def _number(self, cells: list[str], number: int, line: int) -> float | None:
        text = cells[number].strip()
        if not text:
            return None
        try:
            value = float(text.replace("_", "?"))  # Python would read 1_0 as 10
        except ValueError:
            value = math.inf
        if math.isinf(value):
            raise SeriesInvalid(f"{text!r} is no number", line=line, column=self._header[number])
        return None if math.isnan(value) else value

    def _read_time(self, text: str, line: int) -> int:
        try:
            if self._time_name in _MS_BY_TIME_COLUMN:
                at_ms = round(float(text) * _MS_BY_TIME_COLUMN[self._time_name])
            else:
                moment = datetime.fromisoformat(text)
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                at_ms = round(aware.timestamp() * 1000)
        except (ValueError, OverflowError):
            raise SeriesInvalid(f"{text!r} is no time", line=line, column=self._header[self._time]) from None
        if abs(at_ms) > _LATEST_MS:
            raise SeriesInvalid(
                f"{text!r} lies beyond the year 9999", line=line, column=self._header[self._time]
            )
        return at_ms

    def _find(self, lower: list[str], names: tuple[str, ...], what: str) -> int:
        for name in names:
            if name in lower:
                return lower.index(name)
        raise SeriesInvalid(f"has no column {what}: one of {', '.join(names)}", line=1)

    def _find_named(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self._header:
            raise SeriesInvalid(f"has no column {name!r}", line=1)
        return self._header.index(name)

    def _find_long_form(self, lower: list[str]) -> tuple[int | None, int | None]:
        if "param" in lower and "value" in lower:
            return lower.index("param"), lower.index("value")
        return None, None


def _meanings(name: str) -> tuple[tuple[str, float], ...]:
    return (_SHORT_NAMES.get(name, (name, 1.0)), *_MEANINGS_BESIDE.get(name, ()))


def _is_known(name: str) -> bool:
    return name in _SHORT_NAMES or name in PATIENT_TYPES or vital_code(name) is not None


def _is_word(key: str) -> bool:
    code = vital_code(key)
    return PATIENT_TYPES.get(key) is InputType.WORD or (code is not None and code.kind is VitalKind.CODED)


def _to_unit(key: str, value: float) -> float | bool:
    if key in _FRACTIONS and 0 < value <= 1:
        return value * 100
    if PATIENT_TYPES.get(key) is InputType.TRUTH:
        return value != 0
    return value
