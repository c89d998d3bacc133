import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from cloud.events import AgentBorn, BindingsChanged, StoredUpTo, WaveHeard
from cloud.identity.model import Role, subject_of
from cloud.identity.sight import Basis, DataClass, Sight
from cloud.live.model import Binding, Patient, Ward
from cloud.live.service import Hub, Viewer
from cloud.warning.model import score_patient
from tests.cloud.live.readings import LANE, START, at, heard, reading
from tests.fixtures.wire_messages import ECG, SOURCE, WireAgent
from vitals.wave import WaveBlock
from vitals.wire.batch import to_ms
from vitals.wire.status import decode_status

DOCTOR = subject_of(person="d", role=Role.CLINICIAN, organisation="o-1")
STRANGER = subject_of(person="s", role=Role.CLINICIAN, organisation="o-1")
DUTY = Sight(basis=Basis.DUTY, up_to=DataClass.SENSITIVE)
SIGHTS = {DOCTOR: {"p-1": DUTY, "p-2": DUTY}}
WARD = Ward(
    patients=(
        Patient(
            patient_id="p-1",
            organisation_id="o-1",
            bed="1",
            name_zh="张三",
            name_en="Zhang San",
            composite_zh="",
            composite_en="",
            spo2_scale=1,
        ),
    ),
    bindings=(Binding(src=SOURCE, patient_id="p-1", begins_at=START, ends_at=None),),
)


def viewer_of(subject, told=lambda _patients: None):
    return Viewer(subject, sights=SIGHTS.get(subject, {}), already_told=(), tell_shown=told)


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


async def test_viewer_without_a_right_hears_nothing_of_the_patient():
    hub, (doctor, stranger) = hub_with(DOCTOR, STRANGER)
    hub.take(heard(reading(4, 72)))

    assert [frame["type"] for frame in await frames(doctor)] == ["hello", "values", "score"]
    seen = await frames(stranger)
    assert [(frame["type"], frame["patients"]) for frame in seen] == [("hello", [])]


async def test_right_that_ends_shows_nothing_more_and_takes_back_what_waits():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.take(heard(reading(4, 72)))
    hub.place_sights(doctor, {})
    hub.take(heard(reading(5, 73)))

    assert [(frame["type"], frame.get("patients")) for frame in await frames(doctor)] == [("hello", [])]


async def test_right_that_comes_shows_the_patient_and_is_told_of():
    told = []
    hub = hub_with()[0]
    viewer = viewer_of(STRANGER, told=told.append)
    hub.add_viewer(viewer)
    hub.place_sights(viewer, {"p-1": DUTY})
    hub.place_sights(viewer, {"p-1": DUTY})

    hellos = [[patient["id"] for patient in frame["patients"]] for frame in await frames(viewer)]
    assert hellos == [[], ["p-1"]]
    assert told == [{"p-1": DUTY}]


async def test_name_above_the_class_of_a_right_is_masked():
    hub, (viewer,) = hub_with(STRANGER)
    hub.place_sights(viewer, {"p-1": Sight(basis=Basis.FAMILY, up_to=DataClass.GENERAL)})

    last = (await frames(viewer))[-1]["patients"][0]
    assert (last["name_zh"], last["name_en"]) == ("张*", "Z***")


async def test_birth_that_changes_a_source_greets_its_viewers_anew():
    hub, (doctor,) = hub_with(DOCTOR)
    born = AgentBorn(
        agent="hut-1", sources=tuple(decode_status(WireAgent().birth().payload).sources), heard_at=at(5)
    )
    hub.take(born)
    hub.take(born)

    hellos = await frames(doctor)
    assert [len(frame["patients"][0]["sources"]) for frame in hellos] == [0, 1]


def born_with(sources, **changes):
    return AgentBorn(agent="hut-1", sources=tuple(replace(one, **changes) for one in sources), heard_at=at(5))


async def test_births_without_end_are_one_hello_and_one_more_with_each_tick():
    hub, (doctor,) = hub_with(DOCTOR)
    sources = decode_status(WireAgent().birth().payload).sources
    for number in range(600):
        hub.take(born_with(sources, title_en=f"title {number}"))
    assert [frame["type"] for frame in await frames(doctor)] == ["hello", "hello"]

    hub.tick(())
    hello, tick = await frames(doctor)
    assert (hello["patients"][0]["sources"][0]["title_en"], tick["type"]) == ("title 599", "tick")
    assert not doctor.overrun.is_set()


