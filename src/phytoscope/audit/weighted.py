"""Statistics in which every plant counts the same, however often it was photographed.

A photograph of a plant with n photographs weighs 1 / n. Where all photographs of a plant have the same value this is
the statistic over plants; where they differ (a plant that grew) nothing is lost, as it would be with one mean a plant.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Values = NDArray[np.float64]


def weigh_groups(groups: pd.Series) -> Values:
    """Weights with which the images of every group sum to 1, shape (N,)."""
    weights: Values = (1.0 / groups.groupby(groups).transform("size")).to_numpy(dtype=np.float64)
    return weights


def weighted_pearson(first: Values, second: Values, weights: Values) -> float | None:
    """Pearson's correlation; None when one of the two never changes.

    Args:
        first: Shape (N,), finite.
        second: Shape (N,), finite.
        weights: Shape (N,), above 0.
    """
    if len(first) < 2 or is_constant(first) or is_constant(second):
        return None
    # Scaled first, so that squares of very large or small numbers stay numbers.
    one, two = (_centre(values, weights) for values in (first, second))
    spread = np.sqrt(np.sum(weights * one**2) * np.sum(weights * two**2))
    if not spread > 0:
        return None
    return float(np.clip(np.sum(weights * one * two) / spread, -1.0, 1.0))


def weighted_spearman(first: Values, second: Values, weights: Values) -> float | None:
    """Spearman's rank correlation; arguments and result as for `weighted_pearson`."""
    return weighted_pearson(weighted_ranks(first, weights), weighted_ranks(second, weights), weights)


def weighted_ranks(values: Values, weights: Values) -> Values:
    """The weight of all that is smaller and half of what is equal; with equal weights the usual mid-ranks, scaled.

    Args:
        values: Shape (N,), finite.
        weights: Shape (N,), above 0.

    Returns:
        Shape (N,).
    """
    _, inverse = np.unique(values, return_inverse=True)
    mass = np.bincount(inverse, weights=weights)
    below = np.cumsum(mass) - mass
    ranks: Values = (below + mass / 2)[inverse]
    return ranks


def weighted_skewness(values: Values, weights: Values) -> float | None:
    """Third standardised moment; None when the values never change.

    Args:
        values: Shape (N,), finite.
        weights: Shape (N,), above 0.
    """
    if len(values) < 2 or is_constant(values):
        return None
    centred = _centre(values, weights)
    total = weights.sum()
    variance = np.sum(weights * centred**2) / total
    if not variance > 0:
        return None
    return float(np.sum(weights * centred**3) / total / variance**1.5)


def is_constant(values: Values) -> bool:
    """Whether values of shape (N,) differ by no more than the last digits of a float; true for none."""
    if not len(values):
        return True
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _centre(values: Values, weights: Values) -> Values:
    centred: Values = values - np.average(values, weights=weights)
    scaled: Values = centred / np.abs(centred).max()
    return scaled
