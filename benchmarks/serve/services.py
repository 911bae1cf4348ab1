"""The services that are compared, and how each is started and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from nets import PACKAGE_NAME

HERE = Path(__file__).resolve().parent
_READY_WITHIN_S = 120.0
_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True)
class Service:
    """One of those that are compared.

    Attributes:
        title: What the table calls it.
        words: Command line after the interpreter; `{net}`, `{package}`, `{port}` and `{place}` are filled in.
        route: Where images go.
        ready: Where it says that it can answer.
        field: Name of the form's field; None for the bytes of the photograph alone.
        runtime: What computes its network; for the limit that it is compared with.
    """

    title: str
    words: tuple[str, ...]
    route: str
    ready: str
    field: str | None
    runtime: str = "torch"


def _ours(title: str, runtime: str, field: str | None, *settings: str) -> Service:
    words = ("-m", "phytoscope", "serve", "{package}", "serve.port={port}", f"serve.runtime={runtime}")
    # What the peers do not do is left on: records, calibration, prediction sets, novelty, verdicts, golden pairs.
    records = "serve.records_url=sqlite:///{place}/records.db"
    return Service(title, (*words, records, *settings), "/v1/predict", "/readyz", field, runtime)


def _peer(title: str, file: str, workers: int) -> Service:
    words = (str(HERE / file), "{net}", "{port}", str(workers))
    return Service(title, words, "/predict", "/health", "file")


SERVICES = {
    "fastapi": _peer("FastAPI + torch", "fastapi_peer.py", 1),
    "fastapi2": _peer("FastAPI + torch, a worker a core", "fastapi_peer.py", 2),
    "litserve": _peer("LitServe, batches", "litserve_peer.py", 1),
    "litserve2": _peer("LitServe, batches, a worker a core", "litserve_peer.py", 2),
    "torch-form": _ours("phytoscope, torch, form", "torch", "files"),
    "torch-raw": _ours("phytoscope, torch, image as body", "torch", None),
    "auto-form": _ours("phytoscope, auto, form", "auto", "files"),
    "auto-raw": _ours("phytoscope, auto, image as body", "auto", None),
}


@dataclass(frozen=True)
class Running:
    """A service that answers.

    Attributes:
        url: Where images go.
        process: Its first process.
        started_s: Seconds from the start until it was ready.
    """

    url: str
    process: psutil.Process
    started_s: float

    def measure_cpu(self) -> float:
        """Seconds that all its processes have computed so far."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def measure_memory(self) -> float:
        """Memory of all its processes that is shared with nobody, in MB."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().uss / 1e6
        return total


@contextlib.contextmanager
def running(service: Service, net: Path, log: Path) -> Iterator[Running]:
    """Starts a service on a free port and stops it afterwards.

    Args:
        service: Which one.
        net: Folder that `nets.build_net` filled.
        log: Receives what the service says.

    Raises:
        RuntimeError: It was not ready in time.
    """
    port = _find_port()
    place = log.parent
    known = {"net": net, "package": net / PACKAGE_NAME, "port": port, "place": place.resolve()}
    words = [word.format_map({name: str(value) for name, value in known.items()}) for word in service.words]
    begun = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *words], stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=HERE
        )
    try:
        _wait(f"http://127.0.0.1:{port}{service.ready}", process, log)
        seconds = time.monotonic() - begun
        yield Running(f"http://127.0.0.1:{port}{service.route}", psutil.Process(process.pid), seconds)
    finally:
        _stop(process)


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        if process.poll() is not None:
            message = f"the service ended with code {process.returncode}, see {log}"
            raise RuntimeError(message)
        time.sleep(0.1)
    message = f"the service was not ready within {_READY_WITHIN_S:.0f} s, see {log}"
    raise RuntimeError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the service to end, and ends what is left of its processes."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
