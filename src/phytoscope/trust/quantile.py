"""Quantiles that hold for groups never seen: of scores that come in groups of images that are alike.

Photographs of one leaf or plant are not independent, so a quantile over images promises more than it holds for new
plants. Hierarchical conformal prediction (Lee, Barber and Willett 2023, arXiv 2306.06342) asks only that groups could
change places with each other: each group counts once, shared among its images, and one more group, whose score is
infinite, stands for the new one.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.trust.observed import Floats

# Sums of a million shares differ from the exact ones by less.
_SLACK = 1e-9


def number_groups(groups: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Numbers the groups in the order of their first images.

    Args:
        groups: Group of each image, shape (N,), any values that can be told apart.

    Returns:
        Number of each image's group, shape (N,), int64, and how many groups there are.
    """
    place: dict[Any, int] = {}
    codes = np.fromiter((place.setdefault(group, len(place)) for group in groups.tolist()), np.int64, len(groups))
    return codes, len(place)


def weigh_groups(groups: NDArray[Any]) -> tuple[Floats, int]:
    """Weights by which every group counts once, whatever the number of its images.

    Args:
        groups: Group of each image, shape (N,).

    Returns:
        Weight of each image, 1 / images of its group, shape (N,), float64, and the number of groups.
    """
    codes, n_groups = number_groups(groups)
    return 1.0 / np.bincount(codes, minlength=n_groups)[codes], n_groups


def group_quantile(scores: Floats, groups: NDArray[Any], coverage: float) -> tuple[float, float]:
    """Smallest score that an image of a new group exceeds seldom enough.

    Args:
        scores: One score for each image, shape (N,), float64, N at least 1; infinite where nothing would be enough.
        groups: Group of each image, shape (N,).
        coverage: Share of images of new groups that shall not exceed it, between 0 and 1.

    Returns:
        The quantile, one of the scores, and what it promises: `coverage`, or, where there are too few groups for that,
        groups / (groups + 1), with the largest score.

    Raises:
        ConfigError: `coverage` is not between 0 and 1.
        DataValidationError: There is no score, or one is not a number.
    """
    if not 0.0 < coverage < 1.0:
        message = f"coverage is {coverage}; allowed is a share between 0 and 1, without 0 and 1: for example 0.9."
        raise ConfigError(message)
    if len(scores) == 0 or np.isnan(scores).any():
        message = f"of {len(scores)} scores {int(np.isnan(scores).sum())} are not numbers: at least one, all numbers."
        raise DataValidationError(message)
    weights, n_groups = weigh_groups(groups)
    promised = min(coverage, n_groups / (n_groups + 1))
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order]) / (n_groups + 1)
    place = min(int(np.searchsorted(reached, promised - _SLACK)), len(scores) - 1)
    return float(scores[order[place]]), promised


def count_groups_needed(coverage: float) -> int:
    """Smallest number of groups from which `coverage`, between 0 and 1, can be promised."""
    return math.ceil(coverage / (1.0 - coverage) - _SLACK)


def word_promise(what: str, n_groups: int, promised: float, coverage: float) -> str:
    """The remark for a promise that falls short of what is wanted.

    Args:
        what: What promises, in the plural, for example `prediction sets`.
        n_groups: Groups that it was fitted on.
        promised: Share that can be promised, 0-1.
        coverage: Share that was wanted, 0-1.
    """
    return (
        f"{what} can promise to hold the truth for {promised:.0%} of new groups (leaves, plants), not for "
        f"{coverage:.0%}: the calibration split has {n_groups} and {count_groups_needed(coverage)} are needed. Add "
        "groups, or give the calibration split a larger share."
    )
