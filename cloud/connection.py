"""One HTTP connection: as uvicorn's, but who sends nothing, or half a request, does not hold it for ever."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud.guard import security_headers

HEADERS_WITHIN_S = 15.0
_LEAVE_AFTER_S = 0.5
_NO_HTTP = b'{"error":"this is no HTTP request"}'


class HttpConnection(H11Protocol):
    """Adds a time within which the next request's headers must be complete."""

    headers_within_s = HEADERS_WITHIN_S
    _waiting: asyncio.TimerHandle | None = None
    _is_leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Between two requests the time runs from the first byte of the second."""
        if self._is_leaving:
            return
        if self._waiting is None and self.conn.their_state is h11.IDLE:
            self._await_headers()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end_waiting()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered as everything else is."""
        self._end_waiting()
        scope: dict[str, object] = {"path": "/", "scheme": self.scheme}
        told = {
            **security_headers(scope, host="localhost"),
            "Content-Type": "application/json",
            "Connection": "close",
        }
        headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=_NO_HTTP),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        # If it closed at once, what still arrives would reset the connection, and the answer would be lost.
        self._is_leaving = True
        self.loop.call_later(_LEAVE_AFTER_S, self.transport.close)

    def _await_headers(self) -> None:
        self._waiting = self.loop.call_later(self.headers_within_s, self._give_up)

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.close()
