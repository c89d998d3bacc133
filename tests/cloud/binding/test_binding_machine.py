"""Random histories of bindings against a model that knows the holder of every second."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cloud.binding.model import BindingRefused, EndReason, Span
from tests.cloud.binding.conftest import CLIP, CUFF, DOCTOR, at, owned
from vitals.observation import VitalKey

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(300)]

sources = st.sampled_from([CUFF, CLIP])
people = st.sampled_from(["p-1", "p-2", "p-3"])
KEY = VitalKey("nibp_sys")


class History(RuleBasedStateMachine):
    """`holders` knows whose each second of each source was; `truth` whose each reading is."""

    bindings = database = clock = spool = None

    def __init__(self):
        super().__init__()
        for table in ("binding_correction", "binding", "observation", "lane_progress"):
            self.database.execute(f"DELETE FROM {table}".encode())  # noqa: S608
        self.second = 0
        self.current = {}
        self.holders = {}
        self.readings = []
        self.clock.set(0)

    @rule(seconds=st.integers(1, 4), source=sources)
    def time_passes(self, seconds, source):
        for _ in range(seconds):
            for src in (CUFF, CLIP):
                self.holders[src, self.second] = self.current.get(src)
            if self.second % 3 == 0:
                self.readings.append((source, self.second))
            self.second += 1
        self.clock.set(self.second)

    @rule(source=sources, patient=people)
    def begin(self, source, patient):
        self.time_passes(1, source)
        self.bindings.begin_scanned(DOCTOR, source, patient_id=patient)
        self.current[source] = patient

    @rule(source=sources)
    def end(self, source):
        self.time_passes(1, source)
        holder = self.current.pop(source, None)
        if holder is not None:
            (current,) = [one for one in self.bindings.read(DOCTOR, holder).bindings if is_open(one, source)]
            self.bindings.end(DOCTOR, current.binding_id, reason=EndReason.RETURNED)

    @rule(patient=people)
    def discharge(self, patient):
        self.time_passes(1, CUFF)
        self.bindings.discharge(DOCTOR, patient)
        self.current = {src: holder for src, holder in self.current.items() if holder != patient}

    @rule(source=sources, patient=people, first=st.integers(0, 30), length=st.integers(0, 5))
    def claim(self, source, patient, first, length):
        if first + length >= self.second:
            return
        self.deliver()
        span = Span(src=source, begins_at=at(first), ends_at=at(first + length))
        seconds = range(first, first + length + 1)
        foreign = {self.holders[source, second] for second in seconds if (source, second) in self.readings}
        if foreign - {None, patient}:
            with pytest.raises(BindingRefused):
                self.bindings.claim(DOCTOR, span, patient_id=patient, reason="seen")
        elif {self.holders[source, second] for second in seconds} <= {None, patient}:
            self.bindings.claim(DOCTOR, span, patient_id=patient, reason="seen")
            self.give(source, first, length, patient, only_of=None)

    @rule(source=sources, pair=st.permutations(["p-1", "p-2", "p-3"]), first=st.integers(0, 30))
    def correct(self, source, pair, first):
        if first + 2 >= self.second or self.holders[source, first] != pair[0]:
            return
        span = Span(src=source, begins_at=at(first), ends_at=at(first + 2))
        self.bindings.correct(DOCTOR, span, from_patient=pair[0], to_patient=pair[1], reason="mixed up")
        self.give(source, first, 2, pair[1], only_of=pair[0])

    def give(self, source, first, length, patient, *, only_of):
        for second in range(first, first + length + 1):
            if self.holders[source, second] == only_of:
                self.holders[source, second] = patient

    @rule()
    def deliver(self):
        stored = self.database.execute("SELECT count(*) FROM observation").fetchone()[0]
        messages = []
        for source, second in self.readings[stored:]:
            messages += self.spool.messages(second, second=second, src=source, keys=[KEY])
        if messages:
            self.spool.write(messages[::-1])

    @invariant()
    def every_reading_is_its_holders(self):
        stored = self.database.execute("SELECT count(*) FROM observation").fetchone()[0]
        for patient in ("p-1", "p-2", "p-3"):
            truth = [
                second for source, second in self.readings[:stored] if self.holders[source, second] == patient
            ]
            assert sorted(owned(self.database, patient)) == sorted(truth)


def is_open(binding, source):
    return binding.src == source and binding.ends_at is None


def test_every_history_gives_each_reading_to_whoever_held_the_source(bindings, hut, clock, spool):
    parts = {"bindings": bindings, "database": hut, "clock": clock, "spool": spool}
    machine = type("Bound", (History,), parts)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=checks
        ),
    )
