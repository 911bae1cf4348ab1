"""The event log of a run: everything a tracker could want to know, on this machine first.

Training writes lines into a local file and waits for nobody. A courier reads the file and tells MLflow or W&B, now or
next week; what was told already it knows from its own cursor.
"""

import contextlib
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import filelock

from phytoscope.errors import ArtifactError, PhytoscopeError, storage_error
from phytoscope.schema.event_lines import (
    EVENTS_NAME,
    Event,
    EventKind,
    LogReader,
    format_event,
    read_events,
    save_readable,
)
from phytoscope.schema.run_folder import RunFolder

__all__ = [
    "EVENTS_NAME",
    "EndStatus",
    "Event",
    "EventKind",
    "EventLog",
    "Journal",
    "RunKind",
    "SilentJournal",
    "read_events",
]


class RunKind(StrEnum):
    """What a tracked run is; trials and folds are children of a sweep or a cross-validation."""

    run = "run"
    sweep = "sweep"
    trial = "trial"
    cross_validation = "cross_validation"
    fold = "fold"
    ensemble = "ensemble"


class EndStatus(StrEnum):
    """How the work on a run ended."""

    finished = "finished"
    failed = "failed"
    interrupted = "interrupted"


class Journal(Protocol):
    """Receiver of what happens in a run. Writing into it never fails a training because a server is away."""

    def begin(self, identity: str, *, name: str, kind: RunKind = RunKind.run, parent: str | None = None) -> str:
        """Begins a tracked run, or goes on with the one of the same identity.

        Args:
            identity: Hash of what the trained weights depend on.
            name: Name of the run for people.
            kind: What it is.
            parent: Key of the run that it is a child of.

        Returns:
            Its key.
        """

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings under dotted names, each a text, number, truth value or None."""

    def dataset(self, values: Mapping[str, Any]) -> None:
        """Data by `name`, `source`, `data_hash`, `split_hash`, `task`, `target` and `rows` (split -> number)."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers by name (`train/loss`, `val/r2`, `test/mae_g`) at an epoch; those known already are left out."""

    def system(self, values: Mapping[str, float], *, step: int) -> None:
        """Load of the machine by name, a number a sample."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or folder inside the folder of the run, and the folder of the tracker that it shall go to."""

    def package(self, path: Path) -> None:
        """A model package inside the folder of the run."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Words about the run by name."""

    def end(self, status: EndStatus, reason: str = "") -> None:
        """The work on the run ended."""


class SilentJournal:
    """Journal that nobody reads."""

    def begin(self, identity: str, *, name: str, kind: RunKind = RunKind.run, parent: str | None = None) -> str:
        """Does nothing."""
        return ""

    def params(self, values: Mapping[str, Any]) -> None:
        """Does nothing."""

    def dataset(self, values: Mapping[str, Any]) -> None:
        """Does nothing."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Does nothing."""

    def system(self, values: Mapping[str, float], *, step: int) -> None:
        """Does nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Does nothing."""

    def package(self, path: Path) -> None:
        """Does nothing."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Does nothing."""

    def end(self, status: EndStatus, reason: str = "") -> None:
        """Does nothing."""


@dataclass
class _Known:
    """What the lines read so far say."""

    count: int = 0
    run: str = ""
    identity: str = ""
    ended: bool = False
    told: set[tuple[str, str, int]] = field(default_factory=set)


