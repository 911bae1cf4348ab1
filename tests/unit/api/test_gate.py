"""What every request passes: answers that end early, clients that go, and requests that are refused unread."""

import asyncio
import contextlib
import json

import pytest

from phytoscope.api.body import BODY_LEFT, ClientGoneError
from phytoscope.api.gate import Gate
from phytoscope.api.metrics import Metrics
from phytoscope.api.security import Door
from phytoscope.schema.serve import ServeConfig

START = {"type": "http.response.start", "status": 200, "headers": []}


def pass_through(app, metrics, incoming=(), send_seconds=5.0, send=None):
    """Sends one request through a gate before an application; gives the messages that came out."""
    sent, waiting = [], list(incoming)

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def keep(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": []}
    gate = Gate(app, metrics, Door(ServeConfig()), send_seconds)
    asyncio.run(gate(scope, receive, send or keep))
    return sent


def count(metrics, status):
    """How many requests ended with a status."""
    return metrics.requests.labels("/v1/predict", str(status))._value.get()


def test_half_an_answer_is_no_whole_one():
    """After the first half nothing can be said: the fault goes on, so that the server breaks the connection."""

    async def app(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("in the middle")

    metrics = Metrics()
    with pytest.raises(ValueError, match="in the middle"):
        pass_through(app, metrics)
    assert (count(metrics, 500), count(metrics, 200)) == (1, 0)


def test_client_that_takes_nothing_is_given_up():
    """An answer that nobody takes ends after its time."""

    async def app(scope, receive, send):
        await send(START)

    async def send(message):
        await asyncio.sleep(60)

    metrics = Metrics()
    with pytest.raises(TimeoutError):
        pass_through(app, metrics, send_seconds=0.05, send=send)
    assert count(metrics, 500) == 1


def test_client_that_has_gone_is_counted_and_told_nothing():
    """Status 499, as proxies count it."""

    async def app(scope, receive, send):
        raise ClientGoneError

    metrics = Metrics()
    assert pass_through(app, metrics) == []
    assert count(metrics, 499) == 1


@pytest.mark.parametrize("rest", [[b"more", b"end"], [b"more"]], ids=["sent to the end", "cut off"])
def test_refused_body_is_read_on_for_a_moment(rest):
    """The refusal comes whole, says that the connection ends, and what still comes is thrown away."""

    async def app(scope, receive, send):
        scope[BODY_LEFT] = True
        raise ValueError("/secret/place")

    incoming = [{"type": "http.request", "body": part, "more_body": part != b"end"} for part in rest]
    start, body, end = pass_through(app, Metrics(), incoming)
    headers = dict(start["headers"])
    assert (start["status"], headers[b"connection"]) == (500, b"close")
    told = json.loads(body["body"])["error"]
    assert told["request_id"].encode() == headers[b"x-request-id"]
    assert "secret" not in str(told)
    assert not end.get("more_body", False)


@pytest.mark.parametrize(("words", "status"), [("is gone", 500), ("Cannot call write() after write_eof()", 499)])
def test_connection_that_was_closed_meanwhile_is_a_client_that_has_gone(words, status):
    """What the server raises for it is told from other faults of the server."""

    async def app(scope, receive, send):
        await send(START)

    async def send(message):
        raise RuntimeError(words)

    metrics = Metrics()
    with contextlib.suppress(RuntimeError):
        pass_through(app, metrics, send=send)
    assert count(metrics, status) == 1


def test_refused_body_is_not_read_on_for_ever():
    """Who sends on without end is cut off after some megabytes."""
    read = []

    async def app(scope, receive, send):
        scope[BODY_LEFT] = True
        raise ValueError("no")

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message):
        sent.append(message)

    sent, part = [], bytes(1_000_000)
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": []}
    asyncio.run(Gate(app, Metrics(), Door(ServeConfig()), 5.0)(scope, receive, send))
    assert sent[0]["status"] == 500
    assert 1 <= len(read) < 200
