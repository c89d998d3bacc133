"""A morning in a hut and the tray, through the real routes, ingest and database."""

import random
import threading
import time

import pytest

from cloud.seed import ORGANISATION, SITE
from tests.cloud.binding.conftest import CUFF_KEYS
from tests.fixtures.hand_over import holes_between_bindings, overlapping_bindings
from tests.fixtures.wire_messages import SOURCE, WireAgent, heard_as_stored, open_writer, seconds, utc_now
from vitals.observation import SourceId
from vitals.wire.batch import from_ms

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(180)]

CUFF = SourceId("cuff-9")
PEOPLE = 40


@pytest.fixture
def doctor(cloud_server, database):
    """Logged in; the hut has a cuff, and forty people have come."""
    database.execute("INSERT INTO source (src, agent) VALUES (%s, 'hut-1')", (CUFF,))
    for number in range(PEOPLE):
        database.execute(
            "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
            "VALUES (%s, %s, %s, '', '某', 'Someone', 'someone')",
            (f"h-{number}", ORGANISATION, SITE),
        )
    return cloud_server.client("doctor")


def reading(first_s, number, *, moment):
    """The four numbers of a cuff; their value tells who was measured."""
    agent = WireAgent(src=CUFF)
    return [
        agent.vitals(first_s + place, 100 + number, at=moment, key=key, sent_at=utc_now())
        for place, key in enumerate(CUFF_KEYS)
    ]


def scan(client, number, **fields):
    answer = client.post("/api/bindings", json={"code": CUFF, "patient": f"h-{number}", **fields})
    assert answer.status_code == 201, answer.text
    (made,) = answer.json()
    return from_ms(made["begins_at"])


def trend_of(client, number):
    """The systolic numbers on a person's record."""
    series = client.get(f"/api/patients/h-{number}/trend").json()["series"]
    return [series[key]["last"] for key in CUFF_KEYS if key in series]


def test_forty_people_share_a_cuff_in_a_morning_and_nothing_is_misfiled(doctor, cloud_server, database):
    chance = random.Random(7)
    readings, loose = [], []
    for number in range(PEOPLE):
        moment = scan(doctor, number, once=number % 2 == 0) + seconds(0.002)
        readings.append(reading(1 + number * 8, number, moment=moment))
        if number % 10 == 0:  # somebody measures again without a scan
            again = moment + seconds(0.001)
            loose.append(again)
            readings.append(reading(5 + number * 8, 800, moment=again))
        time.sleep(0.004)
    chance.shuffle(readings)
    writer = open_writer()
    for messages in readings:  # late, in any order, and some twice
        chance.shuffle(messages)
        writer.write(database, messages * chance.choice([1, 2]), now=utc_now())
        cloud_server.assembly.watching.mailbox.deliver(heard_as_stored(messages))
    deadline = time.monotonic() + 20
    while len(doctor.get("/api/unclaimed").json()) < len(loose):
        assert time.monotonic() < deadline, "the second readings are not in the tray"
        time.sleep(0.2)

    for number in range(PEOPLE):
        assert trend_of(doctor, number) == [[100.0 + number]] * 4, number
    assert overlapping_bindings(database) == 0


def test_claim_brings_a_reading_into_the_trend(doctor, database):
    moment = utc_now() - seconds(60)
    open_writer().write(database, reading(1, 7, moment=moment), now=utc_now())
    (entry,) = doctor.get("/api/unclaimed").json()
    assert (entry["cause"], entry["count"], trend_of(doctor, 7)) == ("unbound", 4, [])

    claim = {"src": CUFF, "from_at": entry["from_at"], "to_at": entry["to_at"], "reason": "I saw it"}
    answer = doctor.post("/api/unclaimed/claim", json=claim | {"patient": "h-7"})
    assert answer.status_code == 200
    assert answer.json()["corrections"][0]["to_patient"] == "h-7"
    assert (trend_of(doctor, 7), doctor.get("/api/unclaimed").json()) == ([[107.0]] * 4, [])
    assert doctor.post("/api/unclaimed/claim", json=claim | {"patient": "h-8"}).status_code == 409


def test_corrected_reading_leaves_the_wrong_trend_and_enters_the_right_one(doctor, database):
    begins_at = scan(doctor, 1)
    time.sleep(0.02)
    open_writer().write(database, reading(1, 2, moment=begins_at + seconds(0.005)), now=utc_now())
    question = {"src": CUFF, "from_at": 0, "from_patient": "h-1", "patient": "h-2", "reason": "mixed up"}
    answer = doctor.post("/api/bindings/correct", json=question)

    assert answer.status_code == 200, answer.text
    assert (trend_of(doctor, 1), trend_of(doctor, 2)) == ([], [[102.0]] * 4)
    record = doctor.get("/api/people/h-2/bindings").json()
    assert [(one["from_patient"], one["to_patient"]) for one in record["corrections"]] == [("h-1", "h-2")]
    ended = doctor.post(f"/api/bindings/{record['bindings'][0]['id']}/end", json={"reason": "returned"})
    assert ended.json()["end_reason"] == "returned"


@pytest.mark.parametrize(
    "question",
    [
        {"code": CUFF},
        {"code": CUFF, "patient": "h-1", "bed": "bed-1"},
        {"code": CUFF, "household": ["h-1"], "once": True},
        {"code": "", "patient": "h-1"},
        {"code": CUFF, "patient": "h-1", "minutes": 0},
    ],
    ids=["nobody", "two ways", "household once", "no code", "no time"],
)
def test_half_a_question_binds_nothing(doctor, database, question):
    assert doctor.post("/api/bindings", json=question).status_code == 422


def test_many_claims_at_once_leave_one_holder_at_every_instant(doctor, cloud_server, database):
    clients = [cloud_server.client("doctor") for _ in range(8)]
    failed = []

    def claim(client, number):
        for _ in range(12):
            answer = client.post("/api/bindings", json={"code": SOURCE, "patient": f"h-{number}"})
            if answer.status_code != 201 or answer.json()[0]["patient"] != f"h-{number}":
                failed.append(answer.text)

    threads = [threading.Thread(target=claim, args=pair) for pair in zip(clients, range(8), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert (overlapping_bindings(database), holes_between_bindings(database, SOURCE)) == (0, 0)
