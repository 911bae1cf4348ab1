"""A process of its own tells the trackers about a run while the run goes on: a dead or slow tracker holds nobody up."""

import contextlib
import importlib.util
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from phytoscope.errors import ArtifactError, PhytoscopeError, require, storage_error
from phytoscope.track.cursor import tracking_folder
from phytoscope.track.target import TrackTarget, load_targets, save_targets
from phytoscope.track.teller import SURROUNDINGS
from phytoscope.track.told import read_told_below, word_target

LOG_NAME = "courier.log"
_LONGEST_LOG_BYTES = 1 << 20
# Python complains about processes that are forgotten while they run, and these may outlive the run.
_started: list[subprocess.Popen[bytes]] = []


@dataclass
class Courier:
    """The processes that tell the trackers of one run, one for each tracker.

    Attributes:
        root: Folder of the run.
        targets: The trackers.
        processes: The process of each tracker, by its id; one that could not be started is missing.
        error: Why a process could not be started; empty when all run.
    """

    root: Path
    targets: list[TrackTarget]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    error: str = ""

    def wait(self, seconds: float) -> str:
        """Says that the work is over, and waits until all is told.

        Args:
            seconds: How long at most. What is left then is still told for some minutes, as long as the computer runs.

        Returns:
            Empty when all is told; else a sentence that says what is left and what to do.
        """
        deadline = time.monotonic() + seconds
        self.close()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        return " ".join(filter(None, (self._word_left(target) for target in self.targets)))

    def close(self) -> None:
        """Says that the work is over, and waits for nobody. A run that is killed says the same."""
        for process in self.processes.values():
            if process.stdin is not None and not process.stdin.closed:
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def _word_left(self, target: TrackTarget) -> str:
        found = read_told_below(self.root, target)
        waiting, why = found.total - found.told, found.error
        if waiting == 0:
            return ""
        process = self.processes.get(target.id)
        if process is None:
            why = self.error
        elif process.poll() not in (None, 0) and not why:
            why = f"Its process ended, see {str(tracking_folder(self.root) / LOG_NAME)!r}."
        remedy = f"Later: phytoscope track sync {shlex.quote(str(self.root))}"
        sentences = [f"{waiting} events of this run are not told to {word_target(target)} yet.", why, remedy]
        return " ".join(filter(None, sentences))


def start_courier(root: Path, targets: list[TrackTarget], *, patience_s: float | None = None) -> Courier:
    """Starts telling the trackers about a run; the run never waits for it, and never fails because of a tracker.

    Args:
        root: Folder of the run; its event log need not exist yet.
        targets: The trackers.
        patience_s: How long trackers that do not answer are waited for when the run is over, seconds; when None, what
            the environment variable PHYTOSCOPE_TRACK_PATIENCE_S says, else ten minutes.

    Returns:
        What to wait for when the run is over.

    Raises:
        MissingDependencyError: The package that a tracker needs is not installed.
    """
    for target in targets:
        # Looked for, not imported: that takes seconds, and this process needs none of it.
        if importlib.util.find_spec(target.sink.value) is None:
            require(target.sink.value)
    courier = Courier(root, targets)
    # Those that have ended meanwhile are let go of.
    _started[:] = [process for process in _started if process.poll() is None]
    try:
        _note_targets(root, targets)
        for target in targets:
            process = _start(root, target, patience_s)
            _started.append(process)
            courier.processes[target.id] = process
    except (OSError, PhytoscopeError) as error:
        courier.error = str(error)
    return courier


def _note_targets(root: Path, targets: list[TrackTarget]) -> None:
    folder = tracking_folder(root)
    with contextlib.suppress(ArtifactError):
        if all(target in load_targets(folder) for target in targets):
            return
    save_targets(folder, targets)


def _start(root: Path, target: TrackTarget, patience_s: float | None) -> subprocess.Popen[bytes]:
    place = tracking_folder(root) / LOG_NAME
    words = ["track", "follow", str(root), "--target", target.id]
    words += [] if patience_s is None else ["--patience", str(patience_s)]
    try:
        is_long = place.exists() and place.stat().st_size > _LONGEST_LOG_BYTES
        with place.open("wb" if is_long else "ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-m", "phytoscope", *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the run alone; what it has written by then shall still be told.
                start_new_session=True,
                env={**SURROUNDINGS, "OMP_NUM_THREADS": "1", **os.environ},
            )
    except OSError as error:
        raise storage_error(place, error) from error
