"""Builds the excerpts that the simulators replay, from full open recordings that a developer has on disk.

    python tests/recordings/make_replay_excerpts.py PATH_TO_DATA

PATH_TO_DATA holds `ecg/mitdb`, `ecg/alarm` and `vitals/sepsis2019`. Needs scipy, which nothing else here
does. The output, `devices/simulators/recordings/`, is committed; the same input gives the same bytes.
"""

import csv
import gzip
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

OUT = Path(__file__).parents[2] / "devices" / "simulators" / "recordings"
EXCERPT_S = 600
MITDB_RATE_HZ = 360
ECG_RATE_HZ = 130
PLETH_RATE_HZ = 60

GOLDBERGER = (
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 2000;101(23):e215-e220."
)
ODC_BY = "ODC-By 1.0 (https://opendatacommons.org/licenses/by/1-0/)"
CC_BY = "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)"
MITDB = "MIT-BIH Arrhythmia Database 1.0.0"
MITDB_CITATION = f"Moody GB, Mark RG. IEEE Eng Med Biol 2001;20(3):45-50. {GOLDBERGER}"

BEATS = "NLRBAaJSVrFejnE/fQ?"
SYMBOLS = [" ", *"NLRaVFJASEj/Q~", "", "|", "", "s", "T", "*", "D", '"', "=", "p", "B", "^", "t", "+"]
SYMBOL_BY_CODE = dict(enumerate([*SYMBOLS, "u", "?", "!", "[", "]", "e", "n", "@", "x", "f", "(", ")", "r"]))
"""WFDB annotation codes (ecgcodes.h)."""

RHYTHM_WANTED = {"101": ("(N",), "203": ("(AFIB",), "119": ("(B", "(T"), "109": ("(N",)}
STAYS = ("p117320", "p102819", "p112268", "p102070")
STAY_COLUMNS = ("HR", "O2Sat", "SBP", "MAP", "DBP")


@dataclass(frozen=True)
class Annotation:
    sample: int
    symbol: str
    aux: str


def main(data: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    entries = [ecg_excerpt(data / "ecg" / "mitdb", record) for record in RHYTHM_WANTED]
    entries.append(pleth_excerpt(data / "ecg" / "alarm"))
    entries += stay_excerpts(data / "vitals" / "sepsis2019")
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (OUT / "recordings.json").write_text(text + "\n", encoding="utf-8")
    for entry in entries:
        print(entry["record"], entry["file"], (OUT / entry["file"]).stat().st_size, "bytes")


def read_format_212(path: Path) -> npt.NDArray[np.int32]:
    """Two signals, 12 bits each in 3 bytes (WFDB signal(5), format 212). Returns shape (samples, 2)."""
    raw = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3).astype(np.int32)
    first = raw[:, 0] | (raw[:, 1] & 0x0F) << 8
    second = raw[:, 2] | (raw[:, 1] & 0xF0) << 4
    pairs = np.stack([first, second], axis=1)
    return np.where(pairs > 2047, pairs - 4096, pairs)


