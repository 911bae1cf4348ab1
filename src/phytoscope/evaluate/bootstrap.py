"""How far the numbers could be off: intervals from drawing groups, not images, with replacement.

Pictures of one leaf or plant are alike, so that a hundred of them say less than a hundred plants do. What is drawn is
therefore the group with all its images (cluster bootstrap: Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x).
Every number here follows from sums over the images. Each group is summed up once, and a draw is a row of counts that
multiplies these sums: the cost depends on the number of groups and not on that of images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from phytoscope.errors import ConfigError

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Measure: TypeAlias = Callable[[FloatArray], dict[str, FloatArray]]
"""From sums of shape (T, K) to numbers of shape (T,) or (T, classes) by name, NaN where one is not defined."""

MAX_UNITS: Final = 4000
"""More groups than these are merged at random into so many units, which are then drawn.

A sum over drawn units has the same variance and skewness as one over drawn groups (random groups: Wolter 2007, doi
10.1007/978-0-387-35099-8, chapter 2); what is lost is the precision of the variance, sqrt(2 / 4000) = 2 %, less than
1000 draws lose by themselves.
"""
MIN_DEFINED: Final = 0.5
"""Share of the draws in which a number must be defined for it to have an interval."""
_CHUNK = 250


@dataclass(frozen=True)
class BootstrapPlan:
    """How intervals are made.

    Attributes:
        draws: Draws of groups; 0 for no intervals.
        confidence: Level of the intervals, above 0 and below 1.
        seed: Seed of the draws.

    Raises:
        ConfigError: A number is outside what is allowed.
    """

    draws: int = 0
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.draws < 0 or self.seed < 0 or not 0 < self.confidence < 1:
            message = (
                f"bootstrap is {self.draws}, its seed {self.seed} and confidence {self.confidence}; allowed are 0 or "
                "more draws, a seed of 0 or more and a confidence above 0 and below 1: correct them."
            )
            raise ConfigError(message)


@dataclass(frozen=True)
class Replicates:
    """One quantity for all images, for every draw, and without each unit in turn.

    Attributes:
        whole: For all images, shape (1, ...).
        drawn: For each draw, shape (draws, ...).
        without: With one unit left out, shape (units, ...).
    """

    whole: FloatArray
    drawn: FloatArray
    without: FloatArray

    def map(self, measure: Measure) -> dict[str, "Replicates"]:
        """The numbers that follow from these sums, by name."""
        whole, drawn, without = measure(self.whole), measure(self.drawn), measure(self.without)
        return {name: Replicates(whole[name], drawn[name], without[name]) for name in whole}

    def minus(self, other: "Replicates") -> "Replicates":
        """The difference to another quantity of the same draws."""
        return Replicates(self.whole - other.whole, self.drawn - other.drawn, self.without - other.without)


class GroupSampler:
    """Draws of the groups of some images: the same ones for every number, so that differences are paired."""

    def __init__(self, groups: npt.NDArray[Any] | pd.Series, plan: BootstrapPlan) -> None:
        """Draws.

        Args:
            groups: Group of each image, shape (N,), any type that can be sorted, N at least 1.
            plan: How intervals are made.
        """
        self.plan = plan
        # Sorted, so that the draws do not depend on the order of the rows.
        codes, names = pd.factorize(groups, sort=True)
        self.codes: IntArray = codes.astype(np.int64)
        self.names = np.asarray(names)
        self.n_groups = len(names)
        rng = np.random.default_rng(plan.seed)
        per_unit = -(-self.n_groups // MAX_UNITS)
        self.n_units = -(-self.n_groups // per_unit)
        self.units: IntArray = self.codes
        if per_unit > 1:
            self.units = (rng.permutation(self.n_groups) % self.n_units)[self.codes]
        self._counts = self._draw_counts(rng)

    def _draw_counts(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        n = self.n_units
        counts = np.empty((self.plan.draws, n), dtype=np.uint8)
        for start in range(0, len(counts), _CHUNK):
            part = counts[start : start + _CHUNK]
            chosen = rng.integers(0, n, size=(len(part), n)) + n * np.arange(len(part))[:, None]
            # A unit is hardly ever drawn ten times, so that a byte is enough.
            part[:] = np.bincount(chosen.ravel(), minlength=part.size).reshape(part.shape)
        return counts

    def replicate(self, sums: FloatArray) -> Replicates:
        """Sums over all images, over each draw, and without each unit.

        Args:
            sums: Sums over each unit, shape (units, K), float64.
        """
        whole = sums.sum(axis=0, keepdims=True)
        drawn = np.empty((len(self._counts), sums.shape[1]))
        for start in range(0, len(drawn), _CHUNK):
            drawn[start : start + _CHUNK] = self._counts[start : start + _CHUNK].astype(np.float64) @ sums
        return Replicates(whole, drawn, whole - sums)

    def count_groups(self, kinds: IntArray, n_kinds: int) -> IntArray:
        """Number of groups that have an image of each kind.

        Args:
            kinds: Kind of each image, shape (N,), int64, 0 to n_kinds - 1, or -1 for none.
            n_kinds: Number of kinds.

        Returns:
            Shape (n_kinds,), int64.
        """
        known = kinds >= 0
        pairs = pd.unique(self.codes[known] * n_kinds + kinds[known])
        return np.bincount(pairs % n_kinds, minlength=n_kinds).astype(np.int64)


def find_bounds(
    values: Replicates, groups: int | IntArray, confidence: float, *, share: bool = False, recentre: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Interval of a number by the bias-corrected and accelerated bootstrap.

    Plain percentiles miss on one side where a number is skewed, as an accuracy near 1 is; BCa corrects this (Efron
    1987, doi 10.1080/01621459.1987.10478410), with its acceleration from leaving out one unit at a time. For few
    groups any bootstrap is too narrow; the level is widened by Student's t and sqrt(groups / (groups - 1)) (Hesterberg
    2015, doi 10.1080/00031305.2015.1089789). Where every draw gives the same share of 0 or 1, nothing varies that could
    be drawn; the exact bound for that many groups without an exception stands there (Clopper and Pearson 1934, doi
    10.1093/biomet/26.4.404).

    Args:
        values: The number, shape (..., ) or (..., J) for J numbers at once.
        groups: Groups behind the number, or behind each of the J numbers.
        confidence: Level of the interval.
        share: Whether it is a share that cannot leave 0-1.
        recentre: Whether drawing pushes the number to one side by itself, as it does for absolute deviations: the
            draws are then moved to lie around the number, and stay above 0.

    Returns:
        Lower and upper ends, each of shape () or (J,), NaN where there is one group or none, or where the number is
        not defined for all images or for most draws.
    """
    shape = values.whole.shape[1:]
    if len(values.drawn) == 0:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    whole = np.atleast_1d(values.whole[0])
    drawn, without = (part.reshape(len(part), -1) for part in (values.drawn, values.without))
    behind = np.broadcast_to(np.asarray(groups, dtype=np.float64), whole.shape)
    if recentre:
        drawn = np.maximum(drawn + (whole - _nan_median(drawn)), 0.0)
    defined = np.isfinite(drawn)
    low_level, high_level = _choose_levels(whole, drawn, without, behind, confidence)
    ordered = np.sort(np.where(defined, drawn, np.nan), axis=0)
    low, high = (_pick(ordered, defined.sum(axis=0), level) for level in (low_level, high_level))
    if share:
        tail = (1.0 - confidence) / 2.0
        # With one group a bound could still be given, but nobody should read it.
        bound = tail ** (1.0 / np.maximum(behind, 1.0))
        low = np.where((low == 1.0) & (high == 1.0), bound, low)
        high = np.where((low == 0.0) & (high == 0.0), 1.0 - bound, high)
    # The bound of a group that stands alone says nothing of others.
    wanted = (behind > 1) & np.isfinite(whole) & (defined.mean(axis=0) >= MIN_DEFINED)
    return np.where(wanted, low, np.nan).reshape(shape), np.where(wanted, high, np.nan).reshape(shape)


