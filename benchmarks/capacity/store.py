"""A store that speaks S3, on this machine, in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from turns import Doing

from phytoscope.errors import require
from phytoscope.storage.place import open_place

_BUCKET = "s3://photos"
_WAIT_S = 60.0


@contextlib.contextmanager
def serve_store() -> Iterator[None]:
    """Starts the store and points the usual environment variables at it; ends it again."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:  # noqa: S603 (ours)
        try:
            _wait_for(port, server)
            yield
        finally:
            server.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    message = f"the store did not answer within {_WAIT_S:.0f} s"
    raise SystemExit(message)


def list_fetching(photos: dict[str, list[Path]]) -> dict[str, Doing]:
    """Fetching photographs from the store, for both sizes; only the side that fetches is measured."""
    files = require("s3fs").S3FileSystem()
    files.mkdir(_BUCKET)
    parts: dict[str, Doing] = {}
    for kind, paths in photos.items():
        places = []
        for path in paths:
            files.pipe_file(f"{_BUCKET}/{path.name}", path.read_bytes())
            places.append(open_place(f"{_BUCKET}/{path.name}"))
        parts[f"fetch from a store, {kind}"] = _fetching(places)
    return parts


def _fetching(places: list[Path]) -> Doing:
    def do() -> int:
        for place in places:
            place.read_bytes()
        return len(places)

    return do
