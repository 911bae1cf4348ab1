"""Several workers behind one address: started, watched, replaced when they die, and ended together."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

from phytoscope.api.logs import note, set_up_logs
from phytoscope.api.metrics import MULTIPROCESS_VARIABLE
from phytoscope.api.server import pack_config
from phytoscope.errors import PackageError
from phytoscope.schema.serve import ServeConfig

_MODULE: Final = "phytoscope.api.worker"
_LOOK_SECONDS: Final = 0.1
EXIT_NOT_STARTED: Final = 3
"""Exit code of a worker that could not start: another one could not either."""
# A worker whose loop does not beat for so long will not come back.
_SILENT_SECONDS: Final = 60.0
_START_SECONDS: Final = 600.0
# One that cannot start is not tried without a pause.
_PAUSE_SECONDS: Final = 2.0


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    pulse: int
    beat_at: float = field(default_factory=time.monotonic)
    has_started: bool = False

    def feel(self) -> None:
        """Notes whether its loop has turned since the last time."""
        while select.select([self.pulse], [], [], 0)[0]:
            if not os.read(self.pulse, 1024):
                return
            self.beat_at, self.has_started = time.monotonic(), True

    def is_hung(self) -> bool:
        """Whether it has been silent for too long."""
        return time.monotonic() - self.beat_at > (_SILENT_SECONDS if self.has_started else _START_SECONDS)


class Supervisor:
    """Keeps a number of workers running."""

    def __init__(self, source: str, config: ServeConfig, listener: socket.socket) -> None:
        """Starts nothing yet.

        Args:
            source: Path of the package, or its address.
            config: Settings.
            listener: The listening socket that they share.
        """
        self._source, self._config, self._listener = source, config, listener
        self._children: list[_Child] = []
        self._due: list[float] = []
        self._has_answered = False
        self._stop = threading.Event()
        self._reload = threading.Event()
        # The workers hold the other end: when this process dies, however it does, they hear of it and end.
        self._life, self._held = os.pipe()

    def run(self) -> None:
        """Watches the workers until told to stop, and ends them.

        Raises:
            PackageError: A worker could not start; its log says why.
        """
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload.set())
        try:
            self._children = [self._start() for _ in range(self._config.workers)]
            while not self._stop.wait(_LOOK_SECONDS):
                if self._reload.is_set():
                    self._reload.clear()
                    self._tell(signal.SIGHUP)
                self._look()
        finally:
            self._end()

    def _look(self) -> None:
        for child in list(self._children):
            child.feel()
            self._has_answered |= child.has_started
            if child.is_hung():
                child.process.kill()
            code = child.process.poll()
            if code is not None:
                self._replace(child, code)
        while self._due and self._due[0] <= time.monotonic():
            self._due.pop(0)
            self._children.append(self._start())

    def _replace(self, child: _Child, code: int) -> None:
        os.close(child.pulse)
        forget_worker(child.process.pid)
        self._children.remove(child)
        # Later on it may be a package that is just being replaced, and the others still answer.
        if code == EXIT_NOT_STARTED and not self._has_answered:
            message = "a worker could not start; the lines above say why."
            raise PackageError(message)
        note("a worker has died and is replaced", pid=child.process.pid, code=code)
        self._due.append(time.monotonic() + (0.0 if child.has_started else _PAUSE_SECONDS))
        self._due.sort()

    def _start(self) -> _Child:
        pulse, beat = os.pipe()
        passed = (self._listener.fileno(), self._life, beat)
        words = [*map(str, passed), self._source]
        # A group of its own, so that Ctrl-C on the terminal reaches this process alone, which then ends all in order.
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and words)
            [sys.executable, "-m", _MODULE, *words],
            pass_fds=passed,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(beat)
        _hand_over(process, pack_config(self._config))
        return _Child(process, pulse)

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    def _end(self) -> None:
        self._tell(signal.SIGTERM)
        deadline = time.monotonic() + self._config.drain_s + 2 * self._config.stop_s
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            os.close(child.pulse)
        os.close(self._life)
        os.close(self._held)


def _hand_over(process: subprocess.Popen[bytes], text: str) -> None:
    # Not on the command line, which everybody on this computer can read: the records' address may hold a password.
    stdin = cast("IO[bytes]", process.stdin)
    # A worker that has died already is noticed elsewhere.
    with contextlib.suppress(BrokenPipeError), stdin as pipe:
        pipe.write(text.encode())


def run_workers(source: str, config: ServeConfig, listener: socket.socket) -> None:
    """Answers with several workers until told to stop.

    Args:
        source: Path of the package, or its address.
        config: Settings.
        listener: The listening socket.

    Raises:
        PackageError: A worker could not start; its log says why.
    """
    set_up_logs(config.log_level, config.log_format)
    with tempfile.TemporaryDirectory(prefix="phytoscope-metrics-") as folder:
        # Where the workers put their counts together.
        os.environ[MULTIPROCESS_VARIABLE] = folder
        try:
            Supervisor(source, config, listener).run()
        finally:
            del os.environ[MULTIPROCESS_VARIABLE]


def forget_worker(pid: int) -> None:
    """Takes the levels of a worker that has died out of the counts; what it counted stays.

    Args:
        pid: Number of its process.
    """
    for place in Path(os.environ[MULTIPROCESS_VARIABLE]).glob(f"gauge_live*_{pid}.db"):
        place.unlink(missing_ok=True)
