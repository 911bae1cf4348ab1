"""The server's connections, with limits that it does not have itself: time and size of the head, and their number."""

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from phytoscope.api.body import LOST
from phytoscope.api.logs import note
from phytoscope.api.security import HEADERS
from phytoscope.schema.serve import ServeConfig

_MOST_HEAD_BYTES: Final = 32_768
# A first piece may hold the head and the start of a body.
_MOST_UNREAD_BYTES: Final = 512_000
_ABORT_SECONDS: Final = 2.0


def build_protocol(config: ServeConfig) -> type[HttpToolsProtocol]:
    """The kind of connection that a service with these settings has.

    Args:
        config: Settings.
    """
    return cast(
        "type[HttpToolsProtocol]",
        type(
            "LimitedProtocol",
            (GuardedProtocol,),
            {
                "head_seconds": config.header_timeout_s,
                "most_connections": config.max_connections,
                "refused": set(),
            },
        ),
    )


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        head_seconds: Time for the head of a request, from its first byte, or from the start of the connection.
        most_connections: Connections at once; further ones are told to come back.
        refused: Connections that were refused and whose clients may still read why.
    """

    head_seconds = 10.0
    most_connections = 512
    refused: ClassVar[set["GuardedProtocol"]] = set()

    def __init__(self, *words: Any, **settings: Any) -> None:
        """Takes what the server gives it."""
        super().__init__(*words, **settings)
        self._head_timer: Any = None
        self._head_bytes = 0
        self._unread_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Starts the clock for the first request."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(503, "not_ready", "too many connections are open; try again in a few seconds.", "2")
            return
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request that is under way."""
        self._stop_clock()
        self.refused.discard(self)
        is_open = not self._is_idle()
        super().connection_lost(exc)
        if is_open:
            listeners = cast("list[Callable[[], None]]", cast("Any", self.cycle.scope).get(LOST, []))
            for tell in listeners:
                tell()

    def data_received(self, data: bytes) -> None:
        """Reads, and keeps the clock running as long as no request is whole."""
        if self in self.refused:
            return
        if self._head_timer is not None:
            self._unread_bytes += len(data)
            if self._unread_bytes > _MOST_UNREAD_BYTES:
                self._refuse(431, "too_large", "the head of the request is too large.")
                return
        super().data_received(data)
        if self._is_idle() and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._start_clock()

    def on_message_begin(self) -> None:
        """Starts the clock for a further request of the connection."""
        super().on_message_begin()
        self._head_bytes = 0
        self._start_clock()

    def on_url(self, url: bytes) -> None:
        """Counts the address."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts a header."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stops the clock: the body has one of its own."""
        self._stop_clock()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP."""
        self._refuse(400, "bad_request", "this is no valid HTTP request.")

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, also when its client takes nothing any more."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_ABORT_SECONDS, self.transport.abort)

    def _is_idle(self) -> bool:
        # None before the first request, whatever the server's own annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _count(self, *texts: bytes) -> None:
        self._head_bytes += sum(map(len, texts))
        if self._head_bytes > _MOST_HEAD_BYTES:
            message = "the head of the request is too large"
            raise ValueError(message)

    def _start_clock(self) -> None:
        if self._head_timer is None:
            self._unread_bytes = 0
            self._head_timer = self.loop.call_later(self.head_seconds, self._run_out)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _run_out(self) -> None:
        self._head_timer = None
        # While an answer is under way, what follows it in the same connection may wait.
        if self._is_idle():
            self._refuse(408, "timeout", f"the request was not sent within {self.head_seconds:g} s.")

    def _refuse(self, status: int, code: str, message: str, wait: str = "") -> None:
        self._stop_clock()
        request_id = uuid.uuid4().hex
        note("connection refused", logging.DEBUG, request_id=request_id, status=status)
        body = json.dumps({"error": {"code": code, "message": message, "request_id": request_id}}).encode()
        lines = [
            f"HTTP/1.1 {status} {_PHRASES[status]}".encode(),
            b"content-type: application/json",
            b"content-length: " + str(len(body)).encode(),
            b"connection: close",
            b"x-request-id: " + request_id.encode(),
            *([b"retry-after: " + wait.encode()] if wait else []),
            *(name + b": " + value for name, value in HEADERS.items()),
        ]
        self.connections.discard(self)
        if self.transport.is_closing() or len(self.refused) >= self.most_connections:
            self.transport.abort()
            return
        # What still comes is thrown away for a moment: closing on it would take the answer away from the client.
        self.refused.add(self)
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_ABORT_SECONDS, self.transport.abort)


_PHRASES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