def is_clear(gap: Replicates, groups: int | IntArray, level: float) -> npt.NDArray[np.bool_]:
    """Whether a difference is larger than chance explains.

    The tails of a thousand draws are too thin for the strict levels that many comparisons ask for, so the difference is
    held against Student's t times its standard error.

    Args:
        gap: The difference, shape (...,) or (..., J) for J differences at once.
        groups: Groups behind it, or behind each.
        level: Chance of calling a difference clear where there is none, 0-1; divide it by the number of comparisons
            (Bonferroni).

    Returns:
        Shape () or (J,), False where there is one group or where the difference is not defined.
    """
    behind = np.maximum(np.asarray(groups, dtype=np.float64), 1.0)
    freedom = np.maximum(behind - 1.0, 1.0)
    reach = -special.stdtrit(freedom, level / 2.0) * np.sqrt(behind / freedom)
    spread = _find_spread(gap.drawn)
    known = (behind > 1) & np.isfinite(gap.whole[0]) & np.isfinite(spread)
    return np.asarray(known & (np.abs(gap.whole[0]) > reach * np.where(known, spread, np.inf)))


def _find_spread(drawn: FloatArray) -> FloatArray:
    """Standard deviation of the draws, NaN without two of them."""
    enough = np.isfinite(drawn).sum(axis=0) > 1
    gaps = np.where(np.isfinite(drawn), drawn - _nan_mean(drawn), np.nan)
    return np.where(enough, np.sqrt(_nan_mean(gaps**2)), np.nan)


