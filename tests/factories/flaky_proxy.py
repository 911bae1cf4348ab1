"""A network that hangs, refuses, or loses answers, between a client and a real server on loopback."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

_CHUNK = 1 << 16


class Manner(StrEnum):
    """What becomes of what is sent.

    `passing`: it arrives; `hanging`: connections are taken and nothing ever arrives; `refusing`: connections are closed
    at once.
    """

    passing = "passing"
    hanging = "hanging"
    refusing = "refusing"


class FlakyProxy:
    """A proxy on a port of its own.

    Attributes:
        manner: How it behaves from now on, also towards connections that are open already.
        loses_every: Every so manieth answer is thrown away after the server has done what was asked; none when 0.
        lost: Answers that were thrown away.
    """

    def __init__(self, upstream: int) -> None:
        self.manner = Manner.passing
        self.loses_every = 0
        self.lost = 0
        self.over = False
        self._answers = 0
        self._upstream = upstream
        self._lock = threading.Lock()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy.carry(self.request)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def start(self) -> None:
        """Takes connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Closes all."""
        self.over = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def carry(self, client: Any) -> None:
        """Carries what is sent on one connection, both ways, until one side closes it."""
        if not self._may_pass():
            return
        with socket.create_connection(("127.0.0.1", self._upstream)) as server:
            back = threading.Thread(target=self._pump, args=(server, client), kwargs={"is_answer": True}, daemon=True)
            back.start()
            self._pump(client, server, is_answer=False)
            back.join()

    def _pump(self, source: Any, target: Any, *, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if not self._may_pass() or (is_answer and self._loses()):
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _may_pass(self) -> bool:
        while self.manner is Manner.hanging and not self.over:
            time.sleep(0.01)
        return self.manner is Manner.passing and not self.over

    def _loses(self) -> bool:
        with self._lock:
            self._answers += 1
            is_lost = self.loses_every > 0 and self._answers % self.loses_every == 0
            self.lost += is_lost
        return is_lost


@contextlib.contextmanager
def flaky(upstream: int) -> Iterator[FlakyProxy]:
    """Runs a proxy to a port on this computer until the block ends."""
    proxy = FlakyProxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
