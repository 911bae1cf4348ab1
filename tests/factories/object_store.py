"""A real S3 server on loopback, behind a network that can be slow, cut, throttled or gone."""

import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

_PROGRAM = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
_WHO = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=unchecked"
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} by order of the test</Message></Error>"


class Manner(StrEnum):
    """What becomes of a request.

    `passing`: it is answered; `slow`: after `Faults.delay_s`; `cut`: half of the body arrives; `throttled`: 503
    SlowDown; `too_many`: 429; `refusing`: the connection is closed at once; `denied`: 403 AccessDenied;
    `stranger`: 403 InvalidAccessKeyId; `hanging`: nothing arrives for as long as the manner lasts.
    """

    passing = "passing"
    slow = "slow"
    cut = "cut"
    throttled = "throttled"
    too_many = "too_many"
    refusing = "refusing"
    denied = "denied"
    stranger = "stranger"
    hanging = "hanging"


_ANSWERS = {
    Manner.throttled: (503, "SlowDown"),
    Manner.too_many: (429, "TooManyRequests"),
    Manner.denied: (403, "AccessDenied"),
    Manner.stranger: (403, "InvalidAccessKeyId"),
}


@dataclass
class Faults:
    """How the network behaves from now on.

    Attributes:
        manner: What becomes of requests.
        times: How many of them it befalls, the others pass; None is all.
        only: Part of the raw path and method (`GET /bucket/a.png`) that a request must have to be befallen.
        delay_s: Length of a delay.
        requests: Method, raw path and manner of every request so far.
    """

    manner: Manner = Manner.passing
    times: int | None = None
    only: str = ""
    delay_s: float = 0.3
    requests: list[tuple[str, str, Manner]] = field(default_factory=list)
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, manner: Manner, *, times: int | None = None, only: str = "") -> None:
        """Sets what befalls the next requests, and forgets those so far."""
        with self.lock:
            self.manner, self.times, self.only = manner, times, only
            self.requests.clear()

    def clear(self) -> None:
        """Lets everything pass from now on."""
        self.plan(Manner.passing)

    def count(self, method: str = "", path: str = "") -> int:
        """Number of requests so far with this method and this in their path; all when empty."""
        return sum(method in (one, "") and path in where for one, where, _ in list(self.requests))

    def take(self, method: str, path: str) -> Manner:
        """What becomes of a request."""
        with self.lock:
            manner = self.manner if self.only in f"{method} {path}" and self.times != 0 else Manner.passing
            if manner is not Manner.passing and self.times is not None:
                self.times -= 1
            self.requests.append((method, path, manner))
            return manner


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: int

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def carry(self) -> None:
        """Carries one request."""
        body = self._read_body()
        manner = self.faults.take(self.command, self.path)
        if manner is Manner.slow:
            time.sleep(self.faults.delay_s)
        while manner is Manner.hanging and self.faults.manner is Manner.hanging and not self.faults.over:
            time.sleep(0.01)
        if manner in (Manner.refusing, Manner.hanging):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        if manner in _ANSWERS:
            status, code = _ANSWERS[manner]
            self._answer(status, {"Content-Type": "application/xml"}, _ERROR.format(code=code).encode())
            return
        status, headers, content = self._ask(body)
        self._answer(status, headers, content, cut=manner is Manner.cut)

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        skipped = {"transfer-encoding", "content-length", "connection", "expect"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in skipped}
            length = answer.getheader("Content-Length")
            if self.command == "HEAD" and length is not None:
                kept["Content-Length"] = length
            return answer.status, kept, content
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.carry)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@dataclass
class ObjectStore:
    """A running server.

    Attributes:
        endpoint: Address of the network to it, where faults happen.
        faults: How that network behaves.
        environment: Variables by which every S3 library finds it; it is for the test to set them.
    """

    endpoint: str
    faults: Faults
    environment: dict[str, str]
    port: int

    def url(self, key: str) -> str:
        """Address of `bucket/key`."""
        return f"s3://{key}"

    def make_bucket(self, name: str) -> None:
        """Makes a bucket; one that is there is kept."""
        self._send("PUT", f"/{name}")

    def put(self, key: str, content: bytes) -> None:
        """Stores an object under `bucket/key`, past the faults; its bucket is made."""
        self.make_bucket(key.partition("/")[0])
        self._send("PUT", "/" + urllib.parse.quote(key), content)

    def put_folder(self, folder: Path, key: str) -> None:
        """Stores all files of a folder below `bucket/key`, past the faults."""
        self.make_bucket(key.partition("/")[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"/{key}/{path.relative_to(folder).as_posix()}"
                self._send("PUT", urllib.parse.quote(name), path.read_bytes())

    def get(self, key: str) -> bytes:
        """Content of `bucket/key`, past the faults; raises KeyError where there is none."""
        return self._send("GET", "/" + urllib.parse.quote(key))

    def delete(self, key: str) -> None:
        """Removes `bucket/key`, past the faults."""
        self._send("DELETE", "/" + urllib.parse.quote(key))

    def _send(self, method: str, path: str, content: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Length": str(len(content)), "Authorization": _WHO}
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 400:
                raise KeyError(f"{method} {path}: {answer.status} {body[:300]!r}")
            return body
        finally:
            connection.close()


@contextlib.contextmanager
def object_store(tmp_path: Path) -> Iterator[ObjectStore]:
    """Runs an S3 server in a process of its own until the block ends.

    Args:
        tmp_path: A folder for its (empty) configuration files, so that nobody's own is read.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    faults = Faults()
    server = None
    try:
        port = int(process.stdout.readline())
        handler = type("Handler", (_Handler,), {"faults": faults, "upstream": port})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "no_aws_config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no_aws_credentials"),
            "NO_PROXY": ",".join(filter(None, ("127.0.0.1", os.environ.get("NO_PROXY")))),
        }
        yield ObjectStore(endpoint, faults, environment, port)
    finally:
        faults.over = True
        if server is not None:
            server.shutdown()
            server.server_close()
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait()
