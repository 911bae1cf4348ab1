"""Which rows are learned from, and which are kept back to choose by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length, column_or_1d

from phytoscope.data.split.deal import count_groups, deal_groups
from phytoscope.data.split.strata import code_strata
from phytoscope.errors import SplitError
from phytoscope.schema.table import LABEL, TARGET, Task


@dataclass(frozen=True)
class Dealt:
    """Places of the rows of each part, and the group of every row.

    Attributes:
        learned: Rows to learn from, shape (m,), int64.
        kept: Rows to choose by, shape (n - m,), int64; none where nothing is to be chosen.
        groups: Group of each row, n of them.
    """

    learned: NDArray[np.int64]
    kept: NDArray[np.int64]
    groups: tuple[str, ...]


def name_groups(groups: Any, rows: Any, contents: Sequence[str]) -> tuple[str, ...]:
    """Names the group of each row.

    Args:
        groups: What the user gave, one value a row; None when every row stands for itself.
        rows: The rows, n of them.
        contents: What each row holds; without groups, rows that hold the same stand together.

    Raises:
        ValueError: There is not one value a row.
        SplitError: The group of a row is missing.
    """
    if groups is None:
        # Numbers in the order of the rows: pixels and files have different hashes and should be dealt alike.
        return tuple(map(str, pd.factorize(np.asarray(contents, dtype=object))[0].tolist()))
    check_consistent_length(rows, groups)
    named = column_or_1d(np.asarray(groups, dtype=object))
    missing = np.flatnonzero(pd.isna(named))
    if len(missing) > 0:
        message = (
            f"groups lacks {len(missing)} of {len(named)} values, the first in row {missing[0]}: name the plant or "
            "plot of every row, or leave those rows out."
        )
        raise SplitError(message)
    return tuple(map(str, named))


def deal_rows(target: NDArray[Any], groups: tuple[str, ...], task: Task, share: float, seed: int) -> Dealt:
    """Keeps whole groups back to choose by, some of every class or range of values.

    Args:
        target: Number of each row's class, or its value, shape (n,).
        groups: Group of each row.
        task: Classes or values.
        share: Share of the rows that is kept back, 0-1.
        seed: Seed of the draw.

    Raises:
        SplitError: There are fewer than two groups.
    """
    if len(set(groups)) < 2:
        message = (
            f"n_samples={len(target)} in {len(set(groups))} group (equal pictures are one): two groups at least are "
            "needed, one to learn from and one to choose by; with adapt='head' a penalty of your own (penalty=0.1) "
            "needs none to choose by."
        )
        raise SplitError(message)
    named = pd.DataFrame({(LABEL if task is Task.classification else TARGET): target})
    strata = code_strata(named, pd.Series(groups), task)
    counts = count_groups(strata.groups, strata.strata, len(strata.group_names))
    part = deal_groups(counts, (1 - share, share), seed, everywhere=task is Task.classification)[strata.groups]
    return Dealt(np.flatnonzero(part == 0), np.flatnonzero(part == 1), groups)
