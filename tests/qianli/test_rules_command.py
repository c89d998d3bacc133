import gzip
import json

import pytest

from qianli.__main__ import main
from tests.fixtures.warning_rules import write_rule

SERIES = "pid,hour,O2Sat,Urine,Sepsis\na,0,95,1,0\na,1,88,1,0\na,2,95,1,1\na,3,95,1,1\nb,0,95,,0\n"
HOURLY = {"inputs": {"spo2": {}}, "raise_for": "0 s", "clear_for": "1 h", "priority": "low",
          "tests": [{"step": "1 h", "series": {"spo2": "95"}, "expect": []}]}  # fmt: skip


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_rules(*words):
        code = main(["rules", *words])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run_rules


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
        return name

    return write_file


def test_check_tells_each_rule(run, write):
    name = write("a.yaml", f"{write_rule()}\n---\n{write_rule(id='other')}\n")
    code, lines, errors = run("check", name)
    answers = [json.loads(line) for line in lines]

    assert (code, errors) == (0, [])
    assert [(answer["file"], answer["id"], answer["version"], answer["tests"]) for answer in answers] == [
        ("a.yaml", "spo2-low", 1, 1), ("a.yaml", "other", 1, 1),
    ]  # fmt: skip
    assert all(len(answer["digest"]) == 64 for answer in answers)


def test_check_tells_one_line_an_error_and_goes_on(run, write):
    good = write("good.yaml", "\ufeff" + write_rule(id="good") + "\r\n")
    files = [
        write("condition.yaml", write_rule(raise_when="spo2 <\n ?")),
        write(
            "test.yaml", "\n" + write_rule(tests=[{"step": "10 s", "series": {"spo2": "88x9"}, "expect": []}])
        ),
        write("latin.yaml", b"id: \xff"),
        "nowhere.yaml",
        write("odd.yaml", write_rule(**{"odd\nfield": 1})),
    ]
    code, lines, errors = run("check", *files, good)

    assert (code, len(lines), len(errors)) == (1, 1, 5)
    assert errors[0] == "condition.yaml:1: spo2-low: raise_when: cannot read '?' (at column 9 of `spo2 <  ?`)"
    assert errors[1].startswith(
        "test.yaml:2: spo2-low: its test fails: did not expect active (medium) at 30 s"
    )
    assert errors[2].startswith("cannot read latin.yaml: 'utf-8' codec can't decode byte 0xff")
    assert errors[3] == "cannot read nowhere.yaml: [Errno 2] No such file or directory: 'nowhere.yaml'"
    assert errors[4] == "odd.yaml:1: spo2-low: odd field: is no field here"


def test_check_refuses_one_id_twice(run, write):
    files = [write(name, write_rule()) for name in ("a.yaml", "b.yaml")]

    assert run("check", *files)[2] == ["b.yaml:1: spo2-low: a.yaml:1 has this id"]
    assert run("backtest", "--rules", *files, "--series", "x.csv")[2] == [
        "b.yaml:1: spo2-low: another rule has this id"
    ]


def backtest(run, write, *words, series=SERIES, name="s.csv"):
    rules = write("a.yaml", write_rule(**HOURLY))
    return run("backtest", "--rules", rules, "--series", write(name, series), *words)


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz"])
def test_backtest_counts_what_would_have_happened(run, write, name):
    content = gzip.compress(SERIES.encode()) if name.endswith("gz") else SERIES
    code, (line,), _ = backtest(run, write, "--json", series=content, name=name)
    answer = json.loads(line)

    assert code == 0
    assert (answer["persons"], answer["patient_days"]) == (2, 0.1667)
    assert answer["unread_columns"] == {name: ["Urine", "Sepsis"]}
    assert answer["rules"] == [
        {"rule": "spo2-low", "alarms": 1, "alarms_per_patient_day": 6.0, "share_of_time_in_alarm": 0.5,
         "hours_in_alarm": 2.0, "persons": 1},
    ]  # fmt: skip
    assert [(event["patient"], event["change"], event["level"]) for event in answer["events"]] == [
        ("a", "active", "low"), ("a", "clearing", "low"), ("a", "closed", "low"),
    ]  # fmt: skip