def _choose_levels(
    whole: FloatArray, drawn: FloatArray, without: FloatArray, groups: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Which quantiles of the draws are the ends of the interval, each of shape (J,), 0-1."""
    n = np.maximum(np.isfinite(drawn).sum(axis=0), 1)
    below = ((drawn < whole).sum(axis=0) + 0.5 * (drawn == whole).sum(axis=0)) / n
    shift = special.ndtri(np.clip(below, 0.5 / n, 1.0 - 0.5 / n))
    gap = np.nan_to_num(_nan_mean(without) - without)
    squares = np.sum(gap**2, axis=0)
    skew = np.divide(np.sum(gap**3, axis=0), 6.0 * squares**1.5, out=np.zeros_like(squares), where=squares > 0)
    freedom = np.maximum(groups - 1.0, 1.0)
    reach = np.sqrt((freedom + 1.0) / freedom) * special.stdtrit(freedom, (1.0 - confidence) / 2.0)
    levels = []
    for side in (reach, -reach):
        moved = shift + side
        # Far out the correction would turn round; there it stands still.
        scale = np.maximum(1.0 - skew * moved, 0.1)
        levels.append(special.ndtr(shift + moved / scale))
    return levels[0], levels[1]


def _pick(ordered: FloatArray, count: IntArray, level: FloatArray) -> FloatArray:
    """Quantile of each column of sorted numbers of which the first `count` are defined."""
    position = level * np.maximum(count - 1, 0)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
    columns = np.arange(ordered.shape[1])
    at_lower, at_upper = ordered[lower, columns], ordered[upper, columns]
    # Written this way, equal neighbours give themselves and not something that differs in the last digit.
    return np.asarray(at_lower + (position - lower) * (at_upper - at_lower))


def _nan_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def _nan_median(values: FloatArray) -> FloatArray:
    count = np.isfinite(values).sum(axis=0)
    return _pick(np.sort(np.where(np.isfinite(values), values, np.nan), axis=0), count, np.full(count.shape, 0.5))
