"""How far alarms came before what happened to people, by hindsight.

The definitions are those under which the baselines of the PhysioNet/CinC 2019 data were counted (Reyna et al.
2020, Crit Care Med 48:210; its label turns 1 six hours before the onset).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vitals.warning.backtest import PersonReplay

_MS_PER_H = 3_600_000
_MS_PER_DAY = 86_400_000
_IN_ALARM_MS = 12 * _MS_PER_H
_FRESH_MS = 24 * _MS_PER_H


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeJudged:
    """One rule against the outcome.

    `in_alarm_12h` is the share of persons with the outcome whose alarm was open in the 12 h up to it,
    `fresh_24h` that of persons with an alarm that spoke in the 24 h up to it, `ppv_24h` the share of alarms
    that the outcome followed within 24 h. Burden counts persons without the outcome only.
    """

    persons_with_outcome: int
    in_alarm_12h: float | None
    fresh_24h: float | None
    ppv_24h: float | None
    alarms_per_patient_day_without_outcome: float | None
    share_of_time_without_outcome: float | None
    share_of_persons_without_outcome: float | None


def judge_outcome(rule: str, replays: Sequence[PersonReplay], *, lead_ms: int) -> OutcomeJudged:
    """Judge one rule; the outcome comes `lead_ms` after the column marks it."""
    with_outcome = [
        (replay, replay.outcome_ms + lead_ms) for replay in replays if replay.outcome_ms is not None
    ]
    without = [replay for replay in replays if replay.outcome_ms is None]
    in_alarm = [_was_in_alarm(replay, rule, onset_ms) for replay, onset_ms in with_outcome]
    fresh = [
        any(onset_ms - _FRESH_MS <= at_ms <= onset_ms for at_ms in replay.disturbances(rule))
        for replay, onset_ms in with_outcome
    ]
    alarms = sum(len(replay.disturbances(rule)) for replay in replays)
    followed = sum(
        onset_ms - _FRESH_MS <= at_ms <= onset_ms
        for replay, onset_ms in with_outcome
        for at_ms in replay.disturbances(rule)
    )
    days = sum(replay.days for replay in without)
    quiet = sum(len(replay.disturbances(rule)) for replay in without)
    return OutcomeJudged(
        persons_with_outcome=len(with_outcome),
        in_alarm_12h=_share(sum(in_alarm), len(in_alarm)),
        fresh_24h=_share(sum(fresh), len(fresh)),
        ppv_24h=_share(followed, alarms),
        alarms_per_patient_day_without_outcome=_share(quiet, days),
        share_of_time_without_outcome=_share(_days_in_alarm(without, rule), days),
        share_of_persons_without_outcome=_share(
            sum(bool(replay.disturbances(rule)) for replay in without), len(without)
        ),
    )


def _was_in_alarm(replay: PersonReplay, rule: str, onset_ms: int) -> bool:
    return any(
        span.from_ms <= onset_ms and span.to_ms > onset_ms - _IN_ALARM_MS for span in replay.spans(rule)
    )


def _days_in_alarm(replays: Sequence[PersonReplay], rule: str) -> float:
    return sum(span.to_ms - span.from_ms for replay in replays for span in replay.spans(rule)) / _MS_PER_DAY


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