async def test_birth_of_sources_that_nobody_wears_greets_nobody():
    hub, (doctor,) = hub_with(DOCTOR)
    sources = decode_status(WireAgent().birth().payload).sources
    hub.take(born_with(sources, src="hut-1/nobodys"))
    hub.tick(())

    assert [frame["type"] for frame in await frames(doctor)] == ["hello", "tick"]


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


MOVED = Ward(
    patients=(*WARD.patients, replace(WARD.patients[0], patient_id="p-2")),
    bindings=(
        Binding(src=SOURCE, patient_id="p-1", begins_at=START, ends_at=at(3)),
        Binding(src=SOURCE, patient_id="p-2", begins_at=at(3), ends_at=None),
    ),
)


def values_in(found):
    return [
        (frame["patient"], value["value"])
        for frame in found
        if frame["type"] == "values"
        for value in frame["values"]
    ]


async def test_value_of_a_sensor_that_changes_hands_waits_and_goes_to_its_owner():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.hold([SOURCE])
    hub.take(heard(reading(4, 72)))
    assert values_in(await frames(doctor)) == []

    hub.take(BindingsChanged(sources=(SOURCE,)))
    changed = hub.take_changed()
    hub.place_ward(MOVED, latest=[], settled=changed)
    assert values_in(await frames(doctor)) == [("p-2", 72)]


async def test_what_is_read_while_a_sensor_changes_hands_is_not_believed():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.hold([SOURCE])
    hub.place_ward(WARD, latest=[reading(4, 72)])
    assert values_in(await frames(doctor)) == []

    hub.place_ward(WARD, latest=[reading(4, 72)], settled=[SOURCE])
    assert values_in(await frames(doctor)) == [("p-1", 72)]


async def test_value_waits_until_the_last_of_two_changes_is_settled():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.hold([SOURCE])
    hub.hold([SOURCE])
    hub.take(heard(reading(4, 72)))
    hub.release([SOURCE])
    assert values_in(await frames(doctor)) == []

    hub.release([SOURCE])
    assert values_in(await frames(doctor)) == [("p-1", 72)]


@pytest.mark.parametrize(("first", "owner"), [(1.9, "p-1"), (2.5, None), (3.0, "p-2")])
async def test_wave_block_over_a_hand_over_is_nobodys(first, owner):
    hub, (doctor,) = hub_with(DOCTOR)
    source = decode_status(WireAgent().birth().payload).sources
    hub.take(AgentBorn(agent="hut-1", sources=tuple(source), heard_at=at(5)))
    hub.place_ward(MOVED, latest=[])
    await frames(doctor)
    hub.take(WaveHeard(agent="hut-1", src=SOURCE, block=block_at(first), late=False, heard_at=at(5)))

    shown = [json.loads(frame[4 : 4 + frame[0]])["patient"] for frame in doctor._frames]
    assert shown == ([] if owner is None else [owner])


async def test_value_is_shown_before_it_is_stored_and_marked_when_it_is():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.take(heard(unstored(4, 72), s=7))
    (shown,) = [frame for frame in await frames(doctor) if frame["type"] == "values"]
    assert shown["values"][0]["stored_at"] is None

    hub.take(StoredUpTo(lane=LANE, s=6, at=at(5)))
    assert await frames(doctor) == []
    hub.take(StoredUpTo(lane=LANE, s=7, at=at(5)))
    (mark,) = await frames(doctor)
    assert (mark["type"], mark["patient"]) == ("stored", "p-1")
    assert mark["values"] == [
        {"src": SOURCE, "key": "heart_rate", "measured_at": to_ms(at(4)), "stored_at": to_ms(at(5))}
    ]


async def test_value_that_is_stored_while_it_is_held_back_is_shown_as_stored():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.hold([SOURCE])
    hub.take(heard(unstored(4, 72)))
    hub.take(StoredUpTo(lane=LANE, s=1, at=at(5)))
    hub.release([SOURCE])

    (shown,) = [frame for frame in await frames(doctor) if frame["type"] == "values"]
    assert shown["values"][0]["stored_at"] == to_ms(at(5))


async def test_value_that_the_database_knows_as_stored_loses_its_mark():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.take(heard(unstored(4, 72)))
    await frames(doctor)
    hub.place_ward(WARD, latest=[reading(4, 72)])

    (shown,) = [frame for frame in await frames(doctor) if frame["type"] == "values"]
    assert shown["values"][0]["stored_at"] == to_ms(at(4))


