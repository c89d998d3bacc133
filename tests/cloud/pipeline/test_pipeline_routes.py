import pytest

from cloud.events import AgentHeard
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.wire.topics import Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()


@pytest.fixture
def admin(cloud_server):
    return cloud_server.client("admin")


def read(admin):
    return admin.get("/api/pipeline").json()


def flow_of(admin, agent):
    return next(flow for flow in read(admin)["agents"] if flow["agent"] == agent)


def write(database, *messages):
    open_writer().write(database, messages, now=utc_now())


def beats(*sequence, lane=Lane.LIVE):
    return [AGENT.vitals(s, 60 + s, at=utc_now() - seconds(50 - s), lane=lane) for s in sequence]


def test_missing_ranges_are_told_per_lane(admin, database):
    write(database, AGENT.birth(), *beats(1, 2, 5, 6, 9), *beats(2, lane=Lane.BACKLOG))

    assert flow_of(admin, "hut-1")["missing"] == [
        {"lane": "backlog", "first": 1, "last": 1},
        {"lane": "live", "first": 3, "last": 4},
        {"lane": "live", "first": 7, "last": 8},
    ]


def test_spool_is_unknown_until_its_agent_says_something(admin, cloud_server, database):
    write(database, AGENT.birth())
    assert flow_of(admin, "hut-1")["depth"] is None

    told_at = utc_now()
    cloud_server.assembly.watching.spools.take(
        AgentHeard(agent="hut-1", heard_at=told_at, depth=7, oldest_at=told_at - seconds(90))
    )
    flow = flow_of(admin, "hut-1")
    assert (flow["depth"], flow["told_at"] - flow["oldest_at"]) == (7, 90_000)


def test_conflicts_and_refusals_are_counted(admin, database):
    moment = utc_now()
    write(database, AGENT.vitals(1, 70, at=moment), AGENT.vitals(2, 71, at=moment))
    write(database, AGENT.vitals(3, 70, at=moment + seconds(900)))
    flow = flow_of(admin, "hut-1")

    assert (flow["conflicts"], flow["refused"]) == (1, 1)


def test_letter_is_told_without_what_it_holds_and_another_try_is_on_record(admin, database):
    write(database, AGENT.vitals(1, 70, at=utc_now() + seconds(900)))
    (letter,) = read(admin)["letters"]
    assert (letter["agent"], letter["name"], letter["reason"]) == ("hut-1", "vitals", "clock")
    assert "payload" not in letter

    assert admin.post(f"/api/pipeline/letters/{letter['id']}/replay").status_code == 204
    assert read(admin)["letters"][0]["replay_asked_at"] is not None
    acts = database.execute("SELECT target_id FROM audit_entry WHERE action = 'replay_message'").fetchall()
    assert acts == [("hut-1",)]


def test_letter_that_is_not_there_cannot_be_tried_again(admin):
    assert admin.post("/api/pipeline/letters/7/replay").status_code == 404


def test_nobody_stores_until_a_worker_has_the_group(admin):
    assert read(admin)["groups"] == []
    assert admin.get("/api/health").json()["ingest"] is False
