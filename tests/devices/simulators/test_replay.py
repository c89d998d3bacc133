import numpy as np
import pytest

from devices.simulators.recording import (
    EcgRecord,
    PlethRecord,
    Source,
    StayRecord,
    StayRow,
    load_ecg,
    load_pleth,
)
from devices.simulators.replay import EcgReplay, PlethReplay, StayReplay

SOURCE = Source(record="made", source="made for this test", changes="none", licence="Apache-2.0", citation="")


def make_ecg(*beat_s: float, seconds: int = 10, rate_hz: int = 10) -> EcgReplay:
    return EcgReplay(
        EcgRecord(
            source=SOURCE,
            lead="II",
            rate_hz=rate_hz,
            samples_uv=np.arange(seconds * rate_hz, dtype=np.int32),
            beat_s=np.array(beat_s),
            beat_symbols="N" * len(beat_s),
            rhythms=(),
        )
    )


def make_pleth(*pulse_s: float) -> PlethReplay:
    samples = np.arange(600, dtype=np.int32) % 128
    return PlethReplay(PlethRecord(source=SOURCE, rate_hz=60, samples=samples, pulse_s=np.array(pulse_s)))


def test_samples_begin_again_after_a_round() -> None:
    assert make_ecg(1.0).samples_uv(98, 102).tolist() == [98, 99, 0, 1]


def test_samples_of_later_rounds_are_the_same() -> None:
    replay = make_ecg(1.0)
    assert replay.samples_uv(1005, 1008).tolist() == replay.samples_uv(5, 8).tolist()


def test_beats_are_taken_from_the_start_and_before_the_end_of_a_window() -> None:
    beats = make_ecg(1.0, 2.0, 3.0).beats_between(1.0, 3.0)
    assert [beat.at_s for beat in beats] == [1.0, 2.0]


def test_neighbouring_windows_give_every_beat_once() -> None:
    replay = make_ecg(0.0, 1.0, 2.5, 9.9)
    windows = [replay.beats_between(at_s / 4, (at_s + 1) / 4) for at_s in range(80)]
    assert [beat.at_s for window in windows for beat in window] == [0, 1, 2.5, 9.9, 10, 11, 12.5, 19.9]


def test_no_interval_is_given_across_the_seam() -> None:
    beats = make_ecg(1.0, 9.5).beats_between(9.0, 20.0)
    assert [(beat.at_s, beat.rr_s) for beat in beats] == [(9.5, 8.5), (11.0, None), (19.5, 8.5)]


def test_heart_rate_is_the_mean_of_the_last_five_intervals() -> None:
    replay = make_ecg(0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    assert replay.heart_rate_at(8.0) == pytest.approx(60.0)
    assert replay.heart_rate_at(7.0) == pytest.approx(60 * 5 / 7)


def test_heart_rate_is_unknown_before_the_second_beat() -> None:
    replay = make_ecg(1.0, 2.0)
    assert replay.heart_rate_at(1.99) is None
    assert replay.heart_rate_at(2.0) == pytest.approx(60.0)


def test_heart_rate_after_the_seam_uses_intervals_of_both_rounds() -> None:
    replay = make_ecg(1.0, 2.0, 3.0)
    assert replay.heart_rate_at(11.5) == pytest.approx(60.0)


@pytest.mark.parametrize("number", ["101", "109", "119", "203"])
def test_heart_rate_of_the_recordings_follows_their_annotations(number: str) -> None:
    record = load_ecg(f"mitdb/{number}")
    expected = 60 / np.diff(record.beat_s[record.beat_s <= 300.0])[-5:].mean()
    assert EcgReplay(record).heart_rate_at(300.0) == pytest.approx(expected)


def test_pulse_rate_leaves_out_the_interval_of_a_lost_pulse() -> None:
    replay = make_pleth(0.0, 0.5, 1.0, 2.0, 2.5)
    assert replay.pulse_rate_at(2.5) == pytest.approx(120.0)


def test_pulse_rate_is_unknown_three_seconds_after_the_last_pulse() -> None:
    replay = make_pleth(0.0, 0.5, 1.0)
    assert replay.pulse_rate_at(4.0) == pytest.approx(120.0)
    assert replay.pulse_rate_at(4.1) is None


def test_pulse_rate_is_unknown_before_any_pulse() -> None:
    assert make_pleth(2.0, 2.5).pulse_rate_at(1.0) is None


def test_pleth_repeats_with_its_pulses() -> None:
    replay = PlethReplay(load_pleth("challenge2015/a103l"))
    first = [pulse.at_s for pulse in replay.pulses_between(0.0, 10.0)]
    again = [pulse.at_s for pulse in replay.pulses_between(replay.round_s, replay.round_s + 10)]
    assert again == pytest.approx([replay.round_s + at_s for at_s in first])
    stop = round(replay.round_s * replay.rate_hz)
    assert replay.samples(stop, stop + 60).tolist() == replay.samples(0, 60).tolist()


def test_a_charted_hour_lasts_a_minute_and_the_stay_repeats() -> None:
    rows = tuple(
        StayRow(heart_rate_bpm=hr, spo2_pct=97, systolic_mmhg=120, mean_mmhg=90, diastolic_mmhg=75)
        for hr in (60, 70)
    )
    replay = StayReplay(StayRecord(source=SOURCE, rows=rows))
    assert [replay.row_at(at_s).heart_rate_bpm for at_s in (0, 59.9, 60, 119.9, 120)] == [60, 60, 70, 70, 60]
