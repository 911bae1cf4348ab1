"""A tracker in memory, with the bad manners of real ones."""

import threading
from collections.abc import Callable, Sequence

from phytoscope.errors import TrackingError
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import Event, EventKind
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget

TARGET = TrackTarget(TrackSink.mlflow, "memory", "leaves")


class MemoryTracker:
    """What a tracker knows, and what it does wrong.

    Attributes:
        away: Whether it does not answer.
        breaks_after: Requests after which it goes away in the middle of one; never when None.
        opened: Every run that was opened, in order.
        known: Events by the key of their run, in the order in which they came.
    """

    def __init__(self) -> None:
        self.away = False
        self.breaks_after: int | None = None
        self.opened: list[TrackedRun] = []
        self.known: dict[str, list[Event]] = {}
        self.closed = 0
        self.remotes: dict[str, str] = {}
        self.before_send: Callable[[], None] = lambda: None
        self.lock = threading.Lock()

    def open_sink(self, target: TrackTarget) -> "MemorySink":
        """Takes the place of the courier's own function."""
        return MemorySink(self)

    def seqs(self, key: str) -> list[int]:
        """Numbers of the events that it was told of a run, in the order in which they came."""
        return [event.seq for event in self.known.get(key, [])]

    def kinds(self, key: str) -> list[EventKind]:
        """The same for what they are about."""
        return [event.kind for event in self.known.get(key, [])]


class MemorySink:
    """Tells a tracker in memory."""

    def __init__(self, tracker: MemoryTracker) -> None:
        self._tracker = tracker

    def open(self, run: TrackedRun) -> str:
        """Finds or creates a run."""
        tracker = self._tracker
        if tracker.away:
            raise TrackingError("nobody answers")
        tracker.opened.append(run)
        return tracker.remotes.setdefault(run.key, f"remote-{len(tracker.remotes)}")

    def send(self, run: TrackedRun, events: Sequence[Event]) -> dict[str, str]:
        """Keeps events; half of them when it breaks."""
        tracker = self._tracker
        tracker.before_send()
        if tracker.away:
            raise TrackingError("nobody answers")
        with tracker.lock:
            known = tracker.known.setdefault(run.key, [])
            if tracker.breaks_after is not None:
                tracker.breaks_after -= 1
                if tracker.breaks_after < 0:
                    tracker.away, tracker.breaks_after = True, None
                    known += events[: len(events) // 2]
                    raise TrackingError("it went away in the middle")
            known += events
        return {"url": f"http://memory/{run.remote}"}

    def close(self) -> None:
        """Counts."""
        self._tracker.closed += 1
