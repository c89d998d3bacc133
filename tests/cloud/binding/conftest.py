"""A hut with a cuff and an oximeter, three people and a stranger; a clock that stands."""

from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from msgspec import structs

from cloud.act import AuditUnavailable
from cloud.binding.service import BindingService
from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.store.connection import build_pool
from tests.fixtures.duty import hire, put_on_duty
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.observation import SourceId, VitalKey

START = utc_now().replace(microsecond=0) - seconds(7200)
DOCTOR = subject_of(person="doctor-1", role=Role.CLINICIAN, organisation="own")
STRANGER = subject_of(person="doctor-2", role=Role.CLINICIAN, organisation="other")
ADMINISTRATOR = subject_of(person="admin-1", role=Role.ADMINISTRATOR, organisation="own")
CUFF, CLIP = SourceId("cuff-1"), SourceId("clip-1")
CUFF_KEYS = tuple(VitalKey(key) for key in ("nibp_sys", "nibp_dia", "nibp_map", "pulse_rate"))
AGENT = WireAgent(agent="hut-1", src=CUFF)


def at(second):
    return START + seconds(second)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self):
        return self.now

    def set(self, second):
        self.now = at(second)


class Notebook:
    """Remembers what was recorded; `is_away` refuses as an audit does that cannot write."""

    def __init__(self):
        self.acts = []
        self.is_away = False

    def begin(self, *acts):
        self.acts += [] if self.is_away else acts
        return self.refuse if self.is_away else lambda: None

    def refuse(self):
        raise AuditUnavailable

    def note(self, *acts):
        self.acts += acts

    def words(self):
        return [(str(act.action), act.target.id) for act in self.acts]


class QuietWall:
    """Counts who is held: everything that is held must be settled."""

    def __init__(self):
        self.held = []
        self.settled = []

    def hold(self, sources):
        self.held += sources

    def settle(self, sources):
        self.settled += sources


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder():
    return Notebook()


@pytest.fixture
def wall():
    made = QuietWall()
    yield made
    assert sorted(made.held) == sorted(made.settled)


def furnish(database):
    """The hut, its devices, two beds and the people."""
    for organisation, site in (("own", "hut"), ("other", "ward")):
        identity_queries.upsert_organisation(
            database, organisation, site_id=site, name_zh=organisation, name_en=organisation
        )
    database.execute("INSERT INTO agent (agent, site_id) VALUES ('hut-1', 'hut'), ('ward-1', 'ward')")
    database.execute(
        "INSERT INTO source (src, agent, bed, cadence) VALUES ('cuff-1', 'hut-1', '', '{}'), "
        "('clip-1', 'hut-1', 'B1', '{\"spo2\": 1}'), ('foreign', 'ward-1', '', '{}')"
    )
    database.execute(
        "INSERT INTO location (location_id, site_id, kind, code, name_zh, name_en) VALUES "
        "('bed-1', 'hut', 'bed', 'B1', '一', 'One'), ('bed-2', 'hut', 'bed', 'B2', '二', 'Two')"
    )
    for organisation, site, patient in (
        ("own", "hut", "p-1"),
        ("own", "hut", "p-2"),
        ("own", "hut", "p-3"),
        ("other", "ward", "p-x"),
    ):
        database.execute(
            "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
            "VALUES (%s, %s, %s, '', '某', 'Someone', 'someone')",
            (patient, organisation, site),
        )
    for subject, site in ((DOCTOR, "hut"), (STRANGER, "ward")):
        hire(database, subject.person, subject.organisation)
        put_on_duty(database, subject.person, site=site)


@pytest.fixture
def hut(database):
    furnish(database)
    return database


@pytest.fixture
def bindings(hut, database_url, clock, recorder, wall):
    with build_pool(database_url) as pool:
        yield BindingService(pool, recorder=recorder, wall=wall, clock=clock)


class Spool:
    """Sends readings through ingest, each message with the next number of its sequence."""

    def __init__(self, database):
        self._database = database
        self._writer = open_writer()
        self._s = 0

    def messages(self, value, *, second, src=CUFF, keys=CUFF_KEYS, **fields):
        """One reading: the same number for each key, so that its owner can be told by it."""
        made = []
        for key in keys:
            self._s += 1
            sent_at = fields.get("sent_at", at(second))
            agent = replace(AGENT, src=src)
            made.append(
                structs.replace(
                    agent.vitals(self._s, value, at=at(second), key=key, **(fields | {"sent_at": sent_at})),
                    received_at=fields.get("arrived_at", sent_at),
                )
            )
        return made

    def write(self, messages):
        return self._writer.write(self._database, messages, now=max(one.received_at for one in messages))

    def read(self, value, *, second, **fields):
        return self.write(self.messages(value, second=second, **fields))


@pytest.fixture
def spool(hut):
    return Spool(hut)


def owned(database, patient):
    """The numbers that are a patient's, each once, in the order of time."""
    rows = database.execute(
        """
        SELECT o.value FROM binding b JOIN observation o ON o.src = b.src AND b.during @> o.measured_at
                                                        AND b.during @> (o.measured_at + o.clock_shift)
         WHERE b.patient_id = %s GROUP BY o.src, o.measured_at, o.value ORDER BY o.measured_at
        """,
        (patient,),
    ).fetchall()
    return [value for (value,) in rows]