async def test_value_that_only_the_database_can_place_is_read_there_once_it_is_stored():
    hub, (doctor,) = hub_with(DOCTOR)
    hub.take(heard(replace(unstored(4, 72), clock_shift=None)))
    assert values_in(await frames(doctor)) == []
    assert not hub.has_to_read.is_set()

    hub.take(StoredUpTo(lane=LANE, s=1, at=at(5)))
    assert hub.has_to_read.is_set()


async def test_block_that_is_sent_again_is_shown_once():
    hub, (doctor,) = hub_with(DOCTOR)
    source = decode_status(WireAgent().birth().payload).sources
    hub.take(AgentBorn(agent="hut-1", sources=tuple(source), heard_at=at(5)))
    await frames(doctor)
    for _ in range(2):
        hub.take(WaveHeard(agent="hut-1", src=SOURCE, block=block_at(2), late=False, heard_at=at(5)))

    assert len(doctor._frames) == 1


@pytest.mark.parametrize(("agent", "believed"), [("hut-1", True), ("hut-2", False)])
def test_only_the_agent_of_a_source_is_believed(agent, believed):
    hub = Hub(judge=score_patient, clock=lambda: at(5), display_delay_ms=2000)
    claimed = replace(WARD.bindings[0], agent="hut-1")
    hub.load(replace(WARD, bindings=(claimed,)), sources=[], latest=[])
    lane = replace(LANE, agent=agent)
    events = [
        replace(heard(unstored(4, 72)), lane=lane),
        WaveHeard(agent=agent, src=SOURCE, block=block_at(2), late=False, heard_at=at(5)),
    ]
    assert [hub.believe(event) is not None for event in events] == [believed] * 2
    birth = AgentBorn(
        agent=agent, sources=tuple(decode_status(WireAgent().birth().payload).sources), heard_at=at(5)
    )
    assert bool(hub.believe(birth).sources) is believed


def unstored(second, value):
    return replace(reading(second, value), stored_at=None)


def block_at(second):
    return WaveBlock(
        stream=ECG,
        t0_us=to_ms(at(second)) * 1000,
        rate_hz=Fraction(130),
        first_sample=0,
        samples=np.zeros(130, np.int32),
    )


def wave_at(second, *, late=False):
    return WaveHeard(agent="hut-1", src=SOURCE, block=block_at(second), late=late, heard_at=at(second))


async def came_back(hub, *, subject=DOCTOR, sights=None):
    """Who heard nothing of the waves that this hub has: the patients of what is sent after the hello."""
    viewer = viewer_of(subject)
    hub.add_viewer(viewer, away_since=replace(hub._journal.mark, upto=0))
    if sights is not None:
        viewer.sights = sights
    await viewer.next_frame()
    return [json.loads(frame[4 : 4 + frame[0]])["patient"] for frame in viewer.missed]


def hub_with_waves(*seconds_of):
    hub, _ = hub_with()
    source = decode_status(WireAgent().birth().payload).sources
    hub.take(AgentBorn(agent="hut-1", sources=tuple(source), heard_at=at(5)))
    for second in seconds_of:
        hub.take(wave_at(second))
    return hub


async def test_missed_waves_are_shown_to_those_who_may_see_the_patient_when_they_are_sent():
    hub = hub_with_waves(1, 2)

    assert await came_back(hub) == ["p-1", "p-1"]
    assert await came_back(hub, subject=STRANGER) == []
    assert await came_back(hub, sights={"p-2": DUTY}) == []


async def test_missed_waves_belong_to_whom_the_sensor_is_bound_when_they_are_sent():
    hub = hub_with_waves(1, 4)
    hub.place_ward(MOVED, latest=[])
    assert await came_back(hub) == ["p-1", "p-2"]

    hub.hold([SOURCE])
    assert await came_back(hub) == []


async def test_late_wave_is_not_kept_for_those_who_were_away():
    hub = hub_with_waves(1)
    hub.take(wave_at(2, late=True))

    assert await came_back(hub) == ["p-1"]


async def test_new_frames_go_before_what_was_missed():
    hub = hub_with_waves(1, 2)
    viewer = viewer_of(DOCTOR)
    hub.add_viewer(viewer, away_since=replace(hub._journal.mark, upto=1))
    hub.tick(())

    received = [await viewer.next_frame() for _ in range(3)]
    assert [json.loads(frame)["type"] for frame in received[:2]] == ["hello", "tick"]
    assert isinstance(received[2], bytes)
