"""Scores of kept-back predictions with intervals over groups, and what shuffled answers reach."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phytoscope.audit.cross_validation import Floats, Integers

_DRAWS = 500
_BLOCK = 50
_LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Tally:
    """What a score needs to know of each group; a resampled score is a weighted sum of groups.

    Attributes:
        good: Numerator of each group, shape (G, K).
        total: Denominator of each group, shape (G, K).
        squared_error: Whether the score is 1 - good / total, as R² is, with the columns' meaning of `tally_numbers`.
    """

    good: Floats
    total: Floats
    squared_error: bool = False

    def scores(self, weights: Floats) -> Floats:
        """Score with every group counted as often as its weight says; weights (B, G), scores (B,), NaN if undefined."""
        good, total = weights @ self.good, weights @ self.total
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.squared_error:
                n, first, second = total.T
                spread = second - np.square(first) / n
                result: Floats = np.where(spread > 1e-12 * np.abs(second), 1.0 - good[:, 0] / spread, np.nan)
                return result
            seen = total > 0
            shares = np.where(seen, good / np.where(seen, total, 1.0), 0.0)
            mean: Floats = shares.sum(axis=1) / seen.sum(axis=1)
        return mean

    @property
    def score(self) -> float:
        """Score with every group counted once."""
        return float(self.scores(np.ones((1, len(self.good))))[0])


def tally_classes(labels: Integers, preds: Integers, groups: Integers, *, balanced: bool) -> Tally:
    """Tally of right answers: the share of them within each class, averaged over classes, or over all images.

    Args:
        labels: True class, shape (N,), counting from 0.
        preds: Predicted class, shape (N,).
        groups: Group of each image, shape (N,), counting from 0.
        balanced: Whether every class counts the same.
    """
    columns = labels if balanced else np.zeros_like(labels)
    shape = (int(groups.max()) + 1, int(columns.max()) + 1)
    good, total = np.zeros(shape), np.zeros(shape)
    np.add.at(good, (groups, columns), (labels == preds).astype(float))
    np.add.at(total, (groups, columns), 1.0)
    return Tally(good, total)


def tally_numbers(target: Floats, preds: Floats, groups: Integers) -> Tally:
    """Tally of squared errors for R²: share of the target's variance that the predictions explain.

    Args:
        target: True values, shape (N,).
        preds: Predicted values, shape (N,).
        groups: Group of each image, shape (N,), counting from 0.
    """
    centred = target - target.mean()
    columns = [np.ones_like(centred), centred, np.square(centred)]
    total = np.column_stack([np.bincount(groups, column).astype(float) for column in columns])
    good = np.bincount(groups, np.square(target - preds)).astype(float)[:, None]
    return Tally(good, total, squared_error=True)


def interval_of(tallies: list[Tally], signs: tuple[float, ...], seed: int) -> tuple[float, float]:
    """95 % interval of a signed sum of scores by resampling groups (percentile bootstrap; Efron 1979,
    doi 10.1214/aos/1176344552), the same groups for every score.

    Args:
        tallies: Scores over the same groups.
        signs: Sign of each score in the sum.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    n_groups = len(tallies[0].good)
    draws = []
    for _ in range(0, _DRAWS, _BLOCK):
        picked = rng.integers(0, n_groups, (_BLOCK, n_groups))
        weights = np.stack([np.bincount(row, minlength=n_groups) for row in picked]).astype(float)
        draws.append(sum(sign * tally.scores(weights) for sign, tally in zip(signs, tallies, strict=True)))
    low, high = np.nanquantile(np.concatenate(draws), _LEVELS)
    return float(low), float(high)


def shuffle_answers(groups: Integers, rng: np.random.Generator) -> Integers:
    """Rows whose answers each image receives instead of its own, shape (N,), int64.

    The answers are laid out group after group, groups and images within them in random order, so that neighbours in a
    group mostly still share an answer and only the tie between picture and answer is cut.
    """
    names = rng.permutation(int(groups.max()) + 1)
    within = rng.random(len(groups))
    given = np.lexsort((within, names[groups]))
    received = np.lexsort((rng.random(len(groups)), groups))
    taken = np.empty(len(groups), dtype=np.int64)
    taken[received] = given
    return taken


def choose_balanced(scores: Floats, shares: Floats) -> NDArray[np.int64]:
    """Class that stands out most from its own share, so that rare classes are not lost to frequent ones.

    Args:
        scores: Predicted membership, shape (N, K).
        shares: Share of each class, shape (K,), 0-1.

    Returns:
        Number of the class, shape (N,), int64.
    """
    excess = (scores - shares) / np.sqrt(np.maximum(shares * (1 - shares), 1e-12))
    return np.asarray(np.argmax(excess, axis=1), dtype=np.int64)
