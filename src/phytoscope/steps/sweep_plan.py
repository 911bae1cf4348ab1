"""What a sweep is about, and the names of all that it writes."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from phytoscope.errors import storage_error
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.train.sweep.space import Dimension
from phytoscope.train.sweep.study import open_study


@dataclass(frozen=True)
class SweepFolder:
    """Names of everything in the folder of one sweep.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def data(self) -> RunFolder:
        """The prepared data, which all trials share."""
        return RunFolder(self.root / "data")

    @property
    def best(self) -> Path:
        """Settings of the best trial, as an experiment."""
        return self.root / "best.yaml"

    @property
    def table(self) -> Path:
        """One row a trial."""
        return self.root / "trials.csv"

    @property
    def figures(self) -> Path:
        """History, importance, and the objective against each setting."""
        return self.root / "figures"

    def trial(self, number: int) -> RunFolder:
        """Folder of one trial."""
        return RunFolder(self.root / "trials" / f"{number:04d}")

    @contextlib.contextmanager
    def locked(self) -> Any:
        """Lets one process at a time change which trials there are; others wait.

        Raises:
            StorageError: The place cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / ".lock")
            lock.acquire()
        except OSError as error:
            raise storage_error(self.root, error) from error
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class SweepPlan:
    """What every worker of a sweep needs to know.

    Attributes:
        config: Settings of the sweep.
        folder: Where its trials lie.
        storage: File of the study.
        dimensions: What is tried.
        inputs: Hash of what is tried on which data.
        epochs: Longest training in epochs.
        frozen_epochs: First epochs in which only the head is trained; nobody is judged by them.
        metric: What is minimised, in words.
        ends_at: Time after which no trial begins, seconds since 1970; None when any may.
        parent_run: Key of the tracked run of the sweep.
    """

    config: RunConfig
    folder: SweepFolder
    storage: Path
    dimensions: tuple[Dimension, ...]
    inputs: str
    epochs: int
    frozen_epochs: int
    metric: str
    ends_at: float | None
    parent_run: str | None = None

    def open_study(self) -> Any:
        """The study of this sweep."""
        # Two processes that both find a new file would both create its tables.
        with self.folder.locked():
            return open_study(self.storage, self.config.name, self.inputs)
