"""How events stand in a file: one JSON line each, read on from where the last look ended, saved from a damaged file."""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import write_atomic

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


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        seq: Number of the event in its file, from 0; it grows from line to line.
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


def format_event(event: Event) -> bytes:
    """Writes an event as a line.

    Numbers that are not finite become words, because JSON has none for them. Halves of characters, as names of files
    may hold, are kept as JSON's own escapes.
    """
    content = {"seq": event.seq, "run": event.run, "event": event.kind.value, "time": event.time, **event.content}
    text = json.dumps(_plain(content), ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if value is None or isinstance(value, str | bool | int | float):
        return value
    # A number of numpy, of one dimension or none, knows how to become one of Python.
    as_plain = getattr(value, "tolist", None)
    return str(value) if as_plain is None else _plain(as_plain())


class LogReader:
    """Reads a log on from where its last look ended; a log that was put in its place is read from the beginning."""

    def __init__(self, path: Path) -> None:
        """Takes the file, which need not exist yet.

        Args:
            path: File `events.jsonl`.
        """
        self._path = path
        self._place = 0
        self._lines = 0
        self._inode: int | None = None

    @property
    def place(self) -> int:
        """Bytes of whole lines that were read."""
        return self._place

    def find_change(self) -> tuple[bool, bool]:
        """Looks whether there is more to read.

        Returns:
            Whether there are bytes behind those that were read, and whether the file is another one than before.

        Raises:
            ArtifactError: The file cannot be looked at.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False, self._inode is not None
        except OSError as error:
            raise _cannot_read(self._path, error) from error
        is_other = self._inode is not None and (found.st_ino != self._inode or found.st_size < self._place)
        return is_other or found.st_size > self._place, is_other

    def read(self) -> Iterator[Event]:
        """Yields the events that were written since the last look; a line that is not finished yet waits for the next.

        Raises:
            ArtifactError: The file cannot be read or is damaged.
        """
        try:
            with self._path.open("rb") as stream:
                self._inode = os.fstat(stream.fileno()).st_ino
                stream.seek(self._place)
                for line in stream:
                    if not line.endswith(b"\n"):
                        return
                    event = _read_event(self._path, self._lines, line)
                    self._place += len(line)
                    self._lines += 1
                    yield event
        except OSError as error:
            raise _cannot_read(self._path, error) from error

    def skip(self, size: int) -> None:
        """Counts a line that this process itself has just added as read.

        Args:
            size: Its bytes.
        """
        self._place += size
        self._lines += 1
        if self._inode is None:
            with contextlib.suppress(OSError):
                self._inode = self._path.stat().st_ino


def read_events(path: Path, *, after: int = -1) -> Iterator[Event]:
    """Yields the events of a log in their order; a last line that is not finished yet is left out.

    Args:
        path: File `events.jsonl`.
        after: Only events with a larger number.

    Raises:
        ArtifactError: The file does not exist, cannot be read or is damaged.
    """
    for event in LogReader(path).read():
        if event.seq > after:
            yield event


def save_readable(path: Path) -> tuple[Path, int]:
    """Copies a damaged log aside and keeps what can be read of it, under the same numbers.

    Args:
        path: File `events.jsonl`; nobody may be writing into it.

    Returns:
        Where the copy lies, and how many of its lines could not be read.

    Raises:
        StorageError: The place cannot be written.
        OSError: The file cannot be read.
    """
    kept, lost, last = [], 0, -1
    with path.open("rb") as stream:
        for number, line in enumerate(stream):
            try:
                event = _read_event(path, number, line)
            except ArtifactError:
                lost += 1
                continue
            # A line that stands twice, or behind later ones, was never written by us.
            if event.seq > last and line.endswith(b"\n"):
                kept.append(line)
                last = event.seq
            else:
                lost += 1
    aside = _find_free(path.with_name("events.damaged.jsonl"))
    with write_atomic(aside) as temporary:
        shutil.copyfile(path, temporary)
    with write_atomic(path) as temporary:
        temporary.write_bytes(b"".join(kept))
    return aside, lost


def _find_free(path: Path) -> Path:
    place, count = path, 1
    while place.exists():
        count += 1
        place = path.with_stem(f"{path.stem}-{count}")
    return place


def _read_event(path: Path, number: int, line: bytes) -> Event:
    try:
        content = json.loads(line)
        return Event(
            int(content.pop("seq")),
            str(content.pop("run")),
            EventKind(content.pop("event")),
            float(content.pop("time")),
            content,
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        message = (
            f"{str(path)!r} is damaged in line {number + 1} ({error}). The next `phytoscope train` or `evaluate` of "
            "this run saves what can be read; or move the file away."
        )
        raise ArtifactError(message) from error


def _cannot_read(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"{str(path)!r} cannot be read ({error.strerror or error}).")
