"""What every request passes: its number, the key, the headers of its answer, errors as JSON, counts and the log."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phytoscope.api.body import BODY_LEFT, ClientGoneError
from phytoscope.api.errors import RequestError, explain_fault
from phytoscope.api.logs import note, note_error
from phytoscope.api.metrics import Metrics
from phytoscope.api.security import HEADERS, Door

REQUEST_ID: Final = "phytoscope.request_id"
BEGAN: Final = "phytoscope.began"
ROUTE: Final = "phytoscope.route"
_PLAIN_ID: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
# A client that is told "too large" reads that only if somebody still listens to the rest of what it sends.
_DRAIN_SECONDS: Final = 2.0
_DRAIN_BYTES: Final = 64_000_000
_GONE: Final = 499
_CLOSED: Final = "after write_eof"
# What is refused before a route is found is counted under its address all the same, as long as it is one of ours.
_ADDRESSES: Final = frozenset({"/v1/predict", "/v1/explain", "/v1/models", "/v1/feedback", "/metrics"})


class Gate:
    """Stands before all routes."""

    def __init__(self, app: ASGIApp, metrics: Metrics, door: Door, send_seconds: float) -> None:
        """Takes what it needs.

        Args:
            app: The routes.
            metrics: Counts requests.
            door: Knows the keys.
            send_seconds: Time that a client has to take an answer.
        """
        self._app, self._metrics, self._door, self._send_seconds = app, metrics, door, send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send, self._send_seconds)
        status = 500
        try:
            self._door.check(scope["method"], scope["path"], scope["headers"])
            await self._app(scope, receive, passage.send)
            status = passage.status
        except ClientGoneError:
            status = _GONE
        except Exception as error:  # noqa: BLE001 (a border: whatever happens, the client gets words and the log the rest)
            status = await self._refuse(error, scope, receive, passage)
        finally:
            self._count(scope, status)

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, passage: "_Passage") -> int:
        fault = explain_fault(error)
        if fault.status >= 500 and not isinstance(error, RequestError | TimeoutError):
            note_error("a request failed", error, request_id=scope[REQUEST_ID])
        if passage.status != 0:
            # Half of an answer is out; closing the connection is all that can be said.
            raise error
        await passage.send_error(fault, receive)
        return fault.status

    def _count(self, scope: Scope, status: int) -> None:
        seconds = time.perf_counter() - scope[BEGAN]
        route = scope.get(ROUTE, scope["path"] if scope["path"] in _ADDRESSES else "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.DEBUG if route in ("/healthz", "/readyz", "/metrics") else logging.INFO
        note(
            "request",
            level,
            request_id=scope[REQUEST_ID],
            method=scope["method"],
            route=route,
            status=status,
            took_ms=round(1000 * seconds, 1),
        )


class _Passage:
    """Sends the answer of one request, with the headers that all answers have."""

    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self.status = 0
        self._scope, self._send, self._seconds = scope, send, seconds
        scope[BEGAN] = time.perf_counter()
        found = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        # A number that a proxy gave is kept, so that its log and ours can be read together.
        scope[REQUEST_ID] = found.decode() if _PLAIN_ID.fullmatch(found) else secrets.token_hex(16)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            given = {name for name, _ in headers}
            headers.extend((name, value) for name, value in HEADERS.items() if name not in given)
            headers.append((b"x-request-id", self._scope[REQUEST_ID].encode()))
            if self._scope.get(BODY_LEFT):
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except RuntimeError as error:
            # The client has closed its side, and the connection has been told so meanwhile.
            if _CLOSED in str(error):
                raise ClientGoneError from error
            raise

    async def send_error(self, fault: RequestError, receive: Receive) -> None:
        text = json.dumps(word_error(fault, self._scope[REQUEST_ID]), ensure_ascii=False)
        body = text.encode("utf-8", "backslashreplace")
        headers = {"content-type": "application/json", "content-length": str(len(body)), **fault.headers}
        await self.send(
            {
                "type": "http.response.start",
                "status": fault.status,
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            }
        )
        is_left = bool(self._scope.get(BODY_LEFT))
        await self.send({"type": "http.response.body", "body": body, "more_body": is_left})
        if is_left:
            await _drain(receive)
            await self.send({"type": "http.response.body", "body": b""})


def word_error(fault: RequestError, request_id: str) -> Mapping[str, Any]:
    """The body of an answer that is an error, see `wire.ErrorAnswer`.

    Args:
        fault: What went wrong.
        request_id: Number of the request.
    """
    return {"error": {"code": fault.code, "message": str(fault), "request_id": request_id}}


async def _drain(receive: Receive) -> None:
    """Reads on for a moment, and throws it away."""
    seen = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while seen < _DRAIN_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
