import json

from cloud.events import AgentBorn, ReadingsStored
from cloud.identity.model import Role, subject_of
from cloud.live.model import Binding, Patient, Ward
from cloud.live.service import Hub, Viewer
from cloud.warning.model import score_patient
from tests.cloud.live.readings import START, at, reading
from tests.fixtures.wire_messages import SOURCE, WireAgent
from vitals.wire.status import decode_status

DOCTOR = subject_of(person="d", role=Role.CLINICIAN, organisation="o-1")
STRANGER = subject_of(person="s", role=Role.CLINICIAN, organisation="o-2")
WARD = Ward(
    patients=(
        Patient(
            patient_id="p-1",
            organisation_id="o-1",
            bed="1",
            name_zh="",
            name_en="",
            composite_zh="",
            composite_en="",
            spo2_scale=1,
        ),
    ),
    bindings=(Binding(src=SOURCE, patient_id="p-1", begins_at=START, ends_at=None),),
)


def viewer_of(subject, told=lambda _patients: None):
    return Viewer(subject, already_told=(), tell_shown=told)


def hub_with(*subjects):
    hub = Hub(judge=score_patient, clock=lambda: at(5), display_delay_ms=2000)
    hub.load(WARD, sources=[], latest=[])
    viewers = [viewer_of(subject) for subject in subjects]
    for viewer in viewers:
        hub.add_viewer(viewer)
    return hub, viewers


async def frames(viewer):
    found = []
    while viewer._frames:
        found.append(json.loads(await viewer.next_frame()))
    return found


async def test_viewer_of_another_organisation_hears_nothing_of_the_patient():
    hub, (doctor, stranger) = hub_with(DOCTOR, STRANGER)
    hub.take(ReadingsStored(readings=(reading(4, 72),), heard_at=at(5)))

    assert [frame["type"] for frame in await frames(doctor)] == ["hello", "values", "score"]
    seen = await frames(stranger)
    assert [(frame["type"], frame["patients"]) for frame in seen] == [("hello", [])]


async def test_birth_that_changes_a_source_greets_everybody_anew():
    hub, (doctor,) = hub_with(DOCTOR)
    born = AgentBorn(
        agent="hut-1", sources=tuple(decode_status(WireAgent().birth().payload).sources), heard_at=at(5)
    )
    hub.take(born)
    hub.take(born)

    hellos = await frames(doctor)
    assert [len(frame["patients"][0]["sources"]) for frame in hellos] == [0, 1]


async def test_score_that_did_not_change_is_not_told_again():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.rescore()

    assert [frame["type"] for frame in await frames(doctor)] == ["hello"]


async def test_slow_viewer_loses_the_oldest_waves_and_no_text():
    viewer = viewer_of(DOCTOR)
    viewer.put_text("first")
    for number in range(200):
        viewer.put_wave(bytes([number]))
    viewer.put_text("last")

    received = [await viewer.next_frame() for _ in range(122)]
    assert (received[0], received[-1]) == ("first", "last")
    assert received[1:-1] == [bytes([number]) for number in range(80, 200)]
    assert (viewer.dropped_waves, viewer.overrun.is_set()) == (80, False)


async def test_viewer_that_takes_no_values_is_given_up():
    viewer = viewer_of(DOCTOR)
    for number in range(501):
        viewer.put_text(str(number))

    assert viewer.overrun.is_set()
