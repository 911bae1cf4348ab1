"""What stands in the event log of a run is brought to a tracker, now, while the run goes on, or next week."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from phytoscope.errors import ArtifactError, StorageError
from phytoscope.track.cursor import DeliveredRun, read_delivered, tracking_folder
from phytoscope.track.log_runs import find_logs
from phytoscope.track.target import TrackTarget, load_targets, save_targets
from phytoscope.track.teller import Delivery, Teller, open_sink

__all__ = ["DeliveredRun", "Delivery", "deliver", "follow", "open_sink", "read_delivered"]

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LOOK_AROUND_S = 5.0


def _ignore(message: str) -> None:
    """Says nothing."""


def deliver(
    root: Path,
    target: TrackTarget,
    *,
    seconds: float | None = None,
    advance: Callable[[int], None] | None = None,
) -> Delivery:
    """Tells a tracker what stands in the event log of a run and was not told yet.

    Args:
        root: Folder of the run.
        target: The tracker.
        seconds: How long at most, and how long another process that tells it is waited for; when None, until all is
            told or the tracker does not answer.
        advance: Called with the number of events of every batch that was told.

    Returns:
        How it went. A tracker that does not answer is no exception: `waiting` is above 0 then.

    Raises:
        ArtifactError: There is no event log, or it is damaged.
        MissingDependencyError: The package that the tracker needs is not installed.
        StorageError: What was told cannot be noted.
    """
    with contextlib.closing(Teller(root, target, advance=advance)) as teller:
        return teller.tell(seconds)


def follow(
    root: Path,
    target: TrackTarget,
    *,
    over: threading.Event,
    patience_s: float,
    say: Callable[[str], None] = _ignore,
) -> Delivery:
    """Tells a tracker about a run, and about its folds or trials, while it goes on.

    Args:
        root: Folder of the run; its event log need not exist yet.
        target: The tracker.
        over: Set when the work is over, whether it ended well or was killed.
        patience_s: How long a tracker that does not answer is waited for after that, seconds.
        say: Told when the tracker begins or ceases to answer, and at the end.

    Returns:
        What was told in all, and what is left.

    Raises:
        MissingDependencyError: The package that the tracker needs is not installed.
    """
    with contextlib.ExitStack() as stack:
        round_of = _Round(root, target, stack)
        told, pause, give_up, said = 0, _PAUSE_S, float("inf"), ""
        while True:
            if over.is_set() and give_up == float("inf"):
                pause, give_up = _PAUSE_S, time.monotonic() + patience_s
            is_last = over.is_set()
            found = round_of.tell(everywhere=is_last)
            told += found.told
            if found.error != said:
                said = found.error
                say(said or f"{told} events told; the tracker answers again")
            if is_last and (not found.error or time.monotonic() > give_up or not root.exists()):
                say(f"{told} events told, {found.waiting} left")
                return Delivery(told, found.waiting, found.error)
            pause = min(2 * pause, _LONGEST_PAUSE_S) if found.error else _PAUSE_S
            # Many runs that lost the same tracker shall not all come back at the same moment.
            _wait(over, pause * random.uniform(0.8, 1.2))


class _Round:
    """Tells about every log in a folder, again and again."""

    def __init__(self, root: Path, target: TrackTarget, stack: contextlib.ExitStack) -> None:
        self._root = root
        self._target = target
        self._stack = stack
        self._tellers: dict[Path, Teller] = {}
        self._looked = -_LOOK_AROUND_S

    def tell(self, *, everywhere: bool) -> Delivery:
        self._look_around(always=everywhere)
        found = [_tell(teller) for teller in self._tellers.values()]
        error = next((delivery.error for delivery in found if delivery.error), "")
        return Delivery(sum(each.told for each in found), sum(each.waiting for each in found), error)

    def _look_around(self, *, always: bool) -> None:
        is_due = time.monotonic() - self._looked >= _LOOK_AROUND_S
        if not (always or is_due or not self._tellers):
            return
        self._looked = time.monotonic()
        for place in find_logs(self._root):
            if place in self._tellers:
                continue
            if place != self._root:
                # Whoever asks about a fold alone shall know whom it is told to.
                save_targets(tracking_folder(place), load_targets(tracking_folder(self._root)))
            self._tellers[place] = self._stack.enter_context(contextlib.closing(Teller(place, self._target)))


def _tell(teller: Teller) -> Delivery:
    try:
        return teller.tell()
    except (ArtifactError, StorageError) as error:
        # The run itself saves a damaged log with its next event, and a full disk may be emptied.
        return Delivery(0, 1, str(error))


def _wait(over: threading.Event, seconds: float) -> None:
    if over.is_set():
        time.sleep(seconds)
    else:
        over.wait(seconds)
