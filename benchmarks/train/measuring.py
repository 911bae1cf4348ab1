"""The clock of a method, and what it writes: accuracy on the test part against seconds."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from phytoscope.schema.artifact import write_json
from phytoscope.schema.table import Split
from phytoscope.transforms.stream import count_cores

BACKBONE = "tf_mobilenetv3_small_100"
SIZE_PX = 224
_KEPT = ("method", "state", "facts", "points", "import_seconds", "load_at_start")


@dataclass(frozen=True)
class Job:
    """What every method is given.

    Attributes:
        data: Folder of class folders.
        weights: Safetensors file of the backbone.
        table: CSV with the columns image, label, split and leaf.
        folder: Where a method may write what it needs.
        seed: Seed of everything random.
        options: Further words of the method's own.
    """

    data: Path
    weights: Path
    table: Path
    folder: Path
    seed: int = 0
    options: tuple[str, ...] = ()

    def read_split(self, *splits: Split) -> pd.DataFrame:
        """Rows of these splits, with the absolute `path` of each image."""
        rows = pd.read_csv(self.table)
        rows["path"] = [str(self.data / image) for image in rows["image"]]
        return rows[rows["split"].isin(list(map(str, splits)))].reset_index(drop=True)

    def read_classes(self) -> list[str]:
        """All class names, sorted."""
        return sorted(pd.read_csv(self.table)["label"].unique())


def read_load() -> float | None:
    """Processes that run or wait, mean of a minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@dataclass
class Curve:
    """What one method did.

    Attributes:
        method: Its name.
        started: Time at which its process was asked for, as `time.time()` gives it.
        result: File that holds what is known so far.
        facts: What else is worth knowing: settings, workers, images a second.
        points: Seconds, seconds of the processors, accuracy and macro F1 (0-1) on the test part, in order of time.
        import_seconds: How long the start of Python and the imports took; they stay on the clock.
        load_at_start: Processes that were running or waiting when the method started, mean of a minute.
        state: `running` or `finished`.
    """

    method: str
    started: float
    result: Path
    facts: dict[str, Any] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)
    import_seconds: float = 0.0
    load_at_start: float | None = field(default_factory=read_load)
    state: str = "running"
    _paused: float = 0.0
    _paused_cpu: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds on the clock since the process was asked for, without the pauses."""
        return time.time() - self.started - self._paused

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the processors, children included, without the pauses."""
        return read_cpu_seconds() - self._paused_cpu

    def libraries_imported(self) -> None:
        """Notes how long it took until here."""
        self.import_seconds = self.seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock, for looking at the test part, which no user has."""
        wall, cpu = time.time(), read_cpu_seconds()
        try:
            yield
        finally:
            self._paused += time.time() - wall
            self._paused_cpu += read_cpu_seconds() - cpu

    @contextlib.contextmanager
    def looking(self, note: str, truth: Sequence[str], **more: Any) -> Iterator[list[str]]:
        """Stops the clock for a look at the test part, and adds what is found as a point at the time of the stop.

        Args:
            note: What was done up to here, for example `epoch 2`.
            truth: Class of each image of the test part.
            more: Further numbers, for example the accuracy on val.

        Yields:
            A list, to be filled with the method's answer for each image.
        """
        seconds, cpu_seconds = self.seconds, self.cpu_seconds
        answers: list[str] = []
        with self.paused():
            yield answers
            accuracy, macro_f1 = score(truth, answers)
            point = {"note": note, "seconds": seconds, "cpu_seconds": cpu_seconds}
            self.points.append({**point, "accuracy": accuracy, "macro_f1": macro_f1, **more})
            self.write()
            print(f"  {self.method} {note}: {seconds:.1f} s, CPU {cpu_seconds:.1f} s, test {accuracy:.4f}", flush=True)

    def finish(self) -> None:
        """Notes the whole time and writes the result."""
        self.facts |= {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "load_at_end": read_load()}
        self.state = "finished"
        self.write()

    def write(self) -> None:
        """Writes what is known so far."""
        kept = {name: value for name, value in asdict(self).items() if name in _KEPT}
        machine = {"cores": count_cores(), "system": platform.platform(terse=True), "python": platform.python_version()}
        versions = {name: version(name) for name in ("torch", "torchvision", "timm", "lightning", "fastai")}
        write_json(self.result, {**kept, "machine": machine, "versions": versions})


def read_cpu_seconds() -> float:
    """Seconds that the processors spent on this process and its children, those that still run too."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            spent = child.cpu_times()
            total += spent.user + spent.system
    return total


def score(truth: Sequence[str], answers: Sequence[str]) -> tuple[float, float]:
    """Accuracy and macro F1 (0-1)."""
    true, said = np.asarray(truth, dtype=object), np.asarray(answers, dtype=object)
    f1 = []
    for name in sorted(set(truth)):
        hits = int(((true == name) & (said == name)).sum())
        f1.append(2 * hits / (int((true == name).sum()) + int((said == name).sum())))
    return float((true == said).mean()), float(np.mean(f1))
