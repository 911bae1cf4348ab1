"""Folders of runs with an event log, as a training leaves them, in a moment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phytoscope.schema.events import EndStatus, EventKind, EventLog, RunKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.sink import TrackedRun

MODEL_ID = "0123456789abcdef"


def write_run(root: Path, *, epochs: int = 3, name: str = "rust on beans") -> EventLog:
    """Write the log of a run that was trained, evaluated and packaged, and the files that it speaks of."""
    log = begin_run(root, name=name)
    for epoch in range(epochs):
        write_epoch(log, epoch)
    finish_run(log, epochs)
    return log


def begin_run(root: Path, *, name: str = "rust on beans") -> EventLog:
    """Write what is known before the first epoch."""
    log = EventLog(RunFolder(root))
    log.begin("identity", name=name)
    log.params({"seed": 0, "trainer.max_epochs": 3, "trainer.lr": 0.0, "data.root": "Blätter/bean", "track.uri": None})
    log.dataset({"name": "bean", "data_hash": "d" * 64, "split_hash": "s" * 64, "rows": {"train": 8, "test": 4}})
    return log


def write_epoch(log: EventLog, epoch: int) -> None:
    """Write the numbers of one epoch, none of which is round."""
    log.metrics({"train/loss": 1 / (epoch + 3), "val/macro_f1": 1 - 1 / (epoch + 2), "learning_rate": 1e-7}, step=epoch)
    log.system({"system/cpu_utilization_percentage": 12.5 + epoch}, step=epoch)


def finish_run(log: EventLog, epochs: int) -> None:
    """Write what stands in the log after the last epoch."""
    root = log.path.parent
    log.metrics({"test/macro_f1": 0.0, "trust/accept": 2 / 3}, step=epochs)
    write_files(root)
    log.artifact(root / "config.yaml", "tables")
    log.artifact(root / "report.html", "report")
    log.artifact(root / "figures", "figures")
    log.package(root / "package")
    log.tags({"phytoscope.version": "0.1.0"})
    log.end(EndStatus.finished)


def write_files(root: Path) -> None:
    """Write a report, a figure, settings and a package."""
    (root / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
    (root / "report.html").write_text("<html><body>0.75</body></html>", encoding="utf-8")
    for name in ("figures", "package/model"):
        (root / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "figures" / "scatter.png")
    (root / "package" / "package.json").write_text(json.dumps({"model_id": MODEL_ID, "task": "classification"}))
    (root / "package" / "model" / "weights.safetensors").write_bytes(b"\x00" * 100)


def find_run(log: EventLog, *, parent: str | None = None) -> TrackedRun:
    """The run of a log as a tracker is told of it."""
    begin = next(event for event in read_events(log.path) if event.kind is EventKind.begin)
    content = begin.content
    return TrackedRun(begin.run, content["name"], RunKind(content["kind"]), parent, log.path.parent, begin.time)


def list_points(log: EventLog) -> set[tuple[str, int, float]]:
    """Every number of a log as (name, step, value)."""
    return {
        (name, int(event.content["step"]), float(value))
        for event in read_events(log.path)
        if event.kind in (EventKind.metrics, EventKind.system)
        for name, value in event.content["metrics"].items()
    }


def list_row_points(rows: list[dict[str, Any]]) -> list[tuple[str, int, float]]:
    """Every number of the history of Weights & Biases as (name, step, value), sorted; media are left out."""
    axes = {"epoch", "system/sample"}
    return sorted(
        (name, int(row.get("epoch", row.get("system/sample"))), float(value))
        for row in rows
        for name, value in row.items()
        if not name.startswith("_") and name not in axes and not isinstance(value, dict)
    )
