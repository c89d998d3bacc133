"""The room on a real database, with two organisations, and a clock that the test moves."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from cloud.enrolment.authority.files import open_authority
from cloud.enrolment.service import EnrolmentService
from cloud.identity import queries
from cloud.identity.model import Role, subject_of
from cloud.store.connection import build_pool

ADMIN = subject_of(person="person-a", role=Role.ADMINISTRATOR, organisation="north")
STRANGER = subject_of(person="person-b", role=Role.ADMINISTRATOR, organisation="south")
DOCTOR = subject_of(person="person-d", role=Role.CLINICIAN, organisation="north")


@dataclass
class NotedActs:
    """Who takes note, at once."""

    acts: list = field(default_factory=list)
    meanwhile: dict = field(default_factory=dict)

    def begin(self, *acts):
        """Take note; what is to happen `meanwhile` happens before the transaction of the act ends."""
        self.acts += acts
        for act in acts:
            self.meanwhile.pop(act.action, lambda: None)()
        return lambda: None

    def note(self, *acts):
        self.acts += acts

    def words(self):
        return [(act.action.value, act.person, act.target.id, act.outcome.value) for act in self.acts]


@dataclass
class MovedClock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self):
        return self.now


@contextmanager
def open_room(database_url, folder):
    pool = build_pool(database_url)
    pool.open()
    try:
        clock, recorder = MovedClock(), NotedActs()
        authority = open_authority(folder, now=clock())
        made = EnrolmentService(pool, authority=authority, keys=folder, recorder=recorder, clock=clock)
        made.publish_list()
        yield made, clock, recorder
    finally:
        pool.close()


@pytest.fixture
def room(database_url, database, tmp_path):
    for name in ("north", "south"):
        queries.upsert_organisation(database, name, site_id=f"{name}-site", name_zh=name, name_en=name)
    with open_room(database_url, tmp_path / "keys") as opened:
        yield opened
