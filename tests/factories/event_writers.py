"""Processes that write into one event log, for tests of what they do to each other."""

import pickle
from pathlib import Path

from phytoscope.schema.events import EventLog
from phytoscope.schema.run_folder import RunFolder


def write_many(root: str, writer: int, count: int) -> None:
    """Goes on with the run of a folder and writes some numbers under a name of its own."""
    log = EventLog(RunFolder(Path(root)))
    log.begin("same", name="together")
    for step in range(count):
        log.metrics({f"writer/{writer}": step / 7, "shared": step / 3}, step=step)


def write_for_ever(root: str) -> None:
    """Writes numbers until the process is killed."""
    log = EventLog(RunFolder(Path(root)))
    log.begin("same", name="killed")
    step = 0
    while True:
        log.metrics({"train/loss": step / 7}, step=step)
        step += 1


def write_unpickled(content: bytes, step: int) -> None:
    """Goes on with a log that was sent from another process."""
    pickle.loads(content).metrics({"val/loss": step / 7}, step=step)  # noqa: S301 (our own test made it)
