"""Records as the service makes them, databases in trouble, and a PostgreSQL server of one's own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phytoscope.schema.records import FeedbackRecord, PredictionRecord

BEGAN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
POSTGRES = Path("/usr/lib/postgresql/15/bin")


def make_prediction(number: int = 0, **changes: Any) -> PredictionRecord:
    """The answer for one leaf; they follow each other by a minute."""
    answer = {"label": "rust", "label_set": ["rust", "scab"], "probabilities": {"rust": 0.9, "scab": 0.1}}
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "request_id": f"{number:016x}",
        "at": BEGAN + timedelta(minutes=number),
        "model_id": "0123456789abcdef",
        "model_name": "leaves",
        "model_version": None,
        "task": "classification",
        "label": "rust",
        "probability": 0.9,
        "value": None,
        "unit": "",
        "lower": None,
        "upper": None,
        "verdict": "accept",
        "reasons": (),
        "novelty": 0.5,
        "image_sha256": f"{number:064x}",
        "width_px": 640,
        "height_px": 480,
        "took_ms": 12.5,
        "answer": json.dumps(answer),
    }
    return PredictionRecord(**fields | changes)


def make_weight(number: int = 0, **changes: Any) -> PredictionRecord:
    """The answer for one plant: 10 g, between 8 and 12 g, and 4 leaves, between 3 and 5."""
    answer = {
        "values": {"weight": 10.0, "leaves": 4.0},
        "units": {"weight": "g", "leaves": ""},
        "lowers": {"weight": 8.0, "leaves": 3.0},
        "uppers": {"weight": 12.0, "leaves": 5.0},
    }
    known = {"task": "regression", "label": None, "probability": None, "value": 10.0, "unit": "g", "lower": 8.0}
    return make_prediction(number, **known | {"upper": 12.0, "answer": json.dumps(answer)} | changes)


def make_feedback(number: int = 0, about: int = 0, **changes: Any) -> FeedbackRecord:
    """What turned out to be true of one answer."""
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "prediction_id": f"{about:032x}",
        "at": BEGAN + timedelta(days=1, minutes=number),
    }
    return FeedbackRecord(**fields | changes)


def wait_until(is_so: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits for something to come true, and fails when it does not."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError("it did not come true in time")
        time.sleep(0.01)


@contextlib.contextmanager
def running_postgres() -> Iterator["PostgresServer"]:
    """Runs PostgreSQL on a free port of this computer, with an empty database."""
    if not (POSTGRES / "initdb").is_file():
        pytest.skip(f"PostgreSQL 15 is not installed in {POSTGRES}")
    # The server refuses to run as root, and another user may not look into a test's own folder.
    runner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="phytoscope-postgres-"))
    if runner:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    server = PostgresServer(runner, data, options, f"postgresql://tester@127.0.0.1:{port}/postgres")
    try:
        server.call("initdb", "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """A running server, which can be stopped and started again."""

    def __init__(self, runner: list[str], data: Path, options: str, url: str) -> None:
        self.runner, self.data, self.options, self.url = runner, data, options, url

    def call(self, program: str, *words: str, check: bool = True) -> None:
        command = [*self.runner, str(POSTGRES / program), *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self.data.parent)
        if check and done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def start(self) -> None:
        log = str(self.data.parent / "log")
        self.call("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "-o", self.options, "start")

    def stop(self) -> None:
        self.call("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop", check=False)
