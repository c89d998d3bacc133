"""Device to viewer through everything that is real: radio protocol, spool, broker, database, WebSocket."""

import numpy as np
import pytest

from devices.simulators.recording import load_ecg
from qianli.demo_ward import PATIENTS
from tests.fixtures.running_demo import wait_until
from tests.fixtures.stored import stored_cells

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.id)
def test_every_patient_has_live_values_and_waves(viewer, patient):
    wait_until(
        lambda: viewer.value(patient.id, "heart_rate") and viewer.value(patient.id, "spo2"),
        within_s=20,
        what="heart rate and SpO2",
    )
    wait_until(lambda: viewer.waves[patient.id, "ecg"] > 390, within_s=20, what="3 s of ECG")


def annotated_rate(record, at_s, beats=5):
    """60 / mean of the last R-R intervals of the annotation file."""
    before = load_ecg(record).beat_s
    before = before[before <= at_s]
    return 60 / np.diff(before[-beats - 1 :]).mean()


@pytest.mark.parametrize(("device", "patient"), [("h10-1", "p-demo-1"), ("h10-3", "p-demo-3")])
def test_heart_rate_agrees_with_the_annotation(running_demo, viewer, device, patient):
    wait_until(lambda: running_demo.simulator(device)["seconds"] > 15, within_s=30, what="15 s of replay")

    def agrees():
        place = running_demo.simulator(device)
        shown = viewer.value(patient, "heart_rate")
        if shown is None:
            return False
        truth = [annotated_rate(place["record"], place["seconds"] - ago) for ago in np.arange(0, 2.5, 0.1)]
        return min(truth) - 2 <= shown["value"] <= max(truth) + 2

    wait_until(agrees, within_s=10, what="a heart rate within 2 bpm of the annotation")


def test_every_value_carries_its_times_and_quality(viewer):
    seen = []

    def is_stored():
        value = viewer.value("p-demo-1", "spo2")
        if value and value["stored_at"]:
            seen.append(dict(value))
        return bool(seen)

    wait_until(is_stored, within_s=20, what="SpO2 that is stored")
    value = seen[0]
    times = [value[name] for name in ("measured_at", "received_at", "arrived_at", "stored_at")]
    assert times == sorted(times)
    assert (value["unit"], value["quality"]) == ("%", "good")


def test_score_has_bounds_and_names_what_is_missing(viewer):
    wait_until(lambda: viewer.value("p-demo-1", "nibp_sys"), within_s=70, what="a cuff reading")
    wait_until(lambda: "sbp" not in viewer.scores["p-demo-1"]["missing"], within_s=10, what="the score")

    score = viewer.scores["p-demo-1"]
    assert score["total"] is None
    assert {"rr", "temp", "acvpu", "oxygen"} <= set(score["missing"])
    assert 0 <= score["total_min"] < score["total_max"] <= 20


def test_demo_shows_nothing_from_before_its_start(running_demo):
    with running_demo.database() as database:
        (started,) = database.execute("SELECT min(lower(during)) FROM binding").fetchone()
        sources = database.execute("SELECT src FROM source").fetchall()
        first = next((cell for (src,) in sources for cell in stored_cells(database, src)), None)
    trend = running_demo.log_in().get("/api/patients/p-demo-1/trend?hours=24").json()

    assert first is not None
    assert trend["measured_since_at"] >= int(started.timestamp() * 1000) - 1000
