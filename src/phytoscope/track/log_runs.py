"""The runs that an event log holds, as a tracker is told of them."""

import os
from collections.abc import Iterator
from pathlib import Path

from phytoscope.errors import ArtifactError
from phytoscope.schema.event_lines import LogReader
from phytoscope.schema.events import EVENTS_NAME, Event, EventKind, RunKind, read_events
from phytoscope.track.sink import TrackedRun

_BATCH = 100
_ANCESTORS = 3
_DATA_OF_SWEEP = "data"
_CHILDREN = (f"*/{EVENTS_NAME}", f"*/*/{EVENTS_NAME}")
_NO_RUNS = ("cache", "mlflow", "wandb", "package", "figures", "checkpoints")
_FILES = (EventKind.artifact, EventKind.package)


class LogRuns:
    """The runs of one log, read on from where the last look ended."""

    def __init__(self, root: Path) -> None:
        """Reads nothing yet.

        Args:
            root: Folder whose `events.jsonl` is read.
        """
        self._path = root / EVENTS_NAME
        self._reader = LogReader(self._path)
        self._runs: dict[str, list[Event]] = {}

    def has_news(self) -> bool:
        """Whether something was written since the last look.

        Raises:
            ArtifactError: The log cannot be looked at.
        """
        return any(self._reader.find_change())

    def look(self) -> dict[str, list[Event]]:
        """All events so far by the key of their run, in the order of the log.

        Raises:
            ArtifactError: There is no log, or it is damaged.
        """
        if not self._path.exists():
            message = (
                f"{str(self._path.parent)!r} holds no {EVENTS_NAME}: it is not the folder of a run that was trained "
                "with this version. Name another folder, or evaluate the run again."
            )
            raise ArtifactError(message)
        has_more, is_other = self._reader.find_change()
        if is_other:
            self._reader, self._runs = LogReader(self._path), {}
        if has_more or is_other:
            for event in self._reader.read():
                self._runs.setdefault(event.run, []).append(event)
        return self._runs


def describe_run(root: Path, key: str, events: list[Event], remote: str) -> TrackedRun:
    """Puts together what a tracker must know to open a run.

    Args:
        root: Folder of the run.
        key: Its key.
        events: Its events.
        remote: Its id in the tracker, empty when it has none yet.
    """
    begins = [event for event in events if event.kind is EventKind.begin]
    # A log that was damaged may have lost the beginning, and the rest is worth telling all the same.
    about = begins[-1].content if begins else {}
    kind, parent = str(about.get("kind")), about.get("parent")
    return TrackedRun(
        key,
        str(about.get("name") or root.name),
        RunKind(kind) if kind in {each.value for each in RunKind} else RunKind.run,
        None if parent is None else str(parent),
        root,
        (begins or events)[0].time,
        remote,
    )


def find_parent(root: Path, key: str) -> Path | None:
    """Finds the folder of a run's parent: one of those around it, or the folder `data` of the sweep around it.

    Args:
        root: Folder of the child.
        key: Key of the parent.

    Returns:
        The folder; None when none of them holds such a run.
    """
    around = list(root.absolute().parents)[:_ANCESTORS]
    for folder in (place for above in around for place in (above, above / _DATA_OF_SWEEP)):
        try:
            if any(event.run == key for event in read_events(folder / EVENTS_NAME)):
                return folder
        except ArtifactError:
            continue
    return None


def find_logs(root: Path) -> list[Path]:
    """Folders with an event log: the folder itself first, then its folds or trials."""
    children = sorted(path.parent for pattern in _CHILDREN for path in root.glob(pattern))
    return [root, *children] if (root / EVENTS_NAME).exists() else children


def find_runs(place: Path) -> list[Path]:
    """All folders with an event log, at any depth, in the order of their names.

    Args:
        place: Folder of a run, of a sweep, or of many of them.
    """
    found = []
    for folder, below, files in os.walk(place):
        if EVENTS_NAME in files:
            found.append(Path(folder))
        # What lies in these is much, and never a run.
        below[:] = sorted(name for name in below if name not in _NO_RUNS and not name.startswith("."))
    return found


def split_batches(events: list[Event]) -> Iterator[list[Event]]:
    """Cuts events into pieces that are told in one go: a file ends a piece, because sending it may take long."""
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if event.kind in _FILES or len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def check_inside(root: Path, events: list[Event]) -> None:
    """Refuses a log that names files outside of its folder: whoever made it would be sent files of this computer.

    Args:
        root: Folder of the run.
        events: Its events.

    Raises:
        ArtifactError: A file, or the folder of the tracker that it shall go to, lies outside.
    """
    for event in events:
        if event.kind not in _FILES:
            continue
        path, folder = str(event.content.get("path")), str(event.content.get("folder", ""))
        inside = (root / path).resolve().is_relative_to(root.resolve())
        if not inside or folder.startswith(("/", "\\")) or ".." in Path(folder).parts:
            message = (
                f"the event log in {str(root)!r} names {path!r} (to go to {folder!r}), which is outside of the folder "
                "of the run: nothing is told of it; did you make this run yourself?"
            )
            raise ArtifactError(message)


def leave_out_replaced(batch: list[Event], events: list[Event]) -> list[Event]:
    """Leaves out files that a later event names again: what lies there now is what the later one means.

    Args:
        batch: Events about to be told.
        events: All events of the run so far.
    """
    last = {(event.kind, event.content.get("path")): event.seq for event in events if event.kind in _FILES}
    return [
        event for event in batch if event.kind not in _FILES or event.seq == last[event.kind, event.content.get("path")]
    ]
