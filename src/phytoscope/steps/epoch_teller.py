"""Tells of the epochs of a training that happens in other processes, as they are written into the history."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from phytoscope.schema.events import Journal

_EPOCH, _SHOWN = "epoch", ("train/loss", "val/loss", "val/smoothed")


class EpochTeller:
    """Looks into a history that somebody else writes, and tells each row once."""

    def __init__(self, path: Path, journal: Journal, say: Callable[[str], None], *, epochs: int | None) -> None:
        """Begins behind the rows that are there already.

        Args:
            path: CSV with one row an epoch; it need not exist yet.
            journal: Told the numbers of each epoch.
            say: Told one sentence an epoch.
            epochs: Epochs that are planned; None when nobody knows.
        """
        self._path = path
        self._journal = journal
        self._say = say
        self._epochs = "?" if epochs is None else str(epochs)
        self._told = -1
        self._told = max((int(row[_EPOCH]) for row in self._read()), default=-1)

    def look(self) -> None:
        """Tells of the epochs that were finished since the last look."""
        for row in self._read():
            epoch = int(row[_EPOCH])
            values = {str(name): float(value) for name, value in row.items() if name != _EPOCH and pd.notna(value)}
            self._journal.metrics(values, step=epoch)
            shown = ", ".join(f"{name} {values[name]:.4g}" for name in _SHOWN if name in values)
            self._say(f"train: epoch {epoch + 1}/{self._epochs} done: {shown}")
            self._told = epoch

    def _read(self) -> list[dict[str, float]]:
        try:
            rows = pd.read_csv(self._path).to_dict("records")
        except (OSError, ValueError):
            # Not there yet. It is replaced as a whole, so there is never half of one.
            return []
        return [{str(name): value for name, value in row.items()} for row in rows if int(row[_EPOCH]) > self._told]
