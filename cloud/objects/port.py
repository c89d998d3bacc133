"""The port through which large bytes are kept, whatever they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from cloud.objects.errors import ObjectNameInvalid

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_.-]*)*")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where objects are kept: `file:///folder`, or `s3://bucket/prefix` at an endpoint with a key."""

    url: str
    endpoint: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


class ObjectStore(Protocol):
    """Objects by name. Threads may share it.

    Raises:
        ObjectStoreUnusable: the store does not answer, or refuses.
        ObjectNameInvalid: see `checked_name`.
    """

    def put(self, name: str, content: bytes) -> None:
        """Write a whole object: it is durable when this returns, and before nobody sees any of it."""

    def get(self, name: str, *, at: int = 0, length: int | None = None) -> bytes:
        """These bytes of an object; without `length` all from `at` on.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is shorter than that.
        """

    def delete(self, name: str) -> None:
        """Remove an object; that there is none is as good."""

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""

    def iterate(self, prefix: str) -> Iterator[str]:
        """The names below a prefix, in any order; what is being written is not among them."""


def checked_name(name: str) -> str:
    """The name, if it can be one in a folder and in S3: parts of a-z, 0-9, hyphens and lines, with slashes.

    Raises:
        ObjectNameInvalid: as its name says.
    """
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise ObjectNameInvalid(name)
    return name
