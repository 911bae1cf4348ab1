"""Collects what is wrong with many rows at once, whole columns at a time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.source import Fault, faults_to_table, sort_faults
from phytoscope.schema.table import REJECTED_COLUMNS, SAMPLE_ID, SOURCE_ROW


class FaultLog:
    """The faults of the rows of one source.

    Attributes:
        hit: Which rows have a fault, shape (N,), bool.
        parts: Tables of faults, columns as in `rejected.csv`.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self.hit: NDArray[np.bool_] = np.zeros(len(rows), dtype=bool)
        self._lines = rows[SOURCE_ROW]
        self._names = rows[SAMPLE_ID].astype(object)
        self.parts: list[pd.DataFrame] = []

    def add(
        self,
        where: NDArray[np.bool_],
        reason: str | Sequence[str],
        remedy: str | Sequence[str],
        *,
        column: str = "",
        value: str | Sequence[str] = "",
    ) -> None:
        """Notes the same kind of fault for some rows.

        Args:
            where: Which rows, shape (N,), bool.
            reason: What is wrong; one text for all rows, or one for each row that is meant.
            remedy: What to do about it, likewise.
            column: The user's column.
            value: The offending value, likewise.
        """
        if not where.any():
            return
        self.hit |= where
        index = self._names.index[where]
        content = {
            SOURCE_ROW: self._lines[where],
            "path": self._names[where],
            "column": column,
            "value": value if isinstance(value, str) else pd.Series(list(value), index=index, dtype=object),
            "reason": reason if isinstance(reason, str) else pd.Series(list(reason), index=index, dtype=object),
            "remedy": remedy if isinstance(remedy, str) else pd.Series(list(remedy), index=index, dtype=object),
        }
        self.parts.append(pd.DataFrame(content, index=index, columns=list(REJECTED_COLUMNS)))

    def add_known(self, faults: list[Fault]) -> None:
        """Takes over faults that a reader has found, whether or not their row is among the rows."""
        if not faults:
            return
        self.parts.append(faults_to_table(faults))
        known = pd.MultiIndex.from_arrays([self._lines.fillna(-1).astype("int64"), self._names])
        named = [(-1 if fault.source_row is None else fault.source_row, fault.path) for fault in faults]
        self.hit |= known.isin(named)

    def add_log(self, other: "FaultLog") -> None:
        """Takes over what another log of the same rows holds."""
        self.hit |= other.hit
        self.parts += other.parts

    def to_table(self) -> pd.DataFrame:
        """One row a fault, in the order of the source rows, columns as in `rejected.csv`."""
        return sort_faults(pd.concat(self.parts, ignore_index=True)) if self.parts else faults_to_table([])
