"""A record as a FHIR R4 Bundle (type `collection`), written piece by piece."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from vitals.vocabulary import vital_code

_IDENTIFIER_SYSTEM = "urn:qianli:identifier:"
_STATUS = {"good": "final", "questionable": "preliminary", "invalid": "entered-in-error"}


def write_bundle(
    patient: Mapping[str, Any],
    numbers: Iterable[tuple[str, str, str]],
    observations: Iterable[Mapping[str, Any]],
) -> Iterator[bytes]:
    """The Bundle; observations are taken one by one."""
    yield b'{"resourceType":"Bundle","type":"collection","entry":['
    yield _entry(_patient(patient, numbers))
    for observation in observations:
        yield b",\n" + _entry(_observation(observation, patient_id=patient["patient_id"]))
    yield b"]}\n"


def _entry(resource: dict[str, object]) -> bytes:
    address = f"urn:qianli:{resource['resourceType']}:{quote(str(resource['id']))}"
    return msgspec.json.encode({"fullUrl": address, "resource": resource})


def _patient(patient: Mapping[str, Any], numbers: Iterable[tuple[str, str, str]]) -> dict[str, object]:
    names = [name for name in (patient["name_zh"], patient["name_en"]) if name]
    resource: dict[str, object] = {
        "resourceType": "Patient",
        "id": _id(patient["patient_id"]),
        "identifier": [
            {"system": f"{_IDENTIFIER_SYSTEM}{kind}{':' + quote(issuer) if issuer else ''}", "value": value}
            for kind, issuer, value in numbers
        ],
        "name": [{"text": name} for name in names],
        "gender": patient["sex"],
    }
    if patient["birth_date"] is not None:
        resource["birthDate"] = patient["birth_date"].isoformat()
    return resource


def _observation(row: Mapping[str, Any], *, patient_id: str) -> dict[str, object]:
    code = vital_code(row["key"])
    measured_at: datetime = row["measured_at"]
    coding = (
        [] if code is None or code.loinc is None else [{"system": "http://loinc.org", "code": code.loinc}]
    )
    resource: dict[str, object] = {
        "resourceType": "Observation",
        "id": _id(f"{row['src']}-{row['key'].replace('_', '-')}-{int(measured_at.timestamp() * 1000)}"),
        "status": _STATUS.get(row["quality"], "unknown"),
        "code": {"coding": coding, "text": row["key"] if code is None else code.name_en},
        "subject": {"reference": f"urn:qianli:Patient:{quote(_id(patient_id))}"},
        "effectiveDateTime": measured_at.isoformat(),
    }
    if row["value"] is None:
        resource["dataAbsentReason"] = {"text": ", ".join(row["flags"]) or "unknown"}
    else:
        unit = row["unit"]
        resource["valueQuantity"] = {
            "value": row["value"],
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        }
    return resource


def _id(text: str) -> str:
    """FHIR ids have at most 64 letters, digits, hyphens and dots."""
    if len(text) <= 64 and all(sign.isascii() and (sign.isalnum() or sign in "-.") for sign in text):
        return text
    return base64.b32encode(text.encode()).decode().rstrip("=")[:64]
