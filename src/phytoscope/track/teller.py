"""One tracker is told about the runs of one folder: in order, once, and again later when it does not answer."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from phytoscope.errors import StorageError, TrackingError
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import Event, EventKind
from phytoscope.track.cursor import Cursor, DeliveredRun, list_waiting, load_cursor, only_teller, save_cursor
from phytoscope.track.log_runs import (
    LogRuns,
    check_inside,
    describe_run,
    find_parent,
    leave_out_replaced,
    split_batches,
)
from phytoscope.track.sink import Sink, TrackedRun
from phytoscope.track.target import TrackTarget

_PATIENCE_FOR_OTHERS_S = 60.0
SURROUNDINGS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}
"""Environment variables in which trackers are told; those that are set already stay as they are."""


@dataclass(frozen=True)
class Delivery:
    """How one attempt to tell a tracker went.

    Attributes:
        told: Events that it was told now.
        waiting: Events that it does not know yet.
        error: Why it does not know them; empty when it knows all.
    """

    told: int
    waiting: int
    error: str = ""


def open_sink(target: TrackTarget) -> Sink:
    """Opens the way to a tracker; whether it answers shows with the first run.

    Args:
        target: The tracker.

    Raises:
        MissingDependencyError: The package it needs is not installed.
    """
    if target.sink is TrackSink.mlflow:
        from phytoscope.track.mlflow_sink import MlflowSink

        return MlflowSink(target)
    from phytoscope.track.wandb_sink import WandbSink

    return WandbSink(target)


class Teller:
    """Tells one tracker about the runs of one folder, as often as there is something new."""

    def __init__(self, root: Path, target: TrackTarget, *, advance: Callable[[int], None] | None = None) -> None:
        """Looks at nothing yet.

        Args:
            root: Folder of the run.
            target: The tracker.
            advance: Called with the number of events of every batch that was told.
        """
        self._root = root
        self._target = target
        self._advance = advance
        self._log = LogRuns(root)
        self._sink: Sink | None = None
        self._opened: dict[str, TrackedRun] = {}
        self._cursor = Cursor()
        self._told = 0
        self._knows_all = False

    def tell(self, seconds: float | None = None) -> Delivery:
        """Tells what is new.

        Args:
            seconds: How long at most; when None, until all is told or the tracker does not answer.

        Returns:
            How it went. A tracker that does not answer is no exception.

        Raises:
            ArtifactError: There is no event log, or it is damaged.
            MissingDependencyError: The package that the tracker needs is not installed.
            StorageError: What was told cannot be noted.
        """
        if self._knows_all and not self._log.has_news():
            return Delivery(0, 0)
        # Nothing is written into a folder that holds no run, or is gone.
        self._log.look()
        deadline = None if seconds is None else time.monotonic() + seconds
        self._told, error = 0, ""
        try:
            with self._alone(_PATIENCE_FOR_OTHERS_S if seconds is None else seconds), _in_surroundings():
                error = self._tell_all(deadline)
        except filelock.Timeout:
            error = "another process is telling it at the moment"
        known, runs = load_cursor(self._root, self._target).runs, self._log.look()
        waiting = sum(len(list_waiting(events, known.get(key, DeliveredRun()))) for key, events in runs.items())
        self._knows_all = waiting == 0
        if self._knows_all and all(events[-1].kind is EventKind.end for events in runs.values()):
            # A sweep has many trials: what is over needs no connection any more.
            self.close()
        return Delivery(self._told, waiting, "" if self._knows_all else error)

    def open_run(self, key: str) -> None:
        """Makes a run known to the tracker, so that its children can be put below it.

        Args:
            key: Its key.

        Raises:
            TrackingError: The tracker does not answer, or another process holds it for too long.
            ArtifactError: There is no event log, or it is damaged.
        """
        try:
            with self._alone(_PATIENCE_FOR_OTHERS_S), _in_surroundings():
                if not self._cursor.runs.get(key, DeliveredRun()).remote:
                    self._open(key, self._log.look()[key])
        except filelock.Timeout as error:
            message = f"another process is telling {self._target.place!r} about {str(self._root)!r}: try again later."
            raise TrackingError(message) from error

    def close(self) -> None:
        """Lets go of the tracker."""
        sink, self._sink = self._sink, None
        self._opened.clear()
        if sink is not None:
            sink.close()

    @contextlib.contextmanager
    def _alone(self, seconds: float) -> Iterator[None]:
        with only_teller(self._root, self._target, seconds):
            found = load_cursor(self._root, self._target)
            if found.runs != self._cursor.runs:
                # Somebody else told it meanwhile: what is open here does not know of that.
                self.close()
            self._cursor = found
            yield

    def _tell_all(self, deadline: float | None) -> str:
        error = ""
        try:
            for key, events in self._log.look().items():
                if list_waiting(events, self._cursor.runs.get(key, DeliveredRun())):
                    self._tell_run(key, events, deadline)
        except (StorageError, filelock.Timeout):
            raise
        except OSError as away:
            # Besides our TrackingError: libraries let the network's errors through, and a file may go away while it
            # is sent.
            error = str(away) or type(away).__name__
            with contextlib.suppress(OSError):
                self.close()
        if error != self._cursor.error:
            self._cursor.error = error
            save_cursor(self._root, self._target, self._cursor)
        return error

    def _tell_run(self, key: str, events: list[Event], deadline: float | None) -> None:
        check_inside(self._root, events)
        sink, run = self._open(key, events)
        for batch in split_batches(list_waiting(events, self._cursor.runs[key])):
            if deadline is not None and time.monotonic() > deadline:
                message = "there was no time for more"
                raise TrackingError(message)
            current = leave_out_replaced(batch, events)
            facts = sink.send(run, current) if current else {}
            known, last = self._cursor.runs[key], batch[-1]
            self._cursor.runs[key] = DeliveredRun(run.remote, last.seq, last.time, known.facts | facts)
            save_cursor(self._root, self._target, self._cursor)
            self._told += len(batch)
            if self._advance is not None:
                self._advance(len(batch))

    def _open(self, key: str, events: list[Event]) -> tuple[Sink, TrackedRun]:
        sink = self._sink = self._sink or open_sink(self._target)
        if key not in self._opened:
            known = self._cursor.runs.get(key, DeliveredRun())
            run = describe_run(self._root, key, events, known.remote)
            self._open_parent(run)
            remote = sink.open(run)
            if remote != known.remote:
                # It is new to the tracker, or the tracker has lost it: then all is told from the beginning.
                self._cursor.runs[key] = DeliveredRun(remote)
                save_cursor(self._root, self._target, self._cursor)
            self._opened[key] = replace(run, remote=remote)
        return sink, self._opened[key]

    def _open_parent(self, run: TrackedRun) -> None:
        place = None if run.parent is None else find_parent(self._root, run.parent)
        if run.parent is not None and place is not None:
            with contextlib.closing(Teller(place, self._target)) as teller:
                teller.open_run(run.parent)


@contextlib.contextmanager
def _in_surroundings() -> Iterator[None]:
    added = {name: value for name, value in SURROUNDINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
