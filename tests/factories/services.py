"""Real services in processes of their own, on free ports."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests

START_SECONDS = 180.0
STOP_SECONDS = 60.0
_LISTENING = re.compile(r"Listening on (http://\S+)")


@dataclass
class RunningService:
    """A service that is running.

    Attributes:
        url: Its address, without a slash at the end.
        process: The process, leader of a process group.
        log_file: What it has written.
    """

    url: str
    process: subprocess.Popen
    log_file: Path

    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self, seconds: float = START_SECONDS) -> dict:
        """Waits until it is ready; gives what /readyz says."""
        return wait_for(self.ready, seconds, self)

    def ready(self) -> dict | None:
        """What /readyz says when it is ready."""
        try:
            answer = requests.get(f"{self.url}/readyz", timeout=5)
        except requests.RequestException:
            return None
        return answer.json() if answer.status_code == 200 else None

    def ask(self, content: bytes, kind: str = "image/png", path: str = "/v1/predict", **settings) -> requests.Response:
        """Sends one photograph as the body."""
        headers = {"Content-Type": kind, **settings.pop("headers", {})}
        return requests.post(self.url + path, data=content, headers=headers, timeout=60, **settings)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tells it to end and waits; gives its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def wait_for(look, seconds: float = 60.0, service: RunningService | None = None):
    """Looks again and again until something is found; gives it."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        log = "" if service is None else service.log()
        if service is not None and service.process.poll() is not None:
            raise AssertionError(f"the service ended with {service.process.returncode}:\n{log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s:\n{log}")
        time.sleep(0.05)


@contextlib.contextmanager
def running_service(package, *overrides: str, env: dict | None = None, folder: Path | None = None, ready: bool = True):
    """Runs `phytoscope serve PACKAGE serve.port=0 OVERRIDES...` until the block ends, and then kills what is left.

    It computes with torch unless an override says otherwise, and keeps its records, cache and log in `folder` (beside
    the package when left out).
    """
    place = Path(folder if folder is not None else Path(package).absolute().parent / "service")
    place.mkdir(parents=True, exist_ok=True)
    log_file = place / "service.log"
    words = ["serve.port=0", "serve.runtime=torch", f"serve.records_url=sqlite:///{place / 'records.db'}", *overrides]
    with log_file.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "phytoscope", "serve", str(package), *words],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "XDG_DATA_HOME": str(place / "data"),
                "XDG_CACHE_HOME": str(place / "cache"),
                "COLUMNS": "200",
                **(env or {}),
            },
        )
    service = RunningService("", process, log_file)
    try:
        match = wait_for(lambda: _LISTENING.search(service.log()), START_SECONDS, service)
        service.url = match[1]
        if ready:
            service.wait_ready()
        yield service
    finally:
        # Workers are leaders of groups of their own, and end with the one that started them.
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
