"""NEWS2 from the latest readings of a patient: what is missing or old widens the bounds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.events import MissingReason, PatientScore, PatientScorePart, Reading, ScoreQuestion
from vitals.observation import VitalKey
from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.score_result import ScoreResult
from vitals.warning.scores.news2 import SCORE, compute_news2

CONTINUOUS_EXPIRES_AFTER = timedelta(seconds=60)
SPOT_EXPIRES_AFTER = timedelta(hours=4)
_SCALE = "spo2_scale"
_INPUT_KEYS = SCORE.input_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """The reading that feeds an input, or why there is none."""

    reading: Reading | None
    reason: MissingReason | None

    @property
    def value(self) -> float | None:
        return None if self.reading is None or self.reason is not None else self.reading.value


_NEVER = _Input(reading=None, reason=MissingReason.NEVER)


def score_patient(question: ScoreQuestion) -> PatientScore:
    """The score at a moment."""
    inputs = {name: _choose(keys, question) for name, keys in _INPUT_KEYS.items() if name != _SCALE}
    result = _compute(inputs, scale=question.spo2_scale)
    risk = result.find_outcome("risk")
    lowest, highest = result.bounds
    return PatientScore(
        name="NEWS2",
        total=None if result.total is None else int(result.total),
        total_min=int(lowest),
        total_max=int(highest),
        risk=None if risk.value is None else str(risk.value),
        risk_min=str(risk.lowest),
        risk_max=str(risk.highest),
        missing=result.missing,
        parts=tuple(
            PatientScorePart(
                input=part.input,
                value=part.value,
                points=part.points,
                measured_at=_measured_at(inputs.get(part.input, _NEVER)),
                reason=inputs.get(part.input, _NEVER).reason,
            )
            for part in result.parts
        ),
    )


def _measured_at(chosen: _Input) -> datetime | None:
    return None if chosen.reading is None else chosen.reading.credible_at


def _compute(inputs: dict[str, _Input], *, scale: int) -> ScoreResult:
    """Compute; an input outside the score's domain is marked invalid and left out."""
    while True:
        values: dict[str, object] = {name: chosen.value for name, chosen in inputs.items()}
        try:
            return compute_news2(values | {_SCALE: scale})
        except ScoreInputInvalid as error:
            if error.field not in inputs or inputs[error.field].value is None:
                raise
            inputs[error.field] = _Input(reading=inputs[error.field].reading, reason=MissingReason.INVALID)


def _choose(keys: Iterable[VitalKey], question: ScoreQuestion) -> _Input:
    """The best key with a usable value; without one, the newest of the unusable readings tells why."""
    unusable: list[_Input] = []
    for key in keys:
        found = sorted(
            (reading for reading in question.readings if reading.key == key),
            key=lambda reading: reading.credible_at,
            reverse=True,
        )
        for reading in found:
            judged = _Input(reading=reading, reason=_why_missing(reading, question))
            if judged.reason is None:
                return judged
            unusable.append(judged)
    return max(unusable, key=_newest, default=_NEVER)


def _newest(judged: _Input) -> float:
    return 0.0 if judged.reading is None else judged.reading.credible_at.timestamp()


def _why_missing(reading: Reading, question: ScoreQuestion) -> MissingReason | None:
    if not reading.has_value:
        return MissingReason.INVALID
    is_continuous = (reading.src, reading.key) in question.continuous
    silent = any(
        silence.src == reading.src and (not silence.keys or reading.key in silence.keys)
        for silence in question.silences
    )
    if is_continuous and silent:
        return MissingReason.SILENT
    limit = CONTINUOUS_EXPIRES_AFTER if is_continuous else SPOT_EXPIRES_AFTER
    if question.now - reading.credible_at <= limit:
        return None
    return MissingReason.SILENT if silent else MissingReason.EXPIRED
