"""What goes over `/api/live`, byte for byte (docs/live-api.md)."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from cloud.events import PartState, PatientScore, Reading, Silence
from cloud.live.model import Mark, Patient, Source, WardState
from vitals.wire.batch import to_ms


def encode_hello(
    state: WardState, patients: Iterable[Patient], *, now: datetime, delay_ms: int, mark: Mark
) -> str:
    """The whole state of these patients."""
    return _text(
        {
            "type": "hello",
            "server_at": to_ms(now),
            "display_delay_ms": delay_ms,
            "journal": mark.journal,
            "upto": mark.upto,
            "patients": [_patient(state, patient, now=now) for patient in patients],
        }
    )


def encode_values(patient_id: str, readings: Iterable[Reading]) -> str:
    """New values of a patient."""
    return _text({"type": "values", "patient": patient_id, "values": [_value(entry) for entry in readings]})


def encode_stored(patient_id: str, readings: Iterable[Reading]) -> str:
    """Values that were shown already are committed now."""
    return _text(
        {
            "type": "stored",
            "patient": patient_id,
            "values": [
                {
                    "src": entry.src,
                    "key": entry.key,
                    "measured_at": to_ms(entry.measured_at),
                    "stored_at": _ms(entry.stored_at),
                }
                for entry in readings
            ],
        }
    )


def encode_score(patient_id: str, score: PatientScore, *, now: datetime) -> str:
    """The score of a patient."""
    return _text({"type": "score", "patient": patient_id, "score": _score(score, now=now)})


def encode_silence(patient_id: str, silences: Iterable[Silence]) -> str:
    """All silences of a patient."""
    return _text(
        {"type": "silence", "patient": patient_id, "silences": [_silence(entry) for entry in silences]}
    )


def encode_tick(parts: Iterable[PartState], *, now: datetime, mark: Mark) -> str:
    """A sign of life of the server, and how far a viewer has heard when it gets it."""
    states = {state.part.value: {"ok": state.ok, "since_at": to_ms(state.since_at)} for state in parts}
    said = {"server_at": to_ms(now), "parts": states, "journal": mark.journal, "upto": mark.upto}
    return _text({"type": "tick", **said})


def _text(message: object) -> str:
    return msgspec.json.encode(message).decode()


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _patient(state: WardState, patient: Patient, *, now: datetime) -> dict[str, object]:
    score = state.scores.get(patient.patient_id)
    sources = [state.sources[src] for src in state.sources_of(patient.patient_id) if src in state.sources]
    return {
        "id": patient.patient_id,
        "name_zh": patient.name_zh,
        "name_en": patient.name_en,
        "bed": patient.bed,
        "composite_zh": patient.composite_zh,
        "composite_en": patient.composite_en,
        "sources": [_source(source) for source in sources],
        "values": [_value(reading) for reading in state.readings_of(patient.patient_id)],
        "score": None if score is None else _score(score, now=now),
        "silences": [_silence(silence) for silence in state.silences_of(patient.patient_id)],
    }


def _source(source: Source) -> dict[str, object]:
    return {
        "src": source.src,
        "driver": source.driver,
        "title_zh": source.title_zh,
        "title_en": source.title_en,
        "simulated": source.simulated,
        "cadence_s": source.cadence,
        "waves": [
            {
                "stream": wave.stream,
                "rate_hz": wave.rate[0] / wave.rate[1],
                "gain": wave.gain,
                "offset": wave.offset,
                "unit": wave.unit,
            }
            for wave in source.waves
        ],
    }


def _value(reading: Reading) -> dict[str, object]:
    return {
        "src": reading.src,
        "key": reading.key,
        "value": reading.value,
        "unit": reading.unit,
        "measured_at": to_ms(reading.measured_at),
        "received_at": to_ms(reading.received_at),
        "arrived_at": to_ms(reading.arrived_at),
        "stored_at": _ms(reading.stored_at),
        "quality": reading.quality,
        "flags": reading.flags,
        "late": reading.late,
    }


def _score(score: PatientScore, *, now: datetime) -> dict[str, object]:
    return {
        "name": score.name,
        "total": score.total,
        "total_min": score.total_min,
        "total_max": score.total_max,
        "risk": score.risk,
        "risk_min": score.risk_min,
        "risk_max": score.risk_max,
        "missing": score.missing,
        "parts": [
            {
                "input": part.input,
                "value": part.value,
                "points": part.points,
                "measured_at": _ms(part.measured_at),
                "reason": part.reason,
            }
            for part in score.parts
        ],
        "at": to_ms(now),
    }


def _silence(silence: Silence) -> dict[str, object]:
    return {
        "src": silence.src,
        "keys": silence.keys,
        "cause": silence.cause,
        "since_at": to_ms(silence.since_at),
    }
