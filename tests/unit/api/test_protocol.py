"""Connections with limits, without a network."""

import asyncio
from types import SimpleNamespace

import uvicorn
from uvicorn.server import ServerState

from phytoscope.api.protocol import build_protocol
from phytoscope.schema.serve import ServeConfig


class Transport:
    """Keeps what is written to it."""

    def __init__(self, can_end=True):
        self.written, self.ended, self.aborted, self.can_end = b"", False, False, can_end

    def write(self, data):
        self.written += data

    def can_write_eof(self):
        return self.can_end

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True

    def get_extra_info(self, _name, default=None):
        return default


def connect(*transports, **settings):
    """Opens connections, one after the other, and gives them."""

    async def answer(scope, receive, send):
        raise AssertionError

    async def work():
        kind = build_protocol(ServeConfig(**settings))
        config, state = uvicorn.Config(answer, lifespan="off", log_config=None), ServerState()
        found = []
        for transport in transports:
            protocol = kind(config=config, server_state=state, app_state={})
            protocol.connection_made(transport)
            found.append(protocol)
        for protocol in found:
            protocol._stop_clock()
        return found

    return asyncio.run(work())


def test_connections_past_the_limit_are_told_and_then_cut_off():
    """The first further one reads why; when too many of these stay as well, they are cut off without a word."""
    first, second, third = Transport(), Transport(can_end=False), Transport()
    connect(first, second, third, max_connections=1)
    assert (first.written, first.aborted) == (b"", False)
    assert second.written.startswith(b"HTTP/1.1 503 ")
    assert b"too many connections are open" in second.written
    assert (second.ended, second.aborted) == (False, False)
    assert (third.written, third.aborted) == (b"", True)


def test_refusal_ends_the_writing_where_that_can_be_said():
    """So that the client need not wait for more."""
    transports = Transport(), Transport()
    connect(*transports, max_connections=1)
    assert [transport.ended for transport in transports] == [False, True]


def test_next_request_may_wait_while_an_answer_is_under_way():
    """The time for a head runs out only where the service waits for one."""
    transport = Transport()
    (protocol,) = connect(transport)
    protocol.cycle = SimpleNamespace(response_complete=False)
    protocol._run_out()
    assert transport.written == b""
