"""How large a body may be and how long it may take: counted while it streams, never gathered here."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The limits; `larger` names, by the beginning of their address, routes that take more."""

    most_bytes: int = 256 * KIB
    larger: Mapping[str, int] = field(default_factory=dict)
    first_byte_within_s: float = 10.0
    least_bytes_per_s: float = 4 * KIB

    def limit_of(self, scope: Scope) -> int:
        """How many bytes the body of this request may have."""
        path = scope["path"]
        return max(
            (most for start, most in self.larger.items() if path.startswith(start)), default=self.most_bytes
        )

    def is_too_large(self, scope: Scope, headers: Headers) -> bool:
        """Does the request itself say that its body is too large?"""
        told = headers.get("content-length", "0")
        return scope["type"] == "http" and told.isdecimal() and int(told) > self.limit_of(scope)

    def watch(self, receive: Receive, scope: Scope) -> Receive:
        """Give the body on as it comes.

        The returned function raises HTTPException: 413 when it grows too large, 408 when it comes more slowly
        than a poor mobile line would bring it.
        """
        if scope["type"] != "http":
            return receive
        limit = self.limit_of(scope)
        taken, is_whole, began_s = 0, False, time.monotonic()

        async def receive_counted() -> Message:
            nonlocal taken, is_whole
            if is_whole:  # from now on this waits for the connection to end, for as long as that takes
                return await receive()
            until_s = began_s + self.first_byte_within_s + taken / self.least_bytes_per_s
            try:
                message = await asyncio.wait_for(receive(), timeout=max(0.0, until_s - time.monotonic()))
            except TimeoutError:
                raise HTTPException(
                    408, "this body comes too slowly", headers={"Connection": "close"}
                ) from None
            taken += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if taken > limit:
                raise HTTPException(413, "this is more than the route takes", headers={"Connection": "close"})
            return message

        return receive_counted