class EventLog:
    """The journal that is kept: one JSON line an event in `events.jsonl` of a run, also from several processes.

    A line that a killed process left half written is cut off before the next one is added. A log that was damaged
    stops nobody: it is copied to `events.damaged.jsonl`, what can be read of it stays, and a tag of the run says so.
    """

    def __init__(self, run: RunFolder) -> None:
        """Takes the folder.

        Args:
            run: Its `events.jsonl` is appended to.
        """
        self._root = run.root
        self._reader = LogReader(self.path)
        self._known = _Known()
        self._begun: tuple[str, dict[str, Any]] | None = None
        self._notice = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self._root / EVENTS_NAME

    @property
    def run(self) -> str:
        """Key of the run that events belong to now; empty before the first `begin`."""
        return self._known.run

    def begin(self, identity: str, *, name: str, kind: RunKind = RunKind.run, parent: str | None = None) -> str:
        """Begins a tracked run, or goes on with the one of the same identity; see `Journal`.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._opened():
            known = self._known
            goes_on = known.identity == identity and bool(known.run)
            if not goes_on or known.ended:
                content = {"identity": identity, "name": name, "kind": kind.value, "parent": parent}
                self._append(known.run if goes_on else uuid.uuid4().hex, EventKind.begin, content)
            return self._known.run

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings; see `Journal`."""
        self._write(EventKind.params, {"params": dict(values)})

    def dataset(self, values: Mapping[str, Any]) -> None:
        """Data; see `Journal`."""
        self._write(EventKind.dataset, dict(values))

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers; see `Journal`. A number that is not finite is left out, as no tracker can draw it."""
        finite = _keep_finite(values)
        with self._opened():
            run, told = self._known.run, self._known.told
            new = {name: value for name, value in finite.items() if (run, name, step) not in told}
            if new:
                self._add(EventKind.metrics, {"step": step, "metrics": new})

    def system(self, values: Mapping[str, float], *, step: int) -> None:
        """Load of the machine; see `Journal`. A number that is not finite is left out."""
        if finite := _keep_finite(values):
            self._write(EventKind.system, {"step": step, "metrics": finite})

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or folder; see `Journal`."""
        self._write(EventKind.artifact, {"path": path.relative_to(self._root).as_posix(), "folder": folder})

    def package(self, path: Path) -> None:
        """A model package; see `Journal`."""
        self._write(EventKind.package, {"path": path.relative_to(self._root).as_posix()})

    def tags(self, values: Mapping[str, str]) -> None:
        """Words; see `Journal`."""
        self._write(EventKind.tags, {"tags": dict(values)})

    def end(self, status: EndStatus, reason: str = "") -> None:
        """The work ended; see `Journal`. Work that told nothing since the last end has no end of its own."""
        with self._opened():
            if not self._known.ended:
                self._add(EventKind.end, {"status": status.value, "reason": reason})

    def events(self) -> list[Event]:
        """All events so far, in their order; a log that was damaged is saved first.

        Raises:
            StorageError: A damaged log cannot be saved.
        """
        with self._opened():
            return list(read_events(self.path)) if self.path.exists() else []

    def _write(self, kind: EventKind, content: dict[str, Any]) -> None:
        with self._opened():
            self._add(kind, content)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Keeps other writers out, and knows what they wrote meanwhile."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self._root / f".{EVENTS_NAME}.lock"):
                self._refresh()
                yield
        except PhytoscopeError:
            # Some of ours are OSErrors too, and say better what happened.
            raise
        except OSError as error:
            raise storage_error(self.path, error) from error

    def _refresh(self) -> None:
        has_more, is_other = self._reader.find_change()
        if is_other:
            self._forget()
        if not (has_more or is_other) or not self.path.exists():
            return
        try:
            self._read_on()
        except ArtifactError:
            aside, lost = save_readable(self.path)
            self._notice = f"{lost} damaged lines of the event log could not be read; they are kept in {aside.name}"
            self._forget()
            self._read_on()
            # Numbers that were told already are not given to other events.
            self._known.count += lost

    def _forget(self) -> None:
        self._reader, self._known = LogReader(self.path), _Known(self._known.count)

    def _read_on(self) -> None:
        for event in self._reader.read():
            self._learn(event)
        if self._reader.place < self.path.stat().st_size:
            with self.path.open("rb+") as stream:
                stream.truncate(self._reader.place)

    def _add(self, kind: EventKind, content: dict[str, Any]) -> None:
        if not self._known.run and self._begun is not None:
            # Somebody took the log away in the middle of a run: the rest of it shall not be lost.
            self._append(self._begun[0], EventKind.begin, self._begun[1])
        # Before a run has begun there is nothing that the event could belong to.
        if self._known.run:
            self._append(self._known.run, kind, content)

    def _append(self, key: str, kind: EventKind, content: dict[str, Any]) -> None:
        self._append_line(Event(self._known.count, key, kind, round(time.time(), 3), content))
        if kind is EventKind.begin:
            self._begun = key, content
        if self._notice:
            tags = {"tags": {"phytoscope.log_damaged": self._notice}}
            self._notice = ""
            self._append_line(Event(self._known.count, key, EventKind.tags, round(time.time(), 3), tags))

    def _append_line(self, event: Event) -> None:
        data = format_event(event)
        with self.path.open("ab") as stream:
            stream.write(data)
        # In this order: a line that is learned twice after Ctrl-C does no harm, one that is never learned would.
        self._learn(event)
        self._reader.skip(len(data))

    def _learn(self, event: Event) -> None:
        known = self._known
        known.count = event.seq + 1
        known.run = event.run
        if event.kind is EventKind.begin:
            known.identity = str(event.content.get("identity"))
        known.ended = event.kind is EventKind.end
        if event.kind is EventKind.metrics:
            step = int(event.content["step"])
            known.told.update((event.run, name, step) for name in event.content["metrics"])


def _keep_finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
