"""What a receiver of events must be able to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from phytoscope.schema.events import Event, RunKind


@dataclass(frozen=True)
class TrackedRun:
    """One run as a tracker knows it.

    Attributes:
        key: Key of the run in the event log, 32 hexadecimal digits.
        name: Name for people.
        kind: What it is.
        parent: Key of the run that it is a child of; None when of none.
        root: Folder of the run; the paths of its events are relative to it.
        began: When it began, seconds since 1970.
        remote: Its id in the tracker, when it was opened before; empty otherwise.
    """

    key: str
    name: str
    kind: RunKind
    parent: str | None
    root: Path
    began: float
    remote: str = ""


class Sink(Protocol):
    """A tracker. Every call may be repeated after a kill or a lost answer, and then changes nothing."""

    def open(self, run: TrackedRun) -> str:
        """Finds the run by its key, or creates it.

        Args:
            run: The run.

        Returns:
            Its id in the tracker.

        Raises:
            TrackingError: The tracker does not answer; try again later.
        """

    def send(self, run: TrackedRun, events: Sequence[Event]) -> dict[str, str]:
        """Tells some events of an open run, in their order.

        Args:
            run: The run, with its `remote` id.
            events: Consecutive events of this run.

        Returns:
            What is worth keeping, for example `model_uri` and `url`.

        Raises:
            TrackingError: The tracker does not answer; none, some or all of the events were told.
        """

    def close(self) -> None:
        """Lets go of connections and files."""
