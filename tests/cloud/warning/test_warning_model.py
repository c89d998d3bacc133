from dataclasses import replace

import pytest

from cloud.events import MissingReason, Reading, ScoreQuestion, Silence
from cloud.warning.model import score_patient
from tests.fixtures.wire_messages import seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import Quality, SourceId, VitalKey

NOW = utc_now()
SRC = SourceId("s-1")


def reading(key, value, *, age_s=1.0, **fields):
    at = NOW - seconds(age_s)
    made = Reading(
        src=SRC,
        key=VitalKey(key),
        value=value,
        unit="",
        measured_at=at,
        received_at=at,
        arrived_at=at,
        stored_at=at,
        quality=Quality.GOOD,
        flags=(),
        late=False,
    )
    return replace(made, **fields)


def score(*readings, spot=(), **fields):
    continuous = frozenset((SRC, entry.key) for entry in readings if entry.key not in spot)
    question = ScoreQuestion(readings=readings, continuous=continuous, silences=(), spo2_scale=1, now=NOW)
    return score_patient(replace(question, **fields))


def part(result, name):
    return next(entry for entry in result.parts if entry.input == name)


def test_nothing_known_is_bounded_and_has_no_total():
    result = score()

    assert (result.total, result.risk) == (None, None)
    assert (result.total_min, result.total_max) == (0, 20)
    assert {entry.reason for entry in result.parts} == {MissingReason.NEVER}


def test_measured_inputs_narrow_the_bounds():
    result = score(reading("heart_rate", 135), reading("spo2", 90))

    assert (part(result, "pulse").points, part(result, "spo2").points) == (3, 3)
    assert (result.total_min, result.risk_min) == (6, "medium")
    assert {"rr", "oxygen", "sbp", "acvpu", "temp"} == set(result.missing)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reading("heart_rate", 80, age_s=61), MissingReason.EXPIRED),
        (reading("heart_rate", None), MissingReason.INVALID),
        (reading("heart_rate", 80, quality=Quality.INVALID), MissingReason.INVALID),
        (reading("heart_rate", 900), MissingReason.INVALID),
    ],
    ids=["expired", "null", "invalid", "impossible"],
)
def test_input_that_cannot_be_used_is_missing_with_its_reason(given, reason):
    pulse = part(score(given), "pulse")

    assert (pulse.points, pulse.value, pulse.reason) == (None, None, reason)
    assert pulse.measured_at == given.measured_at


def test_expired_value_of_a_silent_source_says_so():
    silence = Silence(src=SRC, keys=(), cause=GapCause.CABLE, since_at=NOW - seconds(70))
    result = score(reading("heart_rate", 80, age_s=70), silences=(silence,))

    assert part(result, "pulse").reason is MissingReason.SILENT


@pytest.mark.parametrize(("age_s", "points"), [(4 * 3600 - 1, 0), (4 * 3600 + 1, None)], ids=["fresh", "old"])
def test_spot_value_counts_for_four_hours(age_s, points):
    result = score(reading("nibp_sys", 120, age_s=age_s), spot=("nibp_sys",))

    assert part(result, "sbp").points == points


def test_next_best_source_takes_over_when_the_best_has_no_value():
    pulse = part(score(reading("heart_rate", None), reading("pulse_rate_spo2", 45)), "pulse")

    assert (pulse.value, pulse.points, pulse.reason) == (45, 1, None)


def test_newest_of_two_sensors_counts():
    older = reading("spo2", 90, age_s=5)
    newer = reading("spo2", 97, age_s=1, src=SourceId("s-2"))

    assert part(score(older, newer), "spo2").value == 97


def test_scale_of_the_patient_is_used():
    on_scale_2 = part(score(reading("spo2", 90), spo2_scale=2), "spo2")

    assert on_scale_2.points is None
    assert part(score(reading("spo2", 90), spo2_scale=1), "spo2").points == 3
