"""Real MLflow for tests: stores in a file, servers on loopback, and runs whose events are told to them."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import Event, EventLog, RunKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.mlflow_sink import MlflowSink
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget, local_uri

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Environment of MLflow's own programs in tests."""


@functools.cache
def _template() -> Path:
    """An empty store; making its tables takes seconds, copying it none."""
    folder = Path(tempfile.mkdtemp(prefix="phytoscope-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sink = MlflowSink(TrackTarget(TrackSink.mlflow, local_uri(folder), "template"))
    sink.open(TrackedRun("0" * 32, "template", RunKind.run, None, folder, 0.0))
    return folder / "mlflow.db"


def make_store(folder: Path) -> str:
    """Puts a store of one other experiment into a folder; gives its tracking URI."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), folder / "mlflow.db")
    return local_uri(folder)


def find_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(command: Sequence[str], health: str, *, seconds: float = 120, **env: str) -> Iterator[int]:
    """Runs a server as a process group of its own until the block ends; gives its process id once it answers."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, **QUIET, **env}, start_new_session=True
        )
        try:
            deadline = time.monotonic() + seconds
            while not _answers(health):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise AssertionError(said.read().decode(errors="replace")[-4000:])
                time.sleep(0.1)
            yield process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def served(folder: Path, port: int | None = None) -> Iterator[str]:
    """A real tracking server over a store in a folder; gives its address."""
    store = make_store(folder) if not (folder / "mlflow.db").exists() else local_uri(folder)
    port = port or find_port()
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    address = f"http://127.0.0.1:{port}"
    with started([sys.executable, "-m", "mlflow", *words, *places], f"{address}/health"):
        yield address


class Told:
    """A run folder with an event log, and a tracker that its events are told to."""

    def __init__(self, root: Path, uri: str, *, experiment: str = "leaves", pyfunc: bool = True) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.log = EventLog(RunFolder(root))
        self.sink = MlflowSink(TrackTarget(TrackSink.mlflow, uri, experiment, pyfunc=pyfunc))
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.remote = ""

    def events(self) -> list[Event]:
        return list(read_events(self.log.path))

    def run(self) -> TrackedRun:
        first = self.events()[0]
        content = first.content
        kind = RunKind(content["kind"])
        return TrackedRun(first.run, content["name"], kind, content["parent"], self.root, first.time, self.remote)

    def tell(self, events: Sequence[Event] | None = None) -> dict[str, str]:
        """Tells all events, or these."""
        self.remote = self.sink.open(self.run())
        return self.sink.send(self.run(), self.events() if events is None else events)

    def read(self):
        """The run as MLflow has it."""
        return self.client.get_run(self.remote)

    def list_files(self, folder: str = "") -> list[str]:
        """Paths of all files that the run has in MLflow."""
        # The client would also list the files of MLflow models that have the name of a folder.
        repository = get_artifact_repository(self.read().info.artifact_uri, tracking_uri=self.client.tracking_uri)

        def walk(place: str | None) -> Iterator[str]:
            for entry in repository.list_artifacts(place):
                yield from walk(entry.path) if entry.is_dir else [entry.path]

        return sorted(walk(folder or None))