def test_backtest_judges_an_outcome(run, write):
    _, (line,), _ = backtest(run, write, "--json", "--outcome", "Sepsis", "--outcome-lead", "6")
    (rule,) = json.loads(line)["rules"]

    assert (rule["persons_with_outcome"], rule["in_alarm_12h"], rule["fresh_24h"]) == (1, 1.0, 1.0)


def test_backtest_prints_a_table_for_people(run, write):
    code, lines, _ = backtest(run, write)

    assert code == 0
    assert lines[0].startswith("2 persons, 0.1667 patient-days, rules ")
    assert lines[1].startswith("rule spo2-low  alarms 1  alarms_per_patient_day 6.0")


def test_series_without_time_have_no_rate(run, write):
    _, (line,), _ = backtest(run, write, "--json", series="pid,hour,spo2\n")

    assert json.loads(line)["rules"][0]["alarms_per_patient_day"] is None


@pytest.mark.parametrize(
    ("series", "name", "words", "error"),
    [
        (SERIES.replace("88", "low"), "s.csv", (), "s.csv: line 3, column 'O2Sat': 'low' is no number"),
        (b"pid,hour\n\xff,1\n", "s.csv", (), "cannot read s.csv: 'utf-8' codec can't decode byte 0xff"),
        (SERIES, "s.csv.gz", (), "cannot read s.csv.gz: Not a gzipped file"),
        (gzip.compress(SERIES.encode())[:40], "s.csv.gz", (), "cannot read s.csv.gz: Compressed file ended"),
        (gzip.compress(SERIES.encode())[:10] + b"\xff" * 40, "s.csv.gz", (),
         "cannot read s.csv.gz: Error -3"),
        (SERIES, "s.csv", ("--outcome", "Death"), "s.csv: line 1: has no column 'Death'"),
        (SERIES, "s.csv", ("--outcome-lead", "nan"), "--outcome-lead must be a number of hours"),
        (SERIES, "s.csv", ("--outcome-lead", "inf"), "--outcome-lead must be a number of hours"),
    ],
    ids=["cell", "bytes", "no gzip", "cut", "damaged", "outcome", "nan", "inf"],
)  # fmt: skip
def test_what_cannot_be_replayed_is_told_in_one_line(run, write, series, name, words, error):
    code, lines, errors = backtest(run, write, *words, series=series, name=name)

    assert (code, lines, len(errors)) == (1, [], 1)
    assert errors[0].startswith(error)


def test_backtest_tells_what_a_changed_rule_gains_and_loses(run, write):
    series = write("a.csv", SERIES)
    tests = [{"step": "1 h", "series": {"spo2": "100"}, "expect": []}]
    active = write("active.yaml", write_rule(**(HOURLY | {"tests": tests})))
    changed = write(
        "new.yaml",
        write_rule(**(HOURLY | {"tests": tests, "raise_when": "spo2 < 96", "clear_when": "spo2 >= 96"})),
    )
    words = ("backtest", "--rules", changed, "--against", active, "--series", series)
    code, lines, _ = run(*words, "--json")
    (against,) = json.loads(lines[0])["against"]
    assert (code, against["kept"], against["lost"]) == (0, 1, [])
    assert [alarm["person"] for alarm in against["gained"]] == ["b"]
    assert run(*words)[1][-1] == "rule spo2-low against: kept 1  gained 1  lost 0"


def test_what_is_known_of_a_person_holds_for_each_recording(run, write):
    adults = HOURLY | {
        "applies_when": "patient.age >= 16",
        "tests": [{"step": "1 h", "series": {"spo2": "95"}, "expect": []}],
    }
    rules = write("a.yaml", write_rule(**adults))
    series = write("a.csv", "pid,period,hour,O2Sat\nchild,1,0,80\nadult,1,0,80\n")
    persons = write("p.csv", "pid,age\nchild,5\nadult,50\n")
    _, lines, _ = run("backtest", "--rules", rules, "--series", series, "--persons", persons, "--json")
    assert {event["patient"] for event in json.loads(lines[0])["events"]} == {"adult/1"}
