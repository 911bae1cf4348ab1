"""Looks at files in several processes: one look is a hundred short calls, for which threads would wait for each other.

The helping processes are started as programs of their own and not forked: a fork copies locks that other threads hold,
and the standard pool would run a script that calls us a second time.
"""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from phytoscope.data.facts.look import look_at_file
from phytoscope.errors import StorageError
from phytoscope.transforms.stream import count_cores

Found = list[tuple[dict[str, Any], bool]]
_Key = TypeVar("_Key")
_Task = tuple[_Key, list[str]]
# Below this a helper has hardly started when all is done.
_FILES_WORTH_A_HELPER = 200
_MOST_PROCESSES = 16
_PROGRAM = "from phytoscope.data.facts.side_by_side import serve; serve()"


def count_helpers(files: int, workers: int | None) -> int:
    """How many processes should help this one.

    Args:
        files: Number of files to look at.
        workers: Processes in all; None takes one per core, sixteen at most.
    """
    wanted = workers if workers is not None else min(_MOST_PROCESSES, count_cores())
    return max(0, min(wanted - 1, files // _FILES_WORTH_A_HELPER))


def look_side_by_side(
    tasks: Iterator[_Task[_Key]], max_megapixels: float, helpers: int
) -> Iterator[tuple[_Key, Found]]:
    """Looks at files in this process and in helping ones, and yields the results as they come.

    A helper that dies loses nothing: its task is done here.

    Args:
        tasks: Anything that tells a task from others, and its files; read only as fast as the work is done.
        max_megapixels: Larger images are rejected before they are decoded.
        helpers: Number of helping processes.
    """
    shared = _Shared(tasks)
    team = [_Helper(shared, max_megapixels) for _ in range(helpers)]
    working = len(team)
    try:
        for helper in team:
            helper.start()
        while True:
            task = None if shared.has_results() else shared.take()
            if task is not None:
                yield task[0], _look(task[1], max_megapixels)
                continue
            if working == 0 and not shared.has_results():
                return
            key, paths, found = shared.results.get()
            if paths is None:
                working -= 1
            else:
                yield key, found if found is not None else _look(paths, max_megapixels)
    finally:
        for helper in team:
            helper.stop()


def serve() -> None:
    """The helping process: reads tasks from its standard input and writes results to its standard output."""
    import signal

    import cv2

    # Ctrl-C reaches all processes of a terminal; this one ends when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not get between the results.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(EOFError, BrokenPipeError, StorageError):
        while True:
            paths, max_megapixels = pickle.load(source)  # noqa: S301 (from the process that started this one)
            pickle.dump(_look(paths, max_megapixels), target, protocol=pickle.HIGHEST_PROTOCOL)
            target.flush()


def _look(paths: list[str], max_megapixels: float) -> Found:
    return [look_at_file(path, max_megapixels) for path in paths]


class _Shared:
    """Tasks that several threads take from, and a short queue of results."""

    def __init__(self, tasks: Iterator[_Task[Any]]) -> None:
        self._tasks = tasks
        self._lock = threading.Lock()
        self._is_stopped = False
        self.results: queue.Queue[tuple[Any, list[str] | None, Found | None]] = queue.Queue()

    def take(self) -> _Task[Any] | None:
        """The next task; None when there is none."""
        with self._lock:
            return None if self._is_stopped else next(self._tasks, None)

    def has_results(self) -> bool:
        """Whether a helper has finished a task."""
        return not self.results.empty()

    def stop(self) -> None:
        """Hands out no more tasks."""
        with self._lock:
            self._is_stopped = True


class _Helper(threading.Thread):
    """Hands tasks to one helping process, one at a time, and puts what comes back into the queue."""

    def __init__(self, shared: _Shared, max_megapixels: float) -> None:
        super().__init__(daemon=True)
        self._shared = shared
        self._max_megapixels = max_megapixels
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        key, paths = None, None
        try:
            process = self._start_process()
            while (task := self._shared.take()) is not None:
                key, paths = task
                self._shared.results.put((key, paths, self._ask(process, paths)))
                paths = None
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            if paths is not None:
                self._shared.results.put((key, paths, None))
        finally:
            self._shared.results.put((None, None, None))

    def stop(self) -> None:
        """Ends the process; called when all is done or nothing more is wanted."""
        self._shared.stop()
        process = self._process
        if process is not None:
            process.kill()
        if self.is_alive():
            self.join()
        process = self._process
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()

    def _start_process(self) -> "subprocess.Popen[bytes]":
        # The process finds the same packages as this one, however they were found.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        return self._process

    def _ask(self, process: "subprocess.Popen[bytes]", paths: list[str]) -> Found:
        if process.stdin is None or process.stdout is None:
            raise EOFError
        pickle.dump((paths, self._max_megapixels), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        found: Found = pickle.load(process.stdout)  # noqa: S301 (from our own process)
        return found
