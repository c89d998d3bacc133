"""What the rules do on recordings, and what they cost.

    python -m tests.benchmarks.measure_rules [--data DIR] [PART …]

Parts: `study` (the baselines of PhysioNet/CinC 2019, and the rule for charted values), `ward` (24 simulated
days), `wearable`, `glucose`, `equal` (shuffled, doubled, late: the same log), `speed`. All but `speed` read
recordings in DIR, which are too large for the repository; tests/recordings/ews/README.md names them.
"""

import argparse
import csv
import gzip
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import yaml

from qianli.commands.rules import load_rules
from tests.benchmarks.measure_demo import commit
from vitals.warning.backtest import PersonReplay, count_burden, join_instants, replay_person
from vitals.warning.outcome import judge_outcome
from vitals.warning.rule_set import RuleSet, compile_rules
from vitals.warning.sample import Sample
from vitals.warning.series_csv import SeriesTable, read_table
from vitals.warning.timeline import Timeline
from vitals.warning.watch import Watch

RULES = Path(__file__).parents[2] / "vitals" / "warning" / "rules"
STUDY = Path(__file__).parents[1] / "recordings" / "ews" / "sepsis2019_study.yaml"
WARD = (
    "spo2-low-adult",
    "spo2-low-scale-2",
    "heart-rate-high-adult",
    "heart-rate-low-adult",
    "resp-rate-low-adult",
)
REFERENCES = {
    "heart-rate-high-adult": "hr_gt_130_60s",
    "heart-rate-low-adult": "hr_lt_40_60s",
    "resp-rate-low-adult": "rr_le_8_60s",
    "spo2-low-adult": "spo2_lt_90_60s",
    "spo2-low-scale-2": "spo2_lt_85_60s",
}
BASELINE_COLUMNS = {
    "alarms_per_patient_day_nonseptic": "alarms_per_patient_day_without_outcome",
    "share_of_time_in_alarm": "share_of_time_without_outcome",
    "share_patients_ever": "share_of_persons_without_outcome",
    "sens_12h": "in_alarm_12h",
    "sens_onset24h": "fresh_24h",
    "ppv_24h": "ppv_24h",
}
NOT_ON_A_WARD = ("cgm", "home", "glucose", "resting", "newborn")
SIX_HOURS_MS = 6 * 3_600_000
TWO_HOURS_MS = 2 * 3_600_000


def rules_of(*names: str) -> RuleSet:
    return compile_rules(rule for name in names for rule in load_rules(RULES / f"{name}.yaml"))


def read(path: Path, *, outcome: str | None = None) -> SeriesTable:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return read_table(lines, outcome=outcome)


def replay(
    rules: RuleSet, table: SeriesTable, known: dict[str, list[Sample]] | None = None
) -> list[PersonReplay]:
    return [
        replay_person(rules, person, instants, known=(known or {}).get(person, ()))
        for person, instants in table.instants_by_person.items()
    ]


def study(data: Path) -> dict[str, object]:
    """Every row of the baselines, by how many per cent its worst figure is off; then the charted rule."""
    table = read(data / "sepsis2019" / "dev_vitals.csv.gz", outcome="SepsisLabel")
    rules = compile_rules(load_rules(STUDY))
    started = time.process_time()
    replays = replay(rules, table)
    spent_s = time.process_time() - started
    sections = {
        rule["id"]: rule["source"]["section"] for rule in yaml.safe_load_all(STUDY.read_text("utf-8"))
    }
    rows = {row["rule"]: row for row in csv.DictReader((data / "baselines_sepsis2019_dev.csv").open())}
    worst = {
        section: round(max(_off_pct(rows[section], judge_outcome(rule, replays, lead_ms=SIX_HOURS_MS))), 2)
        for rule, section in sections.items()
    }
    charted = rules_of("news2-sustained")
    judged = judge_outcome("news2-sustained", replay(charted, table), lead_ms=SIX_HOURS_MS)
    return {
        "rows_within_1_pct": f"{sum(off <= 1 for off in worst.values())} of {len(rows)}",
        "rows_without_a_definition": sorted(set(rows) - set(worst)),
        "off_pct": worst,
        "replay_lines": table.lines,
        "replay_rules": len(rules.rules),
        "replay_cpu_s": round(spent_s, 1),
        "news2-sustained": {name: getattr(judged, name) for name in BASELINE_COLUMNS.values()},
    }


def _off_pct(row: dict[str, str], judged: object) -> Iterator[float]:
    """A printed figure has four digits (alarms three): half of its last one is no difference."""
    for name, field in BASELINE_COLUMNS.items():
        printed = float(row[name])
        off = abs(getattr(judged, field) - printed)
        yield 0.0 if off <= 0.0006 else off / printed * 100


def ward(data: Path) -> dict[str, object]:
    """Found is a new alarm from a minute before the reference on; false is one outside of every event."""
    truth = {one["patient"]: one for one in json.loads((data / "simulated" / "sim_truth.json").read_text())}
    known = {
        person: [
            Sample("patient.age", "truth", 0, 70.0),
            Sample("patient.spo2_scale", "truth", 0, float(one["spo2_scale"])),
        ]
        for person, one in truth.items()
    }
    table = read(data / "simulated" / "sim_vitals_10s.csv.gz")
    latencies: list[float] = []
    wanted = false = 0
    for one in replay(rules_of(*WARD), table, known):
        said = truth[one.person]
        for rule, name in REFERENCES.items():
            at_s = [at_ms / 1000 for at_ms in one.disturbances(rule)]
            false += sum(not any(e["start_s"] <= at <= e["end_s"] for e in said["events"]) for at in at_s)
            onset_s = said["reference_onsets_s"].get(name)
            if onset_s is None or (
                rule.startswith("spo2") and (rule.endswith("2") != (said["spo2_scale"] == 2))
            ):
                continue
            wanted += 1
            latencies += [max(0.0, at - onset_s) for at in at_s if at >= onset_s - 60][:1]
    return {
        "events_found": f"{len(latencies)} of {wanted}",
        "median_latency_s": median(latencies),
        "false_alarms_per_day": round(false / len(truth), 2),
    }


