from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest

from cloud.events import Silence, WaveHeard
from cloud.live.model import Binding, Mark, Patient, Source, Ward, WardState, WaveJournal
from tests.cloud.live.readings import START, at, reading
from tests.fixtures.wire_messages import ECG, HEART_RATE, SOURCE
from vitals.gap import GapCause
from vitals.wave import WaveBlock

PATIENT = Patient(
    patient_id="p-1",
    organisation_id="o-1",
    bed="1",
    name_zh="张三",
    name_en="Zhang San",
    composite_zh="",
    composite_en="",
    spo2_scale=1,
)
OTHER = replace(PATIENT, patient_id="p-2", bed="2")
BOUND = Binding(src=SOURCE, patient_id="p-1", begins_at=START, ends_at=None)
DECLARED = Source(
    src=SOURCE,
    agent="hut-1",
    driver="polar_h10",
    title_zh="",
    title_en="",
    simulated=True,
    cadence={HEART_RATE: 1.0},
    waves=[],
)


def ward_state():
    state = WardState()
    state.place_ward(Ward(patients=(PATIENT, OTHER), bindings=(BOUND,)))
    return state


def shown(state, patient_id="p-1"):
    return [entry.value for entry in state.readings_of(patient_id)]


def test_clock_that_ran_ahead_does_not_keep_its_value_on_the_screen():
    state = ward_state()
    state.take([replace(reading(5, 75), measured_at=at(200))])

    assert state.take([reading(6, 76)]) == {"p-1": [reading(6, 76)]}


def test_latest_is_the_latest_measured_not_the_latest_arrived():
    state = ward_state()
    assert state.take([reading(5, 75)]) == {"p-1": [reading(5, 75)]}
    assert state.take([reading(4, 74)]) == {}

    assert shown(state) == [75]


def test_late_value_is_shown_only_when_it_is_newer():
    state = ward_state()
    state.take([reading(5, 75), reading(3, 73, late=True)])
    assert shown(state) == [75]

    state.take([reading(6, 76, late=True)])
    assert [entry.late for entry in state.readings_of("p-1")] == [True]


def test_value_from_before_the_binding_belongs_to_nobody():
    state = ward_state()

    assert state.take([reading(-1, 70)]) == {}
    assert shown(state) == []


def test_moved_sensor_takes_no_value_along():
    state = ward_state()
    state.take([reading(5, 75)])
    moved = (replace(BOUND, ends_at=at(10)), replace(BOUND, patient_id="p-2", begins_at=at(10)))
    state.place_ward(Ward(patients=(PATIENT, OTHER), bindings=moved))

    assert (shown(state), shown(state, "p-2")) == ([], [])
    assert state.take([reading(9, 79)]) == {}
    state.take([reading(10, 80)])
    assert shown(state, "p-2") == [80]


def test_declaration_of_another_agent_changes_nothing():
    state = ward_state()
    assert state.declare([DECLARED])
    assert not state.declare([replace(DECLARED, agent="hut-2", driver="other")])

    assert state.sources[SOURCE].driver == "polar_h10"


def test_only_patients_whose_silence_changed_are_named():
    state = ward_state()
    silence = Silence(src=SOURCE, keys=(), cause=GapCause.CABLE, since_at=START)

    assert state.take_silences({SOURCE: (silence,)}) == ["p-1"]
    assert state.take_silences({SOURCE: (silence,)}) == []
    assert state.take_silences({}) == ["p-1"]


def test_score_is_asked_with_what_is_continuous():
    state = ward_state()
    state.declare([replace(DECLARED, cadence={HEART_RATE: 1.0, "nibp_sys": 900.0})])
    question = state.question_for(PATIENT, now=START)

    assert question.continuous == {(SOURCE, HEART_RATE)}


def test_sensor_that_was_taken_away_is_told_as_unbound_until_it_comes_back():
    state = ward_state()
    ended = replace(BOUND, ends_at=at(10))
    state.place_ward(Ward(patients=(PATIENT, OTHER), bindings=(ended,)))
    assert state.silences_of("p-1") == (
        Silence(src=SOURCE, keys=(), cause=GapCause.UNBOUND, since_at=at(10)),
    )

    again = replace(BOUND, begins_at=at(20))
    state.place_ward(Ward(patients=(PATIENT, OTHER), bindings=(ended, again)))
    assert state.silences_of("p-1") == ()


def test_binding_with_an_end_to_come_holds_until_the_database_says_that_it_is_over():
    state = ward_state()
    bound = replace(BOUND, ends_at=at(600), is_current=True)
    state.place_ward(Ward(patients=(PATIENT,), bindings=(bound,)))
    assert state.take([reading(5, 75)]) != {}

    state.place_ward(Ward(patients=(PATIENT,), bindings=(replace(bound, is_current=False),)))
    assert (shown(state), state.silences_of("p-1")[0].cause) == ([], GapCause.UNBOUND)


def test_reading_that_a_device_was_scanned_for_stays_after_the_binding_has_ended():
    state = ward_state()
    state.take([reading(5, 75)])
    once = replace(BOUND, ends_at=at(6), is_once=True, is_current=False)
    state.place_ward(Ward(patients=(PATIENT,), bindings=(once,)))

    assert (shown(state), state.silences_of("p-1")) == ([75], ())


def test_reading_that_was_corrected_away_leaves_the_person():
    state = ward_state()
    state.take([reading(5, 75)])
    state.place_ward(Ward(patients=(PATIENT,), bindings=(replace(BOUND, begins_at=at(6)),)))

    assert shown(state) == []


@pytest.mark.parametrize(("shift_s", "owner"), [(0, ["p-1"]), (-2, []), (None, [])])
def test_value_whose_clock_is_in_doubt_across_a_hand_over_is_nobodys(shift_s, owner):
    state = ward_state()
    state.place_ward(Ward(patients=(PATIENT,), bindings=(replace(BOUND, begins_at=at(4)),)))
    shift = None if shift_s is None else timedelta(seconds=shift_s)

    assert list(state.take([replace(reading(5, 75), clock_shift=shift)])) == owner


def wave(second, *, samples=100):
    block = WaveBlock(
        stream=ECG,
        t0_us=second * 10**6,
        rate_hz=Fraction(100),
        first_sample=0,
        samples=np.zeros(samples, np.int32),
    )
    return WaveHeard(agent="hut-1", src=SOURCE, block=block, late=False, heard_at=at(second))


def seconds_after(journal, number, *, name="here"):
    return [heard.block.t0_us // 10**6 for heard in journal.after(Mark(journal=name, upto=number))]


def test_journal_gives_what_came_after_a_mark_of_its_own():
    journal = WaveJournal("here")
    for second in (1, 2, 3):
        journal.add(wave(second))

    assert journal.mark == Mark(journal="here", upto=3)
    assert [seconds_after(journal, number) for number in (0, 2, 3, 9)] == [[1, 2, 3], [3], [], []]
    assert seconds_after(journal, 0, name="another") == []


@pytest.mark.parametrize("bounds", [{"lasts_s": 5}, {"most_samples": 600}], ids=["seconds", "samples"])
def test_journal_lets_go_of_what_is_too_old_or_too_much(bounds):
    journal = WaveJournal("here", **bounds)
    for second in range(20):
        journal.add(wave(second))

    assert seconds_after(journal, 0) == [14, 15, 16, 17, 18, 19]
    assert seconds_after(journal, 17) == [17, 18, 19]
