import pytest

from tests.fixtures.warning_rules import make_rule_set
from vitals.warning.backtest import replay_person
from vitals.warning.comparison import compare_rule
from vitals.warning.sample import Sample
from vitals.warning.series_csv import Instant

H = 3_600_000


def replay(limit, person, *values):
    rules = make_rule_set(
        inputs={"spo2": {}}, raise_when=f"spo2 < {limit}", raise_for="0 s", clear_when=None, clear_for="0 s",
        priority="low",
    )  # fmt: skip
    instants = [
        Instant(at_ms=hour * H, samples=(Sample("spo2", "csv", hour * H, float(value)),), outcome=None)
        for hour, value in enumerate(values)
    ]
    return replay_person(rules, person, instants)


def told(changed):
    return [(one.person, one.from_ms // H, one.to_ms // H) for one in changed]


@pytest.mark.parametrize(
    ("before", "after", "kept", "gained", "lost"),
    [
        (90, 90, 2, [], []),
        (90, 93, 2, [("b", 1, 2)], []),
        (93, 90, 2, [], [("b", 1, 2)]),
        (90, 86, 1, [], [("a", 3, 4)]),
        (80, 70, 0, [], []),
    ],
)
def test_alarms_that_overlap_are_kept(before, after, kept, gained, lost):
    values = {"a": (95, 85, 95, 88, 95), "b": (95, 92, 95)}
    old, new = ([replay(limit, person, *row) for person, row in values.items()] for limit in (before, after))
    compared = compare_rule("spo2-low", old, new)
    assert (compared.kept, told(compared.gained), told(compared.lost)) == (kept, gained, lost)


def test_a_person_of_one_side_counts_with_nothing_on_the_other():
    assert told(compare_rule("spo2-low", [], [replay(90, "a", 80, 95)]).gained) == [("a", 0, 1)]
    assert told(compare_rule("spo2-low", [replay(90, "a", 80, 95)], []).lost) == [("a", 0, 1)]


def test_records_of_one_person_in_several_files_are_all_compared():
    records = [replay(90, "a", 80, 95), replay(90, "a", 95, 95)]
    compared = compare_rule("spo2-low", records, records)
    assert (compared.kept, compared.gained, compared.lost) == (1, (), ())
