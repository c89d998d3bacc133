import pytest

from tests.vitals.warning.test_backtest import replay
from vitals.warning.outcome import judge_outcome

H = 3_600_000


def judge(*replays, lead_h=0, rule="spo2-low"):
    return judge_outcome(rule, replays, lead_ms=lead_h * H)


def stay(*alarms, outcome=None, hours=72):
    """One value an hour, low at those hours: an alarm from there until two hours later."""
    return replay(*(88 if hour in alarms else 95 for hour in range(hours)), outcome_from=outcome)


@pytest.mark.parametrize(
    ("alarm", "outcome", "in_alarm", "fresh"),
    [
        (10, 10, 1, 1), (10, 11, 1, 1), (11, 10, 0, 0), (10, 23, 1, 1), (10, 24, 0, 1), (10, 34, 0, 1),
        (10, 35, 0, 0),
    ],
)  # fmt: skip
def test_an_alarm_counts_by_how_long_it_was_before(alarm, outcome, in_alarm, fresh):
    judged = judge(stay(alarm, outcome=outcome))

    assert (judged.in_alarm_12h, judged.fresh_24h, judged.ppv_24h) == (in_alarm, fresh, fresh)
    assert judged.persons_with_outcome == 1


def test_the_outcome_comes_its_lead_after_the_mark():
    assert judge(stay(10, outcome=5), lead_h=6).in_alarm_12h == 1
    assert judge(stay(10, outcome=5), lead_h=4).in_alarm_12h == 0
    assert judge(stay(10, outcome=5), lead_h=30).fresh_24h == 0


def test_shares_are_of_the_persons_whom_it_befell():
    judged = judge(stay(10, outcome=12), stay(outcome=12), stay(1, 20, outcome=50), stay(5), stay())

    assert judged.persons_with_outcome == 3
    assert (judged.in_alarm_12h, judged.fresh_24h) == (0.3333, 0.3333)
    assert judged.ppv_24h == 0.25
    assert judged.alarms_per_patient_day_without_outcome == 0.1667


def test_without_anybody_there_is_no_share():
    judged = judge(stay(), rule="other")

    assert (judged.persons_with_outcome, judged.in_alarm_12h, judged.fresh_24h, judged.ppv_24h) == (
        0,
        None,
        None,
        None,
    )
    assert judged.alarms_per_patient_day_without_outcome == 0
    assert judge(stay(outcome=5)).alarms_per_patient_day_without_outcome is None
