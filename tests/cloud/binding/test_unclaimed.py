from datetime import timedelta

import pytest

from cloud.binding.model import BindingRefused, BindingUnknown, Span, UnclaimedCause
from cloud.ingest.model import clock_shift
from tests.cloud.binding.conftest import (
    ADMINISTRATOR,
    CLIP,
    CUFF,
    DOCTOR,
    START,
    STRANGER,
    at,
    owned,
)
from tests.fixtures.wire_messages import seconds
from vitals.observation import Flag, VitalKey
from vitals.wire.batch import ClockState

real = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
SPO2 = VitalKey("spo2")


@pytest.fixture
def tray(bindings, clock):
    """What lies in the tray an hour after the start."""

    def look(subject=DOCTOR, second=3600):
        clock.set(second)
        return bindings.find_unclaimed(subject, hours=24)

    return look


def span(first, last=None, src=CUFF):
    return Span(src=src, begins_at=at(first), ends_at=at(first if last is None else last))


class TestTray:
    pytestmark = real

    def test_cuff_reading_between_two_people_is_one_entry(self, bindings, clock, spool, tray, recorder):
        made = bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
        clock.set(10)
        bindings.end(DOCTOR, made.binding_id, reason="returned")
        clock.set(30)
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-2")
        for second in (5, 20, 35):
            spool.read(100 + second, second=second)

        (entry,) = tray()
        assert (entry.src, entry.from_at, entry.to_at, entry.cause, entry.count) == (
            CUFF,
            at(20),
            at(20),
            UnclaimedCause.UNBOUND,
            4,
        )
        assert {value.value for value in entry.values} == {120}
        assert recorder.words()[-1] == ("read_unclaimed", "own")

    def test_run_of_a_continuous_device_is_one_entry(self, spool, tray):
        for second in (*range(0, 200, 10), 900):
            spool.read(97, second=second, src=CLIP, keys=[SPO2])

        assert [(entry.from_at, entry.to_at, entry.count) for entry in tray()] == [
            (at(900), at(900), 1),
            (at(0), at(190), 20),
        ]

    def test_part_of_a_run_is_claimed_and_belongs_to_nobody_else(self, bindings, hut, spool, tray):
        for second in range(0, 60, 10):
            spool.read(97, second=second, src=CLIP, keys=[SPO2])
        tray()
        bindings.claim(DOCTOR, span(10, 30, src=CLIP), patient_id="p-1", reason="I saw it")

        assert [(entry.from_at, entry.to_at, entry.count) for entry in tray()] == [(at(0), at(50), 3)]
        with pytest.raises(BindingRefused):
            bindings.claim(DOCTOR, span(30, 50, src=CLIP), patient_id="p-2", reason="mine")
        bindings.dismiss(DOCTOR, span(40, 50, src=CLIP), reason="a test")
        assert [(entry.from_at, entry.count) for entry in tray()] == [(at(0), 1)]

    def test_run_in_doubt_is_the_persons_once_somebody_vouches_for_it(self, bindings, hut, spool, tray):
        bindings.begin_scanned(DOCTOR, CLIP, patient_id="p-1")
        for second in range(5, 35, 10):
            late = {"sent_at": at(second), "arrived_at": at(second + 5000)}
            spool.read(97, second=second, src=CLIP, keys=[SPO2], **late)
        record = bindings.read(DOCTOR, "p-1")
        assert tray() == []
        bindings.end(DOCTOR, record.bindings[0].binding_id, reason="returned")
        (entry,) = tray()
        assert (entry.cause, entry.count) == (UnclaimedCause.CLOCK, 3)

        bindings.claim(DOCTOR, span(5, 15, src=CLIP), patient_id="p-1", reason="was his")
        (entry,) = tray()
        assert (entry.cause, entry.from_at, entry.count) == (UnclaimedCause.CLOCK, at(25), 1)

    def test_tray_is_of_the_own_organisation_and_not_for_administrators(self, spool, tray):
        spool.read(120, second=5)

        assert len(tray()) == 1
        assert (tray(STRANGER), tray(ADMINISTRATOR)) == ([], [])

    def test_claimed_reading_becomes_the_persons(self, bindings, hut, spool, tray, recorder):
        spool.read(120, second=5)
        tray()
        record = bindings.claim(DOCTOR, span(5), patient_id="p-1", reason="I saw it")

        assert (owned(hut, "p-1"), tray()) == ([120], [])
        (binding,) = record.bindings
        assert (binding.origin, binding.begins_at) == ("retro", at(5))
        assert record.corrections[0].reason == "I saw it"
        assert ("claim_measurement", f"{CUFF}:p-1") in recorder.words()

    def test_what_somebody_owns_cannot_be_claimed(self, bindings, hut, spool, tray):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
        spool.read(120, second=5)
        tray()
        with pytest.raises(BindingRefused):
            bindings.claim(DOCTOR, span(0, 10), patient_id="p-2", reason="mine")
        assert owned(hut, "p-1") == [120]

    def test_future_and_foreign_things_cannot_be_claimed(self, bindings, tray):
        with pytest.raises(BindingRefused):
            bindings.claim(DOCTOR, span(5, 10), patient_id="p-1", reason="not over")
        tray()
        for source, patient in (("foreign", "p-1"), (CUFF, "p-x")):
            with pytest.raises(BindingUnknown):
                bindings.claim(DOCTOR, span(5, src=source), patient_id=patient, reason="no")

    def test_dismissed_reading_is_kept_and_not_shown(self, bindings, hut, spool, tray, recorder):
        spool.read(120, second=5)
        spool.read(130, second=6)
        tray()
        bindings.dismiss(DOCTOR, span(5), reason="a test of the cuff")

        assert [entry.from_at for entry in tray()] == [at(6)]
        assert hut.execute("SELECT count(*) FROM observation").fetchone() == (8,)
        assert ("dismiss_measurement", CUFF) in recorder.words()

    def test_reading_of_a_cuff_without_a_clock_lands_on_nobody_until_it_is_claimed(
        self, bindings, hut, spool, tray
    ):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
        spool.read(120, second=50, flags=(Flag.CLOCK_NOT_SET,))
        assert owned(hut, "p-1") == []
        (entry,) = tray()
        assert entry.cause is UnclaimedCause.CLOCK

        bindings.claim(DOCTOR, span(50), patient_id="p-2", reason="was hers")
        assert (owned(hut, "p-1"), owned(hut, "p-2"), tray()) == ([], [120], [])
        spool.read(130, second=60, flags=(Flag.CLOCK_NOT_SET,))
        bindings.claim(DOCTOR, span(60), patient_id="p-1", reason="was his")
        assert owned(hut, "p-1") == [130]

    @pytest.mark.parametrize(("agreed", "owners"), [(False, []), (True, [110])], ids=["never", "before"])
    def test_memory_of_a_device_is_believed_only_after_its_clock_was_right(
        self, bindings, hut, clock, spool, agreed, owners
    ):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
        clock.set(100)
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-2")
        if agreed:
            spool.read(120, second=150, device_time=at(150).replace(tzinfo=None))
        stored = {"received_at": at(200), "sent_at": at(200), "flags": (Flag.STORED,)}
        spool.read(110, second=50, device_time=at(50).replace(tzinfo=None), **stored)

        assert owned(hut, "p-1") == owners

    @pytest.mark.parametrize("skew", [-30, 30], ids=["ahead", "behind"])
    def test_agent_with_a_wrong_clock_misfiles_nothing_across_a_hand_over(
        self, bindings, hut, clock, spool, tray, skew
    ):
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-1")
        clock.set(100)
        bindings.begin_scanned(DOCTOR, CUFF, patient_id="p-2")
        for true, value in ((80, 120), (110, 140), (200, 141)):
            spool.read(value, second=true - skew, sent_at=at(true - skew), arrived_at=at(true))

        assert set(owned(hut, "p-1")) <= {120}
        assert set(owned(hut, "p-2")) <= {140, 141}
        assert {entry.cause for entry in tray()} == {UnclaimedCause.CLOCK}
        assert 141 in owned(hut, "p-2")


@pytest.mark.parametrize(
    ("sent", "measured", "received", "synchronised", "shift"),
    [
        (10, 9, 10.4, False, 0),
        (10, 9, 70, True, 0),
        (10, 9, 70, False, 60),
        (100, 99, 70, True, -30),
        (70, 100, 70, True, -30),
    ],
    ids=["agrees", "waited", "behind", "ahead", "measured ahead"],
)
def test_clock_gives_itself_away_by_when_a_message_arrives(sent, measured, received, synchronised, shift):
    found = clock_shift(
        START + seconds(sent),
        measured_at=START + seconds(measured),
        received_at=START + seconds(received),
        clock=ClockState(src="ntp" if synchronised else "none"),
    )
    assert found == timedelta(seconds=shift)
