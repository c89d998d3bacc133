import hashlib
import json
from pathlib import Path

import pytest

import devices.simulators.recording as recording_module
from devices.errors import RecordUnknown
from devices.simulators.recording import all_sources, load_ecg, load_pleth, load_stay

FOLDER = Path(recording_module.__file__).parent / "recordings"
ENTRIES = json.loads((FOLDER / "recordings.json").read_text(encoding="utf-8"))
ECG_RECORDS = ["mitdb/101", "mitdb/109", "mitdb/119", "mitdb/203"]
STAYS = [entry["record"] for entry in ENTRIES if entry["kind"] == "numerics"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["record"])
def test_every_recording_is_the_one_described(entry: dict[str, str]) -> None:
    payload = (FOLDER / entry["file"]).read_bytes()
    assert hashlib.sha256(payload).hexdigest() == entry["sha256"]
    assert len(payload) < 200_000


def test_every_recording_names_source_licence_and_citation() -> None:
    sources = all_sources()
    assert len(sources) == len(ENTRIES)
    assert all(source.source and source.changes and source.licence and source.citation for source in sources)
    assert not any("ODbL" in source.licence for source in sources)


def test_every_file_in_the_folder_is_described() -> None:
    described = {entry["file"] for entry in ENTRIES} | {"recordings.json"}
    assert {path.name for path in FOLDER.iterdir()} == described


@pytest.mark.parametrize("record", ECG_RECORDS)
def test_an_ecg_has_ten_minutes_and_a_symbol_for_each_beat(record: str) -> None:
    ecg = load_ecg(record)
    assert len(ecg.samples_uv) == 600 * ecg.rate_hz == 78_000
    assert len(ecg.beat_symbols) == len(ecg.beat_s) > 600
    assert (ecg.beat_s[1:] > ecg.beat_s[:-1]).all()


@pytest.mark.parametrize(
    ("record", "rhythm"), [("mitdb/101", "N"), ("mitdb/203", "AFIB"), ("mitdb/119", "T"), ("mitdb/109", "N")]
)
def test_an_ecg_holds_the_rhythm_that_it_was_chosen_for(record: str, rhythm: str) -> None:
    assert rhythm in {change.rhythm for change in load_ecg(record).rhythms}


def test_beats_stand_on_the_steep_part_of_the_ecg() -> None:
    ecg = load_ecg("mitdb/101")
    steps = abs(ecg.samples_uv[1:] - ecg.samples_uv[:-1])
    near = [steps[max(0, int(at_s * 130) - 6) : int(at_s * 130) + 7].max() for at_s in ecg.beat_s[:600]]
    steep = sorted(steps)[int(len(steps) * 0.97)]
    assert sum(step > steep for step in near) > 590


def test_the_pleth_fits_seven_bits() -> None:
    pleth = load_pleth("challenge2015/a103l")
    assert pleth.samples.min() >= 0
    assert pleth.samples.max() <= 127
    assert len(pleth.samples) == 330 * pleth.rate_hz


@pytest.mark.parametrize("record", STAYS)
def test_a_stay_is_plausible_in_every_row(record: str) -> None:
    rows = load_stay(record).rows
    assert len(rows) >= 48
    assert all(row.diastolic_mmhg < row.mean_mmhg < row.systolic_mmhg for row in rows)
    assert all(80 <= row.spo2_pct <= 100 for row in rows)


def test_an_unknown_record_names_the_known_ones() -> None:
    with pytest.raises(RecordUnknown, match="mitdb/101, mitdb/109"):
        load_ecg("mitdb/100")
