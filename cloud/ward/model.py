"""A ward as a file: who lies where, and which sensors are bound to whom."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cloud.errors import CloudError
from vitals.observation import SourceId


class WardFileInvalid(CloudError):
    """The ward file cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"ward file {self.path} cannot be used: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WardPatient:
    """A patient of the file. `spo2_scale` 2 is for people whose saturation is meant to be 88-92 %."""

    id: str
    bed: str
    name_zh: str
    name_en: str
    sources: list[SourceId]
    composite_zh: str = ""
    composite_en: str = ""
    spo2_scale: int = 1
    pinyin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WardFile:
    """The whole file. `resident` is the patient who gets an account of their own: for demonstrations."""

    agent: str
    patients: list[WardPatient] = field(default_factory=list)
    organisation_zh: str = "千里"
    organisation_en: str = "Qianli"
    resident: str = ""


def read_ward_file(path: Path) -> WardFile:
    """Read and check a file.

    Raises:
        WardFileInvalid: unreadable, of another shape, or one sensor bound to two people.
    """
    try:
        ward = msgspec.json.decode(path.read_bytes(), type=WardFile)
    except OSError as error:
        raise WardFileInvalid(path, error.strerror or "it cannot be read") from error
    except msgspec.MsgspecError as error:
        raise WardFileInvalid(path, str(error)) from error
    sources = [src for patient in ward.patients for src in patient.sources]
    if len(set(sources)) != len(sources):
        raise WardFileInvalid(path, "one source is bound to two patients")
    if len({patient.id for patient in ward.patients}) != len(ward.patients):
        raise WardFileInvalid(path, "one patient stands there twice")
    return ward
