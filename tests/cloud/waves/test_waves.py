"""What is stored of a wave is the same wherever it lies: as it came, in windows, in objects."""

import pytest

from cloud.objects.errors import ObjectDamaged, ObjectMissing
from cloud.store.reseal import move_column
from cloud.store.sealing import Sealer, SealingKey
from cloud.store.suite import Suite
from cloud.waves import postgres
from cloud.waves.model import DAY_US
from cloud.waves.service import ObjectsNotSet, Waves
from tests.cloud.waves.blocks import SECOND, T0, WINDOW, block, held, insert, plain
from tests.fixtures.stored import bring_waves_together

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
FORMS = ["blocks", "windows", "objects"]
LATE = T0 + 10 * WINDOW
DAY = T0 // DAY_US * DAY_US


def bring(database, waves, form):
    """Move everything on to a form."""
    if form != "blocks":
        bring_waves_together(database, waves, before_us=LATE)
    if form == "objects":
        for src, day_us in postgres.find_ripe(database, before_us=LATE, after=("", 0), limit=10):
            waves.move(database, src, day_us=day_us)


def counts(database):
    """Blocks, windows in the database, windows in objects, objects."""
    return tuple(
        database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 our own words
        for table in (
            "wave_block",
            "wave_chunk WHERE sections IS NOT NULL",
            "wave_chunk WHERE object_no IS NOT NULL",
            "wave_object",
        )
    )


def shown(waves, database, *asked, streams=None):
    found = waves.read_range(database, asked, streams=streams)
    return {(line.src, line.stream): [plain(one) for one in line.blocks] for line in found}


def times(waves, database, *asked):
    """When blocks begin, in seconds."""
    found = waves.read_range(database, asked)
    return [(one.t0_us - T0) / SECOND for line in found for one in line.blocks]


@pytest.mark.parametrize("form", FORMS)
def test_every_block_comes_back_to_the_bit(waves, database, form):
    there = [
        block(0, late=True, lane="backlog", s=7, shift_us=-1_500_000),
        block(1, [-(2**31), 2**31 - 1], rate=(130, 3), first_sample=2**62, codec=2),
        block(599.25),
        block(601),
    ]
    insert(database, "s", *there)
    insert(database, "s", block(5), stream="pleth")
    rows = list(waves.iterate(database, [held()]))
    bring(database, waves, form)

    assert (
        counts(database) == {"blocks": (5, 0, 0, 0), "windows": (0, 3, 0, 0), "objects": (0, 0, 3, 1)}[form]
    )
    found = shown(waves, database, held())
    assert found == {("s", "ecg"): [plain(one) for one in there], ("s", "pleth"): [plain(block(5))]}
    assert list(waves.iterate(database, [held()])) == rows


@pytest.mark.parametrize("form", FORMS)
def test_interval_finds_what_reaches_into_it_and_lies_in_the_binding(waves, database, form):
    insert(database, "s", *[block(second) for second in range(0, 700, 10)], block(15, range(3000)))
    insert(database, "other", block(20))
    bring(database, waves, form)

    assert times(waves, database, held().within(T0 + 60_500_000, T0 + 80_000_000)) == [15, 60, 70]
    # The long block ends at 75 s: whoever wore the sensor from 60 s on has no part of it.
    assert times(waves, database, held("s", 60, 80.5)) == [60, 70]
    assert times(waves, database, held("s", 595, 611.5), held("s", 620, 621.1)) == [600, 610, 620]
    assert times(waves, database, held("s", 701, 900)) == []


def test_block_of_a_doubtful_time_is_shown_where_all_its_times_lie(waves, database):
    insert(database, "s", block(10), block(20, shift_us=-15 * SECOND), block(30, shift_us=5 * SECOND))

    assert times(waves, database, held("s", 10, 40)) == [10, 30]
    assert times(waves, database, held("s", 0, 35)) == [10, 20]


def test_only_needed_streams_and_bytes_are_fetched(waves, database, place, monkeypatch):
    insert(database, "s", *[block(second) for second in range(600)])
    insert(database, "s", block(0), stream="pleth")
    bring(database, waves, "objects")
    asked, get = [], place.store.get
    monkeypatch.setattr(
        place.store, "get", lambda name, **part: (asked.append(part["length"]), get(name, **part))[1]
    )
    whole = len(get(next(place.store.iterate("waves"))))
    found = waves.read_range(database, [held().within(T0 + 200 * SECOND, T0 + 260 * SECOND)], streams=["ecg"])

    assert [len(line.blocks) for line in found] == [60]
    assert len(asked) == 1
    assert asked[0] < whole / 4


@pytest.mark.parametrize("form", FORMS)
def test_late_block_lands_in_its_place(waves, database, form):
    insert(database, "s", block(0), block(20))
    bring(database, waves, form)
    insert(database, "s", block(10, late=True))

    assert times(waves, database, held()) == [0, 10, 20]
    bring(database, waves, form)
    assert times(waves, database, held()) == [0, 10, 20]
    assert database.execute("SELECT count(*) FROM value_conflict").fetchone() == (0,)


