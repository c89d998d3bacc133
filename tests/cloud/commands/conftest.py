"""The room on a real database with two organisations; what it sends lies in a list."""

from dataclasses import dataclass, field

import pytest

from cloud.commands.service import CommandService
from cloud.identity import queries
from cloud.store.connection import build_pool
from tests.cloud.enrolment.conftest import MovedClock, NotedActs
from tests.fixtures.wire_messages import LINEAGE
from vitals.wire.topics import Lane


@dataclass
class Room:
    service: CommandService
    database: object
    clock: MovedClock
    recorder: NotedActs
    sent: list = field(default_factory=list)
    has_way: bool = True

    def traced(self, tracer):
        """The same room, which tells somebody what took how long."""
        pool = self.service._pool
        self.service = CommandService(
            pool, recorder=self.recorder, clock=self.clock, post=self.post, tracer=tracer
        )

    def post(self, agent, command):
        self.sent.append((agent, command))
        return self.has_way

    def received(self, ahead, *, upto=4, agent="hut-1", lane=Lane.LIVE, lineage=LINEAGE):
        """What ingest has of a lane."""
        self.database.execute(
            "INSERT INTO lane_progress VALUES (%s, %s, %s, %s, %s::int8multirange) "
            "ON CONFLICT (agent, lineage, lane) DO UPDATE SET upto = excluded.upto, ahead = excluded.ahead",
            (agent, lineage, lane.value, upto, ahead),
        )


@pytest.fixture
def room(database_url, database):
    for name in ("north", "south"):
        queries.upsert_organisation(database, name, site_id=f"{name}-site", name_zh=name, name_en=name)
    database.execute(
        "INSERT INTO agent (agent, site_id, lineage, online) VALUES "
        "('hut-1', 'north-site', %(ln)s, true), ('hut-off', 'north-site', %(ln)s, false), "
        "('hut-new', 'north-site', NULL, false)",
        {"ln": LINEAGE},
    )
    pool = build_pool(database_url)
    pool.open()
    made = Room(service=None, database=database, clock=MovedClock(), recorder=NotedActs())
    made.service = CommandService(pool, recorder=made.recorder, clock=made.clock, post=made.post)
    yield made
    pool.close()
