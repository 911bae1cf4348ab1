"""Strata of a split: the classes, or quantiles of the target's mean over each group."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.schema.table import LABEL, TARGET, Task

MOST_QUANTILES = 10
_GROUPS_PER_QUANTILE = 4


@dataclass(frozen=True)
class Strata:
    """Groups and strata of all images, as numbers.

    Attributes:
        groups: Group of each image as a position in `group_names`, shape (n_images,), int64.
        group_names: Names in alphabetical order, shape (n_groups,).
        strata: Stratum of each image as a position in `stratum_names`, shape (n_images,), int64.
        stratum_names: Classes in alphabetical order, or ranges of the target from small to large.
    """

    groups: NDArray[np.int64]
    group_names: NDArray[np.object_]
    strata: NDArray[np.int64]
    stratum_names: list[str]


def code_strata(manifest: pd.DataFrame, groups: pd.Series, task: Task, quantiles: int = MOST_QUANTILES) -> Strata:
    """Numbers groups and strata in an order that does not depend on the rows.

    Args:
        manifest: One row an image.
        groups: Group of each image.
        task: Classes or quantiles of the target.
        quantiles: Most quantiles to use; fewer when there are not four groups for each.
    """
    codes, names = pd.factorize(groups.to_numpy(dtype=object), sort=True)
    codes = codes.astype(np.int64)
    if task is Task.classification:
        strata, labels = pd.factorize(manifest[LABEL].to_numpy(dtype=object), sort=True)
        return Strata(codes, names, strata.astype(np.int64), [str(label) for label in labels])
    means = _group_means(codes, manifest[TARGET].to_numpy(dtype=np.float64), len(names))
    bins = int(np.clip(len(names) // _GROUPS_PER_QUANTILE, 1, quantiles))
    order = np.argsort(means, kind="stable")
    of_group = np.empty(len(names), dtype=np.int64)
    of_group[order] = np.arange(len(names)) * bins // max(len(names), 1)
    ranges = [means[of_group == number] for number in range(bins)] if len(names) else []
    words = [f"{part.min():.4g} to {part.max():.4g}" for part in ranges]
    return Strata(codes, names, of_group[codes], words)


def _group_means(codes: NDArray[np.int64], target: NDArray[np.float64], n_groups: int) -> NDArray[np.float64]:
    # Added up in a fixed order, because the last digit of a mean decides between equal groups.
    order = np.lexsort((target, codes))
    totals = np.bincount(codes[order], weights=target[order], minlength=n_groups)
    return totals / np.bincount(codes, minlength=n_groups)