@pytest.mark.parametrize("form", ["windows", "objects"])
def test_repeat_is_dropped_and_other_samples_are_counted_and_not_shown(waves, database, form):
    insert(database, "s", block(0), block(1))
    bring(database, waves, form)
    insert(database, "s", block(0, s=99), block(1, [5, 5], s=99))
    before = shown(waves, database, held())
    bring(database, waves, form)

    assert before == {("s", "ecg"): [plain(block(0)), plain(block(1))]}
    assert shown(waves, database, held()) == before
    assert counts(database)[0] == 0
    conflicts = database.execute("SELECT src, key, at_us, times FROM value_conflict").fetchall()
    assert conflicts == [("s", "ecg", T0 + SECOND, 1)]


@pytest.mark.parametrize("form", FORMS)
def test_erasing_takes_the_blocks_of_the_interval_and_no_other(waves, database, folder, form):
    there = [block(second) for second in (0, 10, 20, 605, 630)]
    insert(database, "s", *there)
    insert(database, "other", block(10))
    bring(database, waves, form)

    assert waves.erase(database, [held("s", 5, 606.5)]) == 3
    assert times(waves, database, held()) == [0, 630]
    assert times(waves, database, held("other")) == [10]
    assert waves.erase(database, [held()]) == 2
    assert waves.erase(database, [held()]) == 0
    assert times(waves, database, held("other")) == [10]


def test_erased_block_cannot_be_opened_even_from_a_copy_of_its_object(waves, database, place):
    insert(database, "s", block(0), block(700))
    bring(database, waves, "objects")
    (name,) = place.store.iterate("waves")
    salts = database.execute("SELECT salt FROM wave_chunk ORDER BY begin_us").fetchall()
    waves.erase(database, [held("s", 0, 2)])

    assert place.store.exists(name)
    left = database.execute("SELECT salt FROM wave_chunk").fetchall()
    assert left == salts[1:]
    assert times(waves, database, held()) == [700]


@pytest.mark.parametrize("form", FORMS)
def test_removal_by_age_is_to_the_block(waves, database, form):
    insert(database, "s", *[block(second) for second in (0, 10, 600, 610)])
    bring(database, waves, form)
    rows = [row for row in waves.iterate(database, [held()]) if row["t0_us"] < T0 + 605 * SECOND]

    assert waves.remove_old(database, "s", before_us=T0 + 605 * SECOND) == rows
    assert waves.remove_old(database, "s", before_us=T0 + 605 * SECOND) == []
    assert times(waves, database, held()) == [610]


def test_very_long_block_stays_as_it_came_and_is_found(waves, database):
    insert(database, "s", block(0, [1] * 700, rate=(1, 1)), block(1))
    bring(database, waves, "windows")

    assert counts(database)[:2] == (1, 1)
    assert times(waves, database, held().within(T0 + 650 * SECOND, T0 + 660 * SECOND)) == [0]
    assert waves.erase(database, [held()]) == 2
    assert counts(database) == (0, 0, 0, 0)


def test_nothing_in_an_object_can_be_read_without_the_key(waves, database, place):
    marked = b"\xff".join([bytes(range(200))] * 3)
    insert(database, "s", block(0, list(marked)))
    bring(database, waves, "windows")
    (sections,) = database.execute("SELECT sections FROM wave_chunk").fetchone()
    bring(database, waves, "objects")
    (name,) = place.store.iterate("waves")

    assert sections[8:40] not in place.store.get(name)
    assert "s" not in name.split("/")
    strange = Waves(lambda: type(place)(store=place.store, sealer=Sealer(b"x" * 32)))
    with pytest.raises(Exception, match="does not open"):
        strange.read_range(database, [held()])


def test_change_of_keys_moves_the_keys_of_objects_and_no_object(waves, database, place):
    insert(database, "s", block(0))
    bring(database, waves, "objects")
    (name,) = place.store.iterate("waves")
    content = place.store.get(name)
    ring = [SealingKey(number=1, suite=Suite.ED25519, secret=b"k" * 32)]
    newer = SealingKey(number=2, suite=Suite.SM2, secret=b"n" * 32)
    both = Sealer([*ring, newer])

    assert move_column(database, both, postgres.SEALED_OBJECT_KEYS).sealed == 1
    assert place.store.get(name) == content
    alone = Waves(lambda: type(place)(store=place.store, sealer=Sealer([newer]), suite=Suite.SM2))
    assert times(alone, database, held()) == [0]


def test_changed_or_missing_object_is_told_and_never_shown(waves, database, place, folder):
    insert(database, "s", block(0))
    bring(database, waves, "objects")
    (path,) = [path for path in folder.rglob("*") if path.is_file()]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ObjectDamaged):
        waves.read_range(database, [held()])
    path.unlink()
    with pytest.raises(ObjectMissing):
        waves.read_range(database, [held()])


def test_without_a_store_what_lies_in_the_database_is_read_and_the_rest_told(waves, database):
    insert(database, "s", block(0))
    bring(database, waves, "windows")
    assert times(Waves(), database, held()) == [0]
    bring(database, waves, "objects")

    with pytest.raises(ObjectsNotSet):
        Waves().read_range(database, [held()])


def test_removal_by_age_reaches_every_stream(waves, database):
    for number in range(12):
        insert(database, "s", block(10), block(20), stream=f"lead-{number}")
    bring(database, waves, "windows")

    removed = len(waves.remove_old(database, "s", before_us=T0 + 15 * SECOND))
    assert removed == 12
    assert times(waves, database, held()) == [20] * 12
