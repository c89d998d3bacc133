"""Objects in a folder or in S3, through fsspec (https://filesystem-spec.readthedocs.io).

In a folder an object is written beside its place, made durable, and renamed: whoever looks sees all of it or
nothing. S3 shows an object when the whole request has arrived and answers when it is kept.
"""

import importlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fsspec import get_filesystem_class as filesystem_class
from fsspec.implementations.local import LocalFileSystem

from cloud.errors import SettingInvalid
from cloud.objects.errors import ObjectDamaged, ObjectMissing, ObjectStoreUnusable
from cloud.objects.port import ObjectStore, Place, checked_name
from cloud.store.folder import sync_folder

_UNFINISHED = ".part-"
_CONNECT_S = 5
_ANSWER_S = 30
_URL, _KEY = "QIANLI_OBJECTS_URL", "QIANLI_OBJECTS_KEY and QIANLI_OBJECTS_SECRET"


def open_store(place: Place) -> ObjectStore:
    """The store of a place. A folder is made when the first object is written.

    Raises:
        SettingInvalid: the place cannot be one, or what it needs is not installed.
    """
    url = urlsplit(place.url)
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return FolderStore(Path(url.path))
    if url.scheme == "s3" and url.netloc:
        return BucketStore(_open_s3(place), root=f"{url.netloc}{url.path}".rstrip("/"))
    raise SettingInvalid(_URL, "it is neither file:///FOLDER nor s3://BUCKET/PREFIX")


class _Store:
    """What folder and bucket have in common."""

    _failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, files: Any, *, root: str) -> None:
        self._files = files
        self._root = root

    def get(self, name: str, *, at: int = 0, length: int | None = None) -> bytes:
        """These bytes of an object."""
        end = None if length is None else at + length
        with self._speaking(name):
            content = bytes(self._files.cat_file(self._path(name), start=at, end=end))
        if length is not None and len(content) < length:
            raise ObjectDamaged(name)
        return content

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        with suppress(ObjectMissing), self._speaking(name):
            self._files.rm_file(self._path(name))

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._speaking(name):
            return bool(self._files.exists(self._path(name)))

    def iterate(self, prefix: str) -> Iterator[str]:
        """The names below a prefix."""
        with self._speaking(prefix):
            found = self._files.find(self._path(prefix))
        for path in found:
            name = path.removeprefix(f"{self._root}/")
            if _UNFINISHED not in name:
                yield name

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked_name(name)}"

    @contextmanager
    def _speaking(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(name) from error
        except self._failures as error:
            raise ObjectStoreUnusable(name, str(error) or type(error).__name__) from error


class FolderStore(_Store):
    """The port `ObjectStore` in a folder that only its owner may read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalFileSystem(skip_instance_cache=True), root=str(folder))  # type: ignore[no-untyped-call] # it says no types

    def put(self, name: str, content: bytes) -> None:
        """Write a whole object, durably."""
        path = Path(self._path(name))
        draft = path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        with self._speaking(name):
            _make_folders(path.parent)
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)


class BucketStore(_Store):
    """The port `ObjectStore` in a bucket of S3."""

    def __init__(self, files: Any, *, root: str) -> None:
        super().__init__(files, root=root)
        self._failures = (OSError, importlib.import_module("botocore.exceptions").BotoCoreError)

    def put(self, name: str, content: bytes) -> None:
        """Write a whole object: the answer comes when it is kept. A bucket that is not there is made."""
        path = self._path(name)
        with self._speaking(name):
            try:
                self._files.pipe_file(path, content)
            except FileNotFoundError:
                self._files.mkdir(self._root.split("/")[0])
                self._files.pipe_file(path, content)


def _open_s3(place: Place) -> Any:
    if not place.key or not place.secret:
        # Without them the client would ask a cloud's metadata service: nothing here calls out by itself.
        raise SettingInvalid(_KEY, f"they are not set, and {_URL} names a bucket")
    timing = {"connect_timeout": _CONNECT_S, "read_timeout": _ANSWER_S, "retries": {"max_attempts": 2}}
    style = {"s3": {"addressing_style": "path"}} if place.endpoint else {}
    try:
        return filesystem_class("s3")(  # type: ignore[no-untyped-call] # the same
            key=place.key,
            secret=place.secret,
            endpoint_url=place.endpoint or None,
            config_kwargs={**timing, **style},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
    except ImportError as error:
        raise SettingInvalid(_URL, "S3 needs `pip install 'qianli[s3]'`") from error


def _make_folders(folder: Path) -> None:
    """Missing folders from the top down, each name made durable in the one above."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    sync_folder(folder.parent)
