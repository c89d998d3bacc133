"""The demo: four composite patients, the devices they wear, and who is bound to what.

Every patient is put together from public recordings of different people, and says so. Run this file to
write `demo_ward.json` anew.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from devices.driver import Transport
from devices.registry import find_driver
from devices.simulators.simulated_device import DeviceSpec, virtual_address
from edge_agent.agent import Place
from vitals.observation import SourceId
from vitals.wire.topics import source_id

AGENT = "demo-hut"
SERIAL = "contec_cms50dplus"
BLE = "pulse_oximeter"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPatient:
    """One bed of the demo."""

    id: str
    bed: str
    name_zh: str
    name_en: str
    pinyin: str
    rhythm_zh: str
    rhythm_en: str
    devices: tuple[DeviceSpec, ...]


def _chest_belt(bed: str, record: str) -> DeviceSpec:
    return DeviceSpec(name=f"h10-{bed}", driver="polar_h10", record=record, bed=bed)


def _cuff(bed: str, stay: str, *, start_at_s: float = 0.0) -> DeviceSpec:
    return DeviceSpec(
        name=f"cuff-{bed}", driver="blood_pressure", record=stay, bed=bed, start_at_s=start_at_s
    )


def _oximeter(bed: str, stay: str, *, driver: str, start_at_s: float = 0.0) -> DeviceSpec:
    short_name = "cms50" if driver == SERIAL else "plx"
    return DeviceSpec(
        name=f"{short_name}-{bed}",
        driver=driver,
        record="challenge2015/a103l",
        bed=bed,
        stay=stay,
        start_at_s=start_at_s,
    )


PATIENTS = (
    DemoPatient(
        id="p-demo-1",
        bed="1",
        name_zh="演示甲",
        name_en="Demo A",
        pinyin="yanshi jia",
        rhythm_zh="窦性心律",
        rhythm_en="sinus rhythm",
        devices=(
            _chest_belt("1", "mitdb/101"),
            _oximeter("1", "sepsis2019/p117320", driver=SERIAL),
            _cuff("1", "sepsis2019/p117320", start_at_s=20),
        ),
    ),
    DemoPatient(
        id="p-demo-2",
        bed="2",
        name_zh="演示乙",
        name_en="Demo B",
        pinyin="yanshi yi",
        rhythm_zh="心房颤动",
        rhythm_en="atrial fibrillation",
        devices=(
            _chest_belt("2", "mitdb/203"),
            _oximeter("2", "sepsis2019/p102819", driver=SERIAL, start_at_s=120),
            _cuff("2", "sepsis2019/p102819", start_at_s=35),
        ),
    ),
    DemoPatient(
        id="p-demo-3",
        bed="3",
        name_zh="演示丙",
        name_en="Demo C",
        pinyin="yanshi bing",
        rhythm_zh="室性早搏二联律与三联律",
        rhythm_en="ventricular bigeminy and trigeminy",
        devices=(
            _chest_belt("3", "mitdb/119"),
            _oximeter("3", "sepsis2019/p112268", driver=BLE, start_at_s=60),
            _cuff("3", "sepsis2019/p112268", start_at_s=50),
        ),
    ),
    DemoPatient(
        id="p-demo-4",
        bed="4",
        name_zh="演示丁",
        name_en="Demo D",
        pinyin="yanshi ding",
        rhythm_zh="左束支传导阻滞",
        rhythm_en="left bundle branch block",
        devices=(
            _chest_belt("4", "mitdb/109"),
            DeviceSpec(name="belt-4", driver="heart_rate", record="mitdb/109", bed="4"),
            _oximeter("4", "sepsis2019/p102070", driver=BLE, start_at_s=200),
        ),
    ),
)


def all_devices() -> tuple[DeviceSpec, ...]:
    """Every device of the demo."""
    return tuple(spec for patient in PATIENTS for spec in patient.devices)


def identity_of(spec: DeviceSpec) -> str:
    """What the agent knows the device by: its Bluetooth address, or a name for the serial line."""
    if find_driver(spec.driver).transport is Transport.SERIAL:
        return f"virtual-{spec.name}"
    return virtual_address(spec.name)


def source_of(spec: DeviceSpec) -> SourceId:
    """The source id that the demo's agent gives this device."""
    return source_id(AGENT, driver=spec.driver, serial=identity_of(spec))


def places() -> dict[str, Place]:
    """Bed and mark of every device, by its identity."""
    return {identity_of(spec): Place(bed=spec.bed, simulated=True) for spec in all_devices()}


def describe_ward() -> str:
    """Patients and bindings as JSON, as `python -m cloud seed` reads them."""
    ward = {
        "agent": AGENT,
        "organisation_zh": "千里演示医院",
        "organisation_en": "Qianli demo hospital",
        "resident": PATIENTS[0].id,
        "patients": [_ward_patient(patient) for patient in PATIENTS],
    }
    return json.dumps(ward, ensure_ascii=False, indent=1) + "\n"


def _ward_patient(patient: DemoPatient) -> dict[str, object]:
    records = sorted({record for spec in patient.devices for record in (spec.record, spec.stay) if record})
    sources = ", ".join(records)
    return {
        "id": patient.id,
        "bed": patient.bed,
        "name_zh": patient.name_zh,
        "name_en": patient.name_en,
        "pinyin": patient.pinyin,
        "composite_zh": f"合成演示患者({patient.rhythm_zh}),由不同人的公开记录组成:{sources}",
        "composite_en": f"Composite demo patient ({patient.rhythm_en}), "
        f"made of public recordings of different people: {sources}",
        "sources": [source_of(spec) for spec in patient.devices],
    }


if __name__ == "__main__":
    Path(__file__).with_name("demo_ward.json").write_text(describe_ward(), "utf-8")