def read_annotations(path: Path) -> list[Annotation]:
    """MIT annotation file (WFDB annot(5)): 6 bits code, 10 bits time step; SKIP is 59, AUX is 63."""
    words = np.frombuffer(path.read_bytes(), "<u2")
    found: list[Annotation] = []
    sample = index = 0
    while words[index] != 0:
        code, step = int(words[index]) >> 10, int(words[index]) & 0x3FF
        index += 1
        if code == 59:
            sample += np.int32(int(words[index]) << 16 | int(words[index + 1])).item()
            index += 2
        elif code == 63:
            aux = words[index : index + (step + 1) // 2].tobytes()[:step]
            index += (step + 1) // 2
            found[-1] = Annotation(found[-1].sample, found[-1].symbol, aux.decode("latin-1").rstrip("\0"))
        elif code < 50:
            sample += step
            found.append(Annotation(sample, SYMBOL_BY_CODE[code], ""))
    return found


def rhythm_spans(annotations: list[Annotation], end: int) -> list[tuple[int, int, str]]:
    changes = [(a.sample, a.aux) for a in annotations if a.symbol == "+"]
    ends = [start for start, _ in changes[1:]] + [end]
    return [(start, stop, name) for (start, name), stop in zip(changes, ends, strict=True)]


def best_start_s(spans: list[tuple[int, int, str]], wanted: tuple[str, ...], total_s: int) -> int:
    """The whole minute from which `EXCERPT_S` hold most of the wanted rhythm; the first of equals."""

    def held(start_s: int) -> int:
        lo, hi = start_s * MITDB_RATE_HZ, (start_s + EXCERPT_S) * MITDB_RATE_HZ
        return sum(max(0, min(hi, b) - max(lo, a)) for a, b, name in spans if name in wanted)

    return max(range(0, total_s - EXCERPT_S, 60), key=held)


def ecg_excerpt(folder: Path, record: str) -> dict[str, object]:
    signals = read_format_212(folder / f"{record}.dat")
    annotations = read_annotations(folder / f"{record}.atr")
    spans = rhythm_spans(annotations, len(signals))
    start_s = best_start_s(spans, RHYTHM_WANTED[record], len(signals) // MITDB_RATE_HZ)
    lo, hi = start_s * MITDB_RATE_HZ, (start_s + EXCERPT_S) * MITDB_RATE_HZ
    whole_uv = resample_poly((signals[:, 0] - 1024) * 5.0, 13, 36)  # 200 units per mV; 360 Hz * 13 / 36 = 130
    uv = np.rint(whole_uv[start_s * ECG_RATE_HZ : (start_s + EXCERPT_S) * ECG_RATE_HZ]).astype(np.int16)
    beats = [a for a in annotations if a.symbol in BEATS and lo <= a.sample < hi]
    file = OUT / f"mitdb_{record}.npz"
    np.savez_compressed(
        file,
        steps=np.diff(uv, prepend=np.int16(0)),
        beat_s=np.array([(beat.sample - lo) / MITDB_RATE_HZ for beat in beats]),
        beat_symbols=np.array("".join(beat.symbol for beat in beats)),
    )
    rhythms = [
        [round((max(a, lo) - lo) / MITDB_RATE_HZ, 3), name.lstrip("(")]
        for a, b, name in spans
        if b > lo and a < hi
    ]
    return {
        "record": f"mitdb/{record}",
        "kind": "ecg",
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "source": f"{MITDB}, record {record}, lead MLII, {start_s} s to {start_s + EXCERPT_S} s",
        "changes": "resampled from 360 Hz to 130 Hz, rounded to 1 uV",
        "licence": ODC_BY,
        "citation": MITDB_CITATION,
        "rate_hz": ECG_RATE_HZ,
        "lead": "MLII",
        "rhythms": rhythms,
    }


def pleth_excerpt(folder: Path) -> dict[str, object]:
    raw = np.frombuffer((folder / "a103l.mat").read_bytes()[24:], "<i2").reshape(-1, 3)[:, 2].astype(float)
    pleth = resample_poly(raw - raw.mean(), 6, 25)  # 250 Hz * 6 / 25 = 60 Hz
    low, high = np.percentile(pleth, [0.5, 99.5])
    seven_bit = np.clip(np.rint((pleth - low) / (high - low) * 100 + 10), 0, 127).astype(np.uint8)
    narrow = sosfiltfilt(butter(2, [0.7, 5], "bandpass", fs=PLETH_RATE_HZ, output="sos"), pleth)
    peaks, shape = find_peaks(narrow, distance=0.3 * PLETH_RATE_HZ, prominence=0, height=0)
    usual = np.median(
        shape["prominences"]
    )  # neither the ripple of a flat line nor a jerk of the hand is a pulse
    peaks = peaks[(shape["prominences"] > 0.25 * usual) & (shape["prominences"] < 3 * usual)]
    peaks = peaks[has_neighbour(peaks)]
    file = OUT / "a103l.npz"
    np.savez_compressed(file, samples=seven_bit, pulse_s=np.round(peaks / PLETH_RATE_HZ, 4))
    return {
        "record": "challenge2015/a103l",
        "kind": "pleth",
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "source": "PhysioNet/CinC Challenge 2015 training set, record a103l, PLETH, whole 5.5 min",
        "changes": (
            "resampled from 250 Hz to 60 Hz, scaled to 7 bits; pulse times are not annotated in the source: "
            "found here as peaks of the 0.7-5 Hz band"
        ),
        "licence": ODC_BY,
        "citation": f"Clifford GD et al. Computing in Cardiology 2015;42:273-276. {GOLDBERGER}",
        "rate_hz": PLETH_RATE_HZ,
    }


def has_neighbour(peaks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a peak has another at about the usual distance: one that stands alone is an artefact."""
    steps = np.diff(peaks)
    is_usual = np.abs(steps - np.median(steps)) < 0.3 * np.median(steps)
    return np.concatenate([is_usual, [False]]) | np.concatenate([[False], is_usual])


def stay_excerpts(folder: Path) -> list[dict[str, object]]:
    rows: dict[str, list[dict[str, str]]] = {stay: [] for stay in STAYS}
    with gzip.open(folder / "dev_vitals.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            if row["pid"] in rows:
                rows[row["pid"]].append(row)
    return [stay_excerpt(stay, longest_complete_run(rows[stay])) for stay in STAYS]


def longest_complete_run(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    best: list[dict[str, str]] = []
    run: list[dict[str, str]] = []
    for row in rows:
        follows = not run or int(row["hour"]) == int(run[-1]["hour"]) + 1
        run = [*(run if follows else []), row] if is_plausible(row) else []
        best = max(best, run, key=len)
    return best[:60]


def is_plausible(row: dict[str, str]) -> bool:
    if not all(row[column] for column in STAY_COLUMNS):
        return False
    heart_rate, spo2, systolic, mean, diastolic = (float(row[column]) for column in STAY_COLUMNS)
    return (
        30 <= heart_rate <= 200
        and 80 <= spo2 <= 100
        and 60 <= systolic <= 220
        and 30 <= diastolic < mean < systolic
        and abs(mean - (diastolic + (systolic - diastolic) / 3)) < 15
    )


def stay_excerpt(stay: str, rows: list[dict[str, str]]) -> dict[str, object]:
    file = OUT / f"sepsis2019_{stay}.csv"
    lines = ["hour,heart_rate_bpm,spo2_pct,systolic_mmhg,mean_mmhg,diastolic_mmhg"]
    lines += [",".join([row["hour"], *(row[column] for column in STAY_COLUMNS)]) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    return {
        "record": f"sepsis2019/{stay}",
        "kind": "numerics",
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "source": (
            f"PhysioNet/CinC Challenge 2019 v1.0.0, hospital system B, stay {stay}, "
            f"hours {rows[0]['hour']} to {rows[-1]['hour']}"
        ),
        "changes": "longest run of complete plausible rows; replayed in compressed time, one hour a minute",
        "licence": CC_BY,
        "citation": "Reyna MA et al. Crit Care Med 2020;48(2):210-217.",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
