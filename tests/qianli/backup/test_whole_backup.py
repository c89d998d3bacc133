"""A real database is backed up while it is written to, its first home dies, a second one has everything."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest

from cloud.act import Action, Origin, TargetKind, target
from cloud.audit import queries as audit_queries
from cloud.audit.model import Head, TimedAct, follow
from cloud.audit.service import append_acts
from cloud.identity.model import SYSTEM
from cloud.identity.service import utc_now
from cloud.kept_waves import open_waves
from cloud.people.service import KEY_FILE, open_sealer
from cloud.settings import CloudSettings
from cloud.store.connection import connect
from cloud.store.migrate import migrate
from qianli.backup.archive import restore_backup
from qianli.backup.envelope import Opener, SealedStreamInvalid
from qianli.embedded.postgres import database_url, find_programs, make_cluster
from qianli.errors import StartRefused
from tests.cloud.waves.blocks import block, held, insert, plain
from tests.cloud.waves.test_waves import bring, counts
from tests.fixtures.services import PostgresServer, short_home

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.enable_socket, pytest.mark.timeout(240)]
PASSPHRASE = "山重水复疑无路"


class Installation:
    """A data folder with keys and a running, migrated database."""

    def __init__(self, home):
        self.home = home
        self.programs = find_programs(home)
        self.server = PostgresServer(home=home, programs=self.programs)
        self.url = database_url(home.postgres)
        self.acknowledged = []

    def begin(self):
        make_cluster(self.programs, self.home.postgres)
        self.server.start()
        self.server.execute("CREATE DATABASE qianli")
        with connect(self.url) as connection:
            migrate(connection)
            open_sealer(connection, home=self.home.path)

    def write(self, count):
        with connect(self.url) as connection:
            for _ in range(count):
                self.write_one(connection)

    def write_one(self, connection):
        number = len(self.acknowledged)
        act = SYSTEM.act(Action.READ_TREND, target(TargetKind.PATIENT, f"p-{number}"), origin=Origin.HTTP)
        append_acts(connection, [TimedAct(act=act, at=utc_now())])
        self.acknowledged.append(f"p-{number}")  # only after the commit was answered

    def stored(self):
        with connect(self.url) as connection, connection.transaction():
            rows = connection.execute("SELECT target_id FROM audit_entry ORDER BY sequence").fetchall()
            head = Head()
            for entry in audit_queries.iterate_entries(connection, after=0, upto=len(rows)):
                head = follow(head, entry)
            assert head == audit_queries.find_head(connection)
        return [row[0] for row in rows]


def qianli(home, *words, **how):
    environment = {**os.environ, "QIANLI_HOME": str(home.path), "QIANLI_BACKUP_PASSPHRASE": PASSPHRASE}
    command = [sys.executable, "-m", "qianli", *words]
    if how.get("background"):
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def first():
    with short_home() as home:
        installation = Installation(home)
        installation.begin()
        yield installation
        if installation.server.process.poll() is None:
            installation.server.stop(signal.SIGQUIT)


@pytest.fixture
def second():
    with short_home() as home:
        installation = Installation(home)
        yield installation
        if installation.server.process is not None:
            installation.server.stop(signal.SIGQUIT)


def keep_writing(installation, stopping):
    with connect(installation.url) as connection:
        while not stopping.is_set():
            try:
                installation.write_one(connection)
            except psycopg.OperationalError:
                return


def test_backup_taken_while_written_to_restores_whole(first, second, tmp_path):
    first.write(50)
    stopping = threading.Event()
    writing = threading.Thread(target=keep_writing, args=(first, stopping))
    writing.start()
    told = qianli(first.home, "backup", str(tmp_path / "b.qlb"))
    stopping.set()
    writing.join()
    assert told.returncode == 0, told.stderr
    back = qianli(second.home, "restore", str(tmp_path / "b.qlb"))
    assert back.returncode == 0, back.stderr
    second.server.start()

    stored = second.stored()
    assert len(stored) >= 50
    assert stored == first.acknowledged[: len(stored)]
    key = (first.home.path / KEY_FILE).read_bytes()
    assert (second.home.path / KEY_FILE).read_bytes() == key
    assert key not in (tmp_path / "b.qlb").read_bytes()
    assert (second.home.path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_objects_come_along_and_are_read_where_they_are_restored(first, second, tmp_path):
    there = [block(0), block(700)]
    with connect(first.url) as connection:
        insert(connection, "s", *there)
        waves = installed_waves(first, connection)
        bring(connection, waves, "objects")
        assert counts(connection) == (0, 0, 2, 1)
    told = qianli(first.home, "backup", str(tmp_path / "b.qlb"))
    assert told.returncode == 0, told.stderr
    back = qianli(second.home, "restore", str(tmp_path / "b.qlb"))
    assert back.returncode == 0, back.stderr
    second.server.start()

    with connect(second.url) as connection:
        (line,) = installed_waves(second, connection).read_range(connection, [held()])
    assert [plain(one) for one in line.blocks] == [plain(one) for one in there]
    modes = {path.stat().st_mode & 0o777 for path in (second.home.path / "objects").rglob("*")}
    assert modes == {0o700, 0o600}


def installed_waves(installation, connection):
    home = installation.home.path
    return open_waves(CloudSettings(home=home), lambda: open_sealer(connection, home=home))


def test_with_the_journal_nothing_acknowledged_is_lost_when_the_first_home_dies(first, second, tmp_path):
    first.write(20)
    following = qianli(first.home, "backup", str(tmp_path / "j"), "--follow", background=True)
    assert json.loads(following.stdout.readline())["following"]
    writing = threading.Thread(target=keep_writing, args=(first, threading.Event()))
    writing.start()
    deadline = time.monotonic() + 60
    while len(first.acknowledged) < 300:
        assert time.monotonic() < deadline, len(first.acknowledged)
        time.sleep(0.02)
    for pid in (first.server.process.pid, following.pid):
        os.kill(pid, signal.SIGKILL)
    first.server.process.wait()
    following.communicate()
    writing.join(timeout=20)
    shutil.rmtree(first.home.path, ignore_errors=True)

    back = qianli(second.home, "restore", str(tmp_path / "j"))
    assert back.returncode == 0, back.stderr
    second.server.start()
    lost = set(first.acknowledged) - set(second.stored())
    print(f"acknowledged {len(first.acknowledged)}, lost {len(lost)}")
    assert lost == set()
    second.acknowledged = list(second.stored())
    second.write(1)  # it waits for no journal that is not there


def test_commits_wait_while_the_journal_is_away_and_go_on_with_it(first, tmp_path):
    following = qianli(first.home, "backup", str(tmp_path / "j"), "--follow", background=True)
    assert json.loads(following.stdout.readline())["following"]
    first.write(1)
    following.kill()
    following.communicate()
    stopping = threading.Event()
    writing = threading.Thread(target=keep_writing, args=(first, stopping))
    writing.start()
    time.sleep(1)
    assert len(first.acknowledged) == 1  # the server has it and answers nobody

    again = qianli(first.home, "backup", str(tmp_path / "j"), "--follow", background=True)
    assert json.loads(again.stdout.readline())["following"]
    stopping.set()
    writing.join(timeout=20)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=20)
    assert again.returncode == 0
    before = len(first.acknowledged)
    first.write(1)
    assert (before >= 2, len(first.acknowledged)) == (True, before + 1)


@contextmanager
def followed(installation, folder):
    """A `--follow` that streams; stopped in good order at the end."""
    process = qianli(installation.home, "backup", str(folder), "--follow", background=True)
    try:
        assert json.loads(process.stdout.readline())["following"]
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def await_true(installation, query):
    deadline = time.monotonic() + 20
    with connect(installation.url) as connection:
        while connection.execute(query).fetchone() != (True,):
            assert time.monotonic() < deadline, query
            time.sleep(0.02)


def restored(second, folder):
    back = qianli(second.home, "restore", str(folder))
    assert back.returncode == 0, back.stderr
    second.server.start()
    return second.stored()


def test_connection_that_ends_while_pieces_arrive_leaves_no_hole(first, second, tmp_path):
    with followed(first, tmp_path / "j") as following:
        first.write(3)
        for _ in range(3):
            # The pieces and the end of the connection lie in the socket together when it wakes up.
            following.send_signal(signal.SIGSTOP)
            with connect(first.url) as connection:
                connection.execute("SET synchronous_commit = local")
                first.write_one(connection)
            await_true(first, "SELECT sent_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication")
            first.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
            await_true(first, "SELECT NOT EXISTS (SELECT FROM pg_stat_replication)")
            following.send_signal(signal.SIGCONT)
            first.write(3)

    assert len(list((tmp_path / "j").glob("journal-*.qlj"))) == 4
    assert restored(second, tmp_path / "j") == first.acknowledged


def test_full_disk_of_the_journal_lets_commits_wait_until_there_is_room(first, second, tmp_path):
    with followed(first, tmp_path / "j") as following:
        first.write(3)
        _, hard = resource.prlimit(following.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(following.pid, resource.RLIMIT_FSIZE, (0, hard))
        writing = threading.Thread(target=first.write, args=(3,))
        writing.start()
        writing.join(timeout=2.5)
        assert (len(first.acknowledged), following.poll()) == (3, None)

        resource.prlimit(following.pid, resource.RLIMIT_FSIZE, (hard, hard))
        writing.join(timeout=20)
        assert len(first.acknowledged) == 6

    assert restored(second, tmp_path / "j") == first.acknowledged


def test_following_again_after_unfollow_begins_with_a_new_base(first, second, tmp_path):
    with followed(first, tmp_path / "j"):
        first.write(3)
    assert qianli(first.home, "backup", str(tmp_path / "j"), "--unfollow").returncode == 0
    first.write(3)
    first.server.execute("SELECT pg_switch_wal()")
    first.server.execute("CHECKPOINT")
    with followed(first, tmp_path / "j"):
        first.write(3)

    assert restored(second, tmp_path / "j") == first.acknowledged
    (aside,) = (tmp_path / "j").glob("until-*")
    assert {path.name[:8] for path in aside.iterdir()} == {"base.qlb", "journal-"}


def test_folder_whose_journal_ends_before_the_log_begins_with_a_new_base(first, second, tmp_path):
    with followed(first, tmp_path / "old"):
        first.write(3)
    with followed(first, tmp_path / "other"):
        first.write(3)
    with followed(first, tmp_path / "old"):
        first.write(3)

    assert restored(second, tmp_path / "old") == first.acknowledged
    assert len(list((tmp_path / "old").glob("until-*"))) == 1


def test_following_again_without_a_gap_keeps_the_base(first, second, tmp_path):
    for _ in range(2):
        with followed(first, tmp_path / "j"):
            first.write(3)
        base = (tmp_path / "j" / "base.qlb").stat()

    assert list((tmp_path / "j").glob("until-*")) == []
    assert base.st_mtime_ns < min(p.stat().st_mtime_ns for p in (tmp_path / "j").glob("journal-*.qlj"))
    assert restored(second, tmp_path / "j") == first.acknowledged


def test_changed_or_cut_backup_leaves_the_second_home_empty(first, second, tmp_path):
    path = tmp_path / "b.qlb"
    assert qianli(first.home, "backup", str(path)).returncode == 0
    whole = path.read_bytes()
    middle = len(whole) // 2
    for wrong in (whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(wrong)
        with pytest.raises(SealedStreamInvalid, match=r"cut off|changed"):
            restore_backup(path, second.home, second.programs, opener=Opener(passphrase=PASSPHRASE))
        assert not second.home.postgres.exists()
        assert not (second.home.path / "keys").exists()


def test_home_that_holds_something_is_not_overwritten(first, tmp_path):
    path = tmp_path / "b.qlb"
    assert qianli(first.home, "backup", str(path)).returncode == 0

    with pytest.raises(StartRefused, match="not overwritten"):
        restore_backup(path, first.home, first.programs, opener=Opener(passphrase=PASSPHRASE))


def test_backup_for_a_reader_is_opened_by_its_private_key_only(first, second, tmp_path):
    made = qianli(first.home, "backup", str(tmp_path / "reader.key"), "--make-key")
    public = json.loads(made.stdout)["public_key"]
    first.write(3)
    assert qianli(first.home, "backup", str(tmp_path / "b.qlb"), "--to", public).returncode == 0

    assert qianli(second.home, "restore", str(tmp_path / "b.qlb")).returncode == 1
    back = qianli(second.home, "restore", str(tmp_path / "b.qlb"), "--key", str(tmp_path / "reader.key"))
    assert back.returncode == 0, back.stderr
    second.server.start()
    assert second.stored() == first.acknowledged
