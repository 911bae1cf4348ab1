"""A real HTTP server that answers as it is told, one instruction a request: what a service does on its bad days."""

import contextlib
import http.server
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Said:
    """One answer.

    Attributes:
        status: HTTP status; 0 breaks the connection instead.
        body: JSON of it, or text as it is.
        headers: Further headers.
        cut: Whether the connection breaks in the middle of the body.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class MoodyService:
    """A running server: its address, and method, path, headers and body of every request it got."""

    url: str
    requests: list[tuple[str, str, dict[str, str], bytes]]


def refuse(status: int, code: str, message: str, **headers: str) -> Said:
    """An error as the service words it."""
    body = {"error": {"code": code, "message": message, "request_id": "abc123"}}
    return Said(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@contextlib.contextmanager
def moody_service(*answers: Said) -> Iterator[MoodyService]:
    """Answers one request after the other as told; the last one is repeated for ever."""
    left = list(answers)
    log: list[tuple[str, str, dict[str, str], bytes]] = []
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            with lock:
                log.append((self.command, self.path, dict(self.headers.items()), body))
                said = left.pop(0) if len(left) > 1 else left[0]
            if said.status == 0:
                self.break_off()
                return
            text = said.body if isinstance(said.body, str) else json.dumps(said.body)
            content = text.encode()
            self.send_response(said.status)
            for name, value in ({"Content-Length": str(len(content))} | said.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if said.cut else content)
            if said.cut:
                self.wfile.flush()
                self.break_off()

        def break_off(self) -> None:
            # Without waiting: the other side sees a connection that is reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # A connection that was broken off on purpose is no fault to tell.
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield MoodyService(f"http://127.0.0.1:{server.server_port}", log)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