def wearable(data: Path) -> dict[str, object]:
    rules = rules_of("heart-rate-low-adult", "resting-heart-rate-wearable")
    return _burden(rules, read(data / "t1d_uom" / "dev_wearable.csv.gz"))


def glucose(data: Path) -> dict[str, object]:
    rules = rules_of("cgm-low", "cgm-very-low", "cgm-high")
    return _burden(rules, read(data / "cgm_shanghai_t2dm" / "dev_cgm.csv.gz"))


def _burden(rules: RuleSet, table: SeriesTable) -> dict[str, object]:
    burdens = count_burden(rules, replay(rules, table))
    return {burden.rule: round(burden.alarms_per_patient_day or 0.0, 4) for burden in burdens}


def equal(data: Path) -> dict[str, object]:
    """A tenth of the samples doubled, neighbours shuffled, and of each record two hours that come last."""
    chance = random.Random(5)
    files = {
        "sepsis2019/dev_vitals.csv.gz": ("news2-sustained", 4000),
        "simulated/sim_vitals_10s.csv.gz": (*WARD, "heart-rate-missing", "spo2-sensor-off", 24),
        "t1d_uom/dev_wearable.csv.gz": ("resting-heart-rate-wearable", 8),
        "cgm_shanghai_t2dm/dev_cgm.csv.gz": ("cgm-low", "cgm-high", 53),
    }
    answer: dict[str, object] = {}
    for name, (*chosen, most) in files.items():
        rules = rules_of(*[str(rule) for rule in chosen])
        records = list(read(data / name).instants_by_person.values())[: int(most)]
        lines = differ = 0
        for instants in records:
            ordered = [
                list(samples) for _, samples in join_instants(sorted(instants, key=lambda one: one.at_ms))
            ]
            edge, cloud = _log(rules, ordered), _log(rules, _disturb(ordered, chance))
            lines += len(edge)
            differ += edge != cloud
        answer[name] = {"records": len(records), "lines": lines, "records_that_differ": differ}
    return answer


def _log(rules: RuleSet, batches: Sequence[Sequence[Sample]]) -> list[bytes]:
    timeline = Timeline(rules, keep_ms=10**12)
    for batch in batches:
        timeline.take(batch)
    timeline.advance(max(sample.at_ms for batch in batches for sample in batch) + SIX_HOURS_MS)
    return [event.to_line() for event in timeline.log]


def _disturb(ordered: Sequence[list[Sample]], chance: random.Random) -> list[list[Sample]]:
    samples = [sample for batch in ordered for sample in batch]
    from_ms = chance.choice(samples).at_ms
    late = [sample for sample in samples if from_ms <= sample.at_ms < from_ms + TWO_HOURS_MS]
    others = [sample for sample in samples if not from_ms <= sample.at_ms < from_ms + TWO_HOURS_MS]
    others += chance.sample(others, len(others) // 10)
    others.sort(key=lambda sample: sample.at_ms + chance.randint(0, 60_000))
    chance.shuffle(late)
    size = 20
    return [part for part in (others[n : n + size] for n in range(0, len(others), size)) if part] + [late]


def speed(persons: int = 5_000, seconds: int = 20) -> dict[str, object]:
    """Every second a value of three vital signs of each person, by twenty rules; one core."""
    names = sorted(path.stem for path in RULES.glob("*.yaml") if not path.stem.startswith(NOT_ON_A_WARD))
    rules = rules_of(*names[:20])
    chance = random.Random(7)
    watches = [Watch(rules) for _ in range(persons)]
    for watch in watches:
        watch.take(0, [Sample("patient.age", "s", 0, 70.0), Sample("patient.spo2_scale", "s", 0, 1.0)])
    passes = []
    for second in range(1, seconds + 1):
        values = [_measure(second * 1000, chance) for _ in range(persons)]
        started = time.perf_counter()
        for watch, samples in zip(watches, values, strict=True):
            watch.take(second * 1000, samples)
        passes.append(time.perf_counter() - started)
    return {
        "persons": persons,
        "rules": len(rules.rules),
        "us_per_person_and_second": round(median(passes) / persons * 1e6, 1),
        "slowest_second_s": round(max(passes), 3),
        "state_bytes": len(watches[0].save()),
    }


def _measure(at_ms: int, chance: random.Random) -> list[Sample]:
    means = {"heart_rate": (85, 20), "spo2": (94, 3), "resp_rate": (18, 5)}
    return [Sample(key, "s", at_ms, chance.gauss(*shape)) for key, shape in means.items()]


PARTS: dict[str, Callable[[Path], dict[str, object]]] = {
    "study": study, "ward": ward, "wearable": wearable, "glucose": glucose, "equal": equal,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("parts", nargs="*", default=[])
    arguments = parser.parse_args()
    wanted = arguments.parts or (["speed"] if arguments.data is None else [*PARTS, "speed"])
    answer: dict[str, object] = {"commit": commit()}
    for part in wanted:
        answer[part] = speed() if part == "speed" else PARTS[part](arguments.data)
    print(json.dumps(answer, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
