"""Folder and bucket keep the same promises: one suite for both."""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cloud.errors import SettingInvalid
from cloud.objects.errors import ObjectDamaged, ObjectMissing, ObjectNameInvalid, ObjectStoreUnusable
from cloud.objects.port import Place
from cloud.objects.stores.filesystem import open_store
from tests.fixtures.s3 import s3_place

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def bucket():
    with s3_place() as place:
        yield place


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        return Place(url=(tmp_path / "objects").as_uri())
    found = request.getfixturevalue("bucket")
    return replace(found, url=f"{found.url}/{request.node.name.split('[')[0]}")


@pytest.fixture
def store(place):
    return open_store(place)


def test_object_comes_back_whole_and_in_ranges(store):
    store.put("a/b", CONTENT)

    assert store.get("a/b") == CONTENT
    assert store.get("a/b", at=300) == CONTENT[300:]
    assert store.get("a/b", at=17, length=3) == CONTENT[17:20]
    assert store.get("a/b", length=1) == CONTENT[:1]


def test_what_is_not_there_is_told(store):
    assert not store.exists("a/b")
    with pytest.raises(ObjectMissing) as told:
        store.get("a/b", at=1, length=2)
    assert told.value.name == "a/b"
    store.delete("a/b")


def test_deleted_object_is_gone_and_others_stay(store):
    for name in ("a/1", "a/2"):
        store.put(name, CONTENT)
    store.delete("a/1")

    assert (store.exists("a/1"), store.exists("a/2")) == (False, True)
    assert list(store.iterate("a")) == ["a/2"]


def test_names_below_a_prefix(store):
    for name in ("a/1", "a/b/2", "c/3"):
        store.put(name, b"x")

    assert sorted(store.iterate("a")) == ["a/1", "a/b/2"]
    assert list(store.iterate("nothing")) == []


def test_object_that_is_written_again_is_the_new_one(store):
    store.put("a/b", CONTENT)
    store.put("a/b", b"new")

    assert store.get("a/b") == b"new"


def test_object_that_is_shorter_than_it_was_is_damaged(store):
    store.put("a/b", CONTENT[:10])

    with pytest.raises(ObjectDamaged):
        store.get("a/b", at=8, length=3)


@pytest.mark.parametrize("name", ["", "/a", "a/", "../a", "a/../b", "a/.hidden", "A", "a b", "a" * 201])
def test_name_that_could_mean_another_place_is_refused(tmp_path, name):
    with pytest.raises(ObjectNameInvalid):
        open_store(Place(url=tmp_path.as_uri())).put(name, b"x")


def test_folder_is_its_owners_only(tmp_path):
    store = open_store(Place(url=(tmp_path / "objects").as_uri()))
    store.put("a/b", CONTENT)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "objects").rglob("*")}

    assert modes == {"a": 0o700, "b": 0o600}
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700


def test_file_and_folder_are_durable_before_the_object_is_there(tmp_path, monkeypatch):
    """What is renamed was flushed, and the rename is flushed before `put` returns."""
    seen = []
    fsync, replacing = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (seen.append(str(Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append("rename"), replacing(self, to))[1])
    open_store(Place(url=(tmp_path / "o").as_uri())).put("a/b", CONTENT)

    steps = [step.removeprefix(str(tmp_path)) for step in seen]
    assert steps[:2] == ["", "/o"]  # the names of new folders
    assert ".part-" in steps[2]
    assert steps[3:] == ["rename", "/o/a"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_write_that_fails_leaves_what_was(tmp_path, monkeypatch, broken):
    store = open_store(Place(url=(tmp_path / "o").as_uri()))
    store.put("a/b", b"old")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if broken == "fsync" else Path, broken, fail)
    with pytest.raises(ObjectStoreUnusable, match="No space left"):
        store.put("a/b", b"new")

    assert store.get("a/b") == b"old"
    assert [path.name for path in (tmp_path / "o" / "a").iterdir()] == ["b"]


def test_what_is_being_written_is_no_object(tmp_path):
    store = open_store(Place(url=tmp_path.as_uri()))
    store.put("a/b", b"x")
    (tmp_path / "a" / ".part-1").write_bytes(b"half")

    assert list(store.iterate("a")) == ["a/b"]


def test_server_that_is_away_is_told_and_not_waited_for(bucket):
    store = open_store(replace(bucket, endpoint="http://127.0.0.1:9"))
    with pytest.raises(ObjectStoreUnusable):
        store.get("a/b")
    with pytest.raises(ObjectStoreUnusable):
        store.put("a/b", b"x")


def test_secret_is_in_no_text(bucket):
    place = replace(bucket, key="the-key", secret="the-secret")

    assert "the-" not in repr(place)
    with pytest.raises(ObjectStoreUnusable) as told:
        open_store(replace(place, endpoint="http://127.0.0.1:9")).get("a/b")
    assert "the-secret" not in str(told.value)


@pytest.mark.parametrize(
    "place",
    [
        Place(url=""),
        Place(url="relative/folder"),
        Place(url="file://host/folder"),
        Place(url="http://host/bucket"),
        Place(url="s3://bucket"),
        Place(url="s3://bucket", key="key"),
    ],
    ids=lambda place: place.url + place.key or "nothing",
)
def test_place_that_cannot_be_one_is_refused_at_once(place):
    with pytest.raises(SettingInvalid, match="QIANLI_OBJECTS"):
        open_store(place)


def test_bucket_that_is_not_there_is_made(bucket):
    store = open_store(replace(bucket, url=f"s3://fresh-{secrets.token_hex(4)}"))
    with pytest.raises(ObjectMissing):
        store.get("a/b")
    store.put("a/b", CONTENT)

    assert store.get("a/b", at=5, length=5) == CONTENT[5:10]


def test_bucket_is_asked_by_path_where_an_endpoint_is_told(bucket):
    assert urlsplit(bucket.endpoint).hostname == "127.0.0.1"
    store = open_store(replace(bucket, endpoint=bucket.endpoint.replace("127.0.0.1", "localhost")))
    store.put("by/path", b"x")

    assert store.get("by/path") == b"x"
