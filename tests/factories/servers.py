"""A real file server on loopback, with the manners and bad manners of the servers that data sets lie on."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Served:
    """One file on the server.

    Attributes:
        content: Its bytes.
        headers: Sent along with it.
        breaks: Bytes after which the connection ends, one entry a request; later requests get everything.
        statuses: Status codes answered first, one a request, before the file is given.
        ranges: Whether parts can be asked for.
        redirect: Address to send the client to instead.
        wants: Value of the Authorization header without which it answers 403.
    """

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    redirect: str | None = None
    wants: str | None = None


@dataclass
class FileServer:
    """A running server: its address, and every request it got as (method, path, headers)."""

    address: str
    files: dict[str, Served]
    requests: list[tuple[str, str, dict[str, str]]]

    def ranges_asked(self) -> list[str]:
        """The Range header of every GET, `` where there was none."""
        return [headers.get("Range", "") for method, _, headers in self.requests if method == "GET"]


class _Handler(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, Served]]
    log: ClassVar[list[tuple[str, str, dict[str, str]]]]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.log.append((self.command, self.path, dict(self.headers.items())))
        served = self.files.get(path)
        if served is None:
            self._refuse(404)
        elif served.wants is not None and self.headers.get("Authorization") != served.wants:
            self._refuse(403)
        elif served.redirect is not None:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif served.statuses:
            self._refuse(served.statuses.pop(0))
        else:
            self._send(served, with_body=with_body)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, served: Served, *, with_body: bool) -> None:
        tag = '"' + hashlib.md5(served.content).hexdigest() + '"'  # noqa: S324 (a name, not a secret)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and served.ranges and self.headers.get("If-Range") == tag else 0
        if start >= len(served.content) > 0 and start > 0:
            self._refuse(416)
            return
        body = served.content[start:]
        self.send_response(206 if start > 0 else 200)
        if start > 0:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        for name, value in ({"ETag": tag, "Content-Length": str(len(body))} | served.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body and served.breaks:
            self.wfile.write(body[: served.breaks.pop(0)])
            self.close_connection = True
        elif with_body:
            self.wfile.write(body)


@contextlib.contextmanager
def serve_files(files: dict[str, Served]) -> Iterator[FileServer]:
    """Serves files under their paths until the block ends."""
    log: list[tuple[str, str, dict[str, str]]] = []

    handler = type("Handler", (_Handler,), {"files": files, "log": log})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield FileServer(f"http://127.0.0.1:{server.server_port}", files, log)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
