"""How far a tracker knows a run: one small file for each of them in the folder `tracking` of the run."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import filelock

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.events import Event
from phytoscope.track.target import TrackTarget

TRACKING_NAME = "tracking"


@dataclass(frozen=True)
class DeliveredRun:
    """What a tracker was told of one run.

    Attributes:
        remote: Id of the run in the tracker; empty before it was opened.
        seq: Number of the last event that was told; -1 before the first.
        time: When that event was written: a log that was cut off or replaced has another event of this number.
        facts: What the tracker answered that is worth keeping, for example `model_uri` and `url`.
    """

    remote: str = ""
    seq: int = -1
    time: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)


@dataclass
class Cursor:
    """The file of one tracker.

    Attributes:
        runs: What was told, by the key of the run.
        error: Why the last attempt failed; empty when it did not.
    """

    runs: dict[str, DeliveredRun] = field(default_factory=dict)
    error: str = ""


def tracking_folder(root: Path) -> Path:
    """The folder of what was told to whom, inside the folder of a run."""
    return root / TRACKING_NAME


def read_delivered(root: Path, target: TrackTarget) -> dict[str, DeliveredRun]:
    """What a tracker was told of the runs in a folder.

    Args:
        root: Folder of the run.
        target: The tracker.

    Returns:
        By the key of the run; empty when it was never told anything.
    """
    return load_cursor(root, target).runs


def load_cursor(root: Path, target: TrackTarget) -> Cursor:
    """Reads the file; one that is missing or damaged says that nothing was told, and telling again changes nothing."""
    try:
        content = read_json(_cursor_path(root, target))
        runs = {str(key): _read_run(entry) for key, entry in content["runs"].items()}
        return Cursor(runs, str(content.get("error", "")))
    except (ArtifactError, KeyError, TypeError, ValueError, AttributeError):
        return Cursor()


def save_cursor(root: Path, target: TrackTarget, cursor: Cursor) -> None:
    """Writes the file.

    Raises:
        StorageError: The place cannot be written.
    """
    content = {"runs": {key: asdict(run) for key, run in cursor.runs.items()}, "error": cursor.error}
    write_json(_cursor_path(root, target), content)


@contextlib.contextmanager
def only_teller(root: Path, target: TrackTarget, seconds: float) -> Iterator[None]:
    """Keeps others from telling the same tracker about the same folder meanwhile.

    Args:
        root: Folder of the run.
        target: The tracker.
        seconds: How long another one is waited for.

    Raises:
        filelock.Timeout: Another one is still telling.
        StorageError: The place cannot be written.
    """
    folder = tracking_folder(root)
    try:
        folder.mkdir(exist_ok=True)
        lock = filelock.FileLock(folder / f".{target.id}.lock", timeout=max(0.0, seconds))
        lock.acquire()
    except filelock.Timeout:
        raise
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        # What a killed one left half written.
        for leftover in folder.glob(f".{target.id}.json.*.tmp*"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def list_waiting(events: list[Event], delivered: DeliveredRun) -> list[Event]:
    """The events of one run that a tracker does not know yet.

    Args:
        events: All events of the run that the log holds.
        delivered: What the tracker was told.

    Returns:
        Those after the last one told; all of them when that one is no longer in the log.
    """
    last = next((event for event in reversed(events) if event.seq == delivered.seq), None)
    if last is None or last.time != delivered.time:
        return events
    return [event for event in events if event.seq > delivered.seq]


def _cursor_path(root: Path, target: TrackTarget) -> Path:
    return tracking_folder(root) / f"{target.id}.json"


def _read_run(entry: dict[str, Any]) -> DeliveredRun:
    facts = {str(name): str(value) for name, value in entry["facts"].items()}
    return DeliveredRun(str(entry["remote"]), int(entry["seq"]), float(entry["time"]), facts)
