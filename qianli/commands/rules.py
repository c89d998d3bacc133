"""`qianli rules`: check rule files, and replay stored series through them.

`docs/early-warning.md` describes the form of rules, the columns of series and the answer.
"""

import argparse
import gzip
import io
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from qianli.errors import CommandInvalid
from vitals.warning.backtest import Burden, PersonReplay, count_burden, replay_person
from vitals.warning.comparison import Comparison, compare_rule
from vitals.warning.errors import RuleInvalid
from vitals.warning.event import Event
from vitals.warning.outcome import judge_outcome
from vitals.warning.rule import Rule
from vitals.warning.rule_check import check_rule
from vitals.warning.rule_file import read_rules
from vitals.warning.rule_pack import shipped_rules
from vitals.warning.rule_set import RuleSet, compile_rules
from vitals.warning.sample import Sample
from vitals.warning.series_csv import SeriesInvalid, SeriesTable, read_persons, read_table

HELP = "Check early-warning rules (`check FILE…`) and replay stored series through them (`backtest`)."


_Answer = dict[str, Any]
_Table = TypeVar("_Table")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="read rule files and run their own tests")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    actions.add_parser("list", help="the shipped rules, as the table of docs/early-warning.md")
    backtest = actions.add_parser("backtest", help="replay series through rules: what would have happened")
    backtest.add_argument("--rules", nargs="+", required=True, type=Path, metavar="FILE")
    backtest.add_argument("--series", nargs="+", required=True, type=Path, metavar="CSV")
    backtest.add_argument(
        "--json", action="store_true", help="everything, with every event, as one JSON object"
    )
    backtest.add_argument(
        "--against", nargs="+", type=Path, metavar="FILE", help="the rules that are active: what would change"
    )
    backtest.add_argument("--persons", type=Path, metavar="CSV", help="age, spo2_scale … of each person")
    backtest.add_argument("--outcome", metavar="COLUMN", help="a column that is 1 from the outcome on")
    backtest.add_argument(
        "--outcome-lead", type=float, default=0.0, metavar="HOURS",
        help="so long before the outcome the column turns 1 (sepsis2019: 6)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check or replay; 1 if a rule or a series is wrong."""
    if arguments.action == "list":
        print(build_table(shipped_rules()))
        return 0
    return _check(arguments.files) if arguments.action == "check" else _backtest(arguments)


def _check(paths: list[Path]) -> int:
    code = 0
    known: dict[str, str] = {}
    for path in paths:
        try:
            rules = load_rules(path)
            _refuse_twice(rules, known)
        except (RuleInvalid, CommandInvalid) as error:
            print(error, file=sys.stderr)
            code = 1
            continue
        for rule in rules:
            answer = {
                "file": str(path),
                "id": rule.id,
                "version": rule.version,
                "digest": rule.digest,
                "tests": len(rule.tests),
            }
            print(json.dumps(answer, ensure_ascii=False))
    return code


def _refuse_twice(rules: Iterable[Rule], known: dict[str, str]) -> None:
    for rule in rules:
        place = known.setdefault(rule.id, f"{rule.origin}:{rule.line}")
        if place != f"{rule.origin}:{rule.line}":
            raise RuleInvalid(f"{place} has this id", line=rule.line, origin=rule.origin, rule=rule.id)


def load_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a file, each of which has passed its own tests.

    Raises:
        RuleInvalid: with file and line.
        CommandInvalid: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandInvalid(f"cannot read {path}: {error}") from error
    rules = read_rules(text, origin=str(path))
    for rule in rules:
        check_rule(rule)
    return rules


def build_table(rules: Iterable[Rule]) -> str:
    """Rules as a table in Markdown."""
    lines = ["| rule | packs | raises when | level | source |", "|---|---|---|---|---|"]
    for rule in rules:
        delay = f" for {rule.raise_for_ms / 1000:g} s" if rule.raise_for_ms else ""
        levels = ", ".join(step.level.name.lower() for step in rule.levels)
        lines.append(
            f"| `{rule.id}` {rule.text.zh} {rule.text.en} | {', '.join(rule.packs)} "
            f"| `{rule.text_of['raise_when']}`{delay} | {levels} "
            f"| {rule.source.document}, {rule.source.year}: {rule.source.section} |"
        )
    return "\n".join(lines)


def _backtest(arguments: argparse.Namespace) -> int:
    rules = _compile(arguments.rules)
    persons = {} if arguments.persons is None else _read(arguments.persons, read_persons)
    read_series = partial(read_table, outcome=arguments.outcome)
    tables = {str(path): _read(path, read_series) for path in arguments.series}
    replays = _replay(rules, tables.values(), persons)
    lead_ms = _read_lead_ms(arguments.outcome_lead)
    answer: _Answer = {
        "rule_set": rules.digest,
        "persons": len(replays),
        "patient_days": round(sum(replay.days for replay in replays), 4),
        "unread_columns": {name: table.unknown_columns for name, table in tables.items()},
        "rules": [
            _describe_burden(burden)
            | (asdict(judge_outcome(burden.rule, replays, lead_ms=lead_ms)) if arguments.outcome else {})
            for burden in count_burden(rules, replays)
        ],
    }
    if arguments.against is not None:
        before = _replay(_compile(arguments.against), tables.values(), persons)
        answer["against"] = [
            _describe_comparison(compare_rule(burden["rule"], before, replays)) for burden in answer["rules"]
        ]
    if arguments.json:
        answer["events"] = [_describe_event(replay, event) for replay in replays for event in replay.events]
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _print_table(answer)
    return 0


def _compile(paths: Iterable[Path]) -> RuleSet:
    return compile_rules(rule for path in paths for rule in load_rules(path))


def _replay(
    rules: RuleSet, tables: Iterable[SeriesTable], persons: Mapping[str, tuple[Sample, ...]]
) -> list[PersonReplay]:
    return [
        replay_person(rules, person, rows, known=_find_known(persons, person))
        for table in tables
        for person, rows in table.instants_by_person.items()
    ]


def _find_known(persons: Mapping[str, tuple[Sample, ...]], record: str) -> tuple[Sample, ...]:
    """What is known of a record's person: `a/1` is the recording 1 of a."""
    return persons.get(record, persons.get(record.rpartition("/")[0], ()))


def _describe_comparison(compared: Comparison) -> dict[str, object]:
    return {
        "rule": compared.rule,
        "kept": compared.kept,
        "gained": [asdict(alarm) for alarm in compared.gained],
        "lost": [asdict(alarm) for alarm in compared.lost],
    }


def _read_lead_ms(hours: float) -> int:
    if not math.isfinite(hours):
        raise CommandInvalid("--outcome-lead must be a number of hours")
    return round(hours * 3_600_000)


def _read(path: Path, read: Callable[[Iterable[str]], _Table]) -> _Table:
    try:
        with _open_text(path) as lines:
            return read(lines)
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise CommandInvalid(f"cannot read {path}: {error}") from error
    except SeriesInvalid as error:
        raise CommandInvalid(f"{path}: {error}") from error


@contextmanager
def _open_text(path: Path) -> Iterator[io.TextIOBase]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as lines:
            yield lines
    else:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield lines


def _describe_burden(burden: Burden) -> dict[str, object]:
    per_day, share = burden.alarms_per_patient_day, burden.share_of_time
    return {
        "rule": burden.rule,
        "alarms": burden.alarms,
        "alarms_per_patient_day": None if per_day is None else round(per_day, 4),
        "share_of_time_in_alarm": None if share is None else round(share, 4),
        "hours_in_alarm": round(burden.hours_in_alarm, 3),
        "persons": burden.persons,
    }


def _describe_event(replay: PersonReplay, event: Event) -> dict[str, object]:
    return {"patient": replay.person} | event.to_plain()


def _print_table(answer: _Answer) -> None:
    print(f"{answer['persons']} persons, {answer['patient_days']} patient-days, rules {answer['rule_set']}")
    for burden in answer["rules"]:
        print("  ".join(f"{name} {value}" for name, value in burden.items()))
    for compared in answer.get("against", ()):
        gained, lost = len(compared["gained"]), len(compared["lost"])
        print(f"rule {compared['rule']} against: kept {compared['kept']}  gained {gained}  lost {lost}")
