"""The event log of a run: everything a tracker could want to know, on this machine first.

Training writes lines into a local file and waits for nobody. A courier reads the file and tells MLflow or W&B, now or
next week; what was told already it knows from its own cursor.
"""

import contextlib
import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import filelock

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.run_folder import RunFolder

EVENTS_NAME = "events.jsonl"


class EventKind(StrEnum):
    """What an event is about.

    `begin`: a run begins or goes on; `params`: resolved settings; `dataset`: data and split by their hashes; `metrics`:
    numbers of one epoch or of an evaluation; `system`: load of the machine; `artifact`: a file or folder was written;
    `package`: a model package was written; `tags`: words about the run; `end`: the work ended, well or not.
    """

    begin = "begin"
    params = "params"
    dataset = "dataset"
    metrics = "metrics"
    system = "system"
    artifact = "artifact"
    package = "package"
    tags = "tags"
    end = "end"


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


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        seq: Number of the event in its file, from 0.
        run: Key of the tracked run it belongs to, 32 hexadecimal digits. A folder whose training starts over with other
            settings holds several runs, one after the other.
        kind: What it is about.
        time: When it was written, seconds since 1970.
        content: Plain values; which ones depends on the kind (see the methods of `Journal`).
    """

    seq: int
    run: str
    kind: EventKind
    time: float
    content: dict[str, Any]


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

    size: int = 0
    count: int = 0
    run: str = ""
    identity: str = ""
    ended: bool = False
    told: set[tuple[str, str, int]] = field(default_factory=set)


class EventLog:
    """The journal that is kept: one JSON line an event in `events.jsonl` of a run, also from several processes.

    A line that a killed process left half written is cut off before the next one is added.
    """

    def __init__(self, run: RunFolder) -> None:
        """Takes the folder.

        Args:
            run: Its `events.jsonl` is appended to.
        """
        self._root = run.root
        self._known = _Known()

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
            ArtifactError: The file is damaged.
        """
        with self._opened():
            known = self._known
            if known.identity == identity and known.run and not known.ended:
                return known.run
            key = known.run if known.identity == identity and known.run else uuid.uuid4().hex
            content = {"identity": identity, "name": name, "kind": kind.value, "parent": parent}
            self._append(key, EventKind.begin, content)
        return key

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings; see `Journal`."""
        self._write(EventKind.params, {"params": dict(values)})

    def dataset(self, values: Mapping[str, Any]) -> None:
        """Data; see `Journal`."""
        self._write(EventKind.dataset, dict(values))

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers; see `Journal`. A number that is not finite is left out, as no tracker can draw it."""
        with self._opened():
            told = self._known.told
            new = {
                name: float(value)
                for name, value in values.items()
                if math.isfinite(value) and (self._known.run, name, step) not in told
            }
            if new:
                self._append(self._known.run, EventKind.metrics, {"step": step, "metrics": new})

    def system(self, values: Mapping[str, float], *, step: int) -> None:
        """Load of the machine; see `Journal`."""
        self._write(EventKind.system, {"step": step, "metrics": dict(values)})

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
        """The work ended; see `Journal`."""
        self._write(EventKind.end, {"status": status.value, "reason": reason})

    def _write(self, kind: EventKind, content: dict[str, Any]) -> None:
        with self._opened():
            self._append(self._known.run, kind, content)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Keeps other writers out, and knows what they wrote meanwhile."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self._root / f".{EVENTS_NAME}.lock"):
                self._refresh()
                yield
        except OSError as error:
            raise storage_error(self.path, error) from error

    def _refresh(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size == self._known.size:
            return
        self._known = _Known()
        whole = 0
        for event, end in _read_lines(self.path):
            self._learn(event)
            whole = end
        if whole < size:
            with self.path.open("rb+") as stream:
                stream.truncate(whole)
        self._known.size = whole

    def _append(self, key: str, kind: EventKind, content: dict[str, Any]) -> None:
        if not key:
            # Before a run has begun there is nothing that the event could belong to.
            return
        event = Event(self._known.count, key, kind, round(time.time(), 3), content)
        line = json.dumps(
            {"seq": event.seq, "run": key, "kind": kind.value, "time": event.time, **content},
            ensure_ascii=False,
            allow_nan=False,
            default=str,
        )
        data = (line + "\n").encode("utf-8")
        with self.path.open("ab") as stream:
            stream.write(data)
        self._learn(event)
        self._known.size += len(data)

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


def read_events(path: Path, *, after: int = -1) -> Iterator[Event]:
    """Yields the events of a log in their order; a last line that is not finished yet is left out.

    Args:
        path: File `events.jsonl`.
        after: Only events with a larger number.

    Raises:
        ArtifactError: The file does not exist, cannot be read or is damaged.
    """
    for event, _ in _read_lines(path):
        if event.seq > after:
            yield event


def _read_lines(path: Path) -> Iterator[tuple[Event, int]]:
    """Yields every event with the place in the file where its line ends."""
    place = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                if not line.endswith(b"\n"):
                    return
                place += len(line)
                yield _read_event(path, number, line), place
    except OSError as error:
        message = f"{str(path)!r} cannot be read ({error.strerror or error})."
        raise ArtifactError(message) from error


def _read_event(path: Path, number: int, line: bytes) -> Event:
    try:
        content = json.loads(line)
        return Event(
            int(content.pop("seq")),
            str(content.pop("run")),
            EventKind(content.pop("kind")),
            float(content.pop("time")),
            content,
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        message = (
            f"{str(path)!r} is damaged in line {number + 1} ({error}): move it away; the next command begins a new one."
        )
        raise ArtifactError(message) from error
