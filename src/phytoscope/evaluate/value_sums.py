"""Every number about predicted quantities as a function of sums over images, so that many draws cost little."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from phytoscope.evaluate.bootstrap import FloatArray, GroupSampler, IntArray, Measure
from phytoscope.evaluate.class_sums import divide
from phytoscope.evaluate.regression import MAPE_FLOOR

LEVELS: Final = 512
"""Sizes of errors that are told apart when their median is drawn; all where there are not more."""
_SUMS: Final = ("n", "true", "true2", "preds", "preds2", "product", "error", "size", "square", "relative")
_FLAT = 1e-12
"""Variance that counts as none, as a share of the mean square."""


@dataclass(frozen=True)
class ValueRows:
    """What each image adds to the sums.

    Attributes:
        parts: Shape (N, 10): 1, true and predicted value less the mean true value, their squares and product, error,
            its size, its square, its size relative to the true value.
        levels: Sizes of errors in rising order, shape (L,).
        level: Which of them each image's error has, shape (N,), int64.
        relative: Whether the relative error is defined.
    """

    parts: FloatArray
    levels: FloatArray
    level: IntArray
    relative: bool

    def sum_units(self, sampler: GroupSampler, rows: IntArray | None = None, *, median: bool = False) -> FloatArray:
        """Sums over the images of each unit.

        Args:
            sampler: Which unit each of the N images belongs to.
            rows: Which of the images count, shape (M,), int64; None for all.
            median: Whether the images of each size of error are counted too.

        Returns:
            Shape (units, 10) or (units, 10 + L).
        """
        rows = np.arange(len(self.parts)) if rows is None else rows
        units, n_units = sampler.units[rows], sampler.n_units
        sums = [np.bincount(units, weights=part, minlength=n_units)[:, None] for part in self.parts[rows].T]
        if median:
            n = len(self.levels)
            counted = np.bincount(units * n + self.level[rows], minlength=n_units * n).reshape(n_units, n)
            sums.append(counted.astype(np.float64))
        return np.concatenate(sums, axis=1)

    def build_measure(self) -> Measure:
        """The function from such sums to every number."""
        return self._measure

    def _measure(self, sums: FloatArray) -> dict[str, FloatArray]:
        part = {name: sums[:, i] for i, name in enumerate(_SUMS)}
        n = part["n"]
        of_true = _find_variance(part["true2"], part["true"], n)
        of_preds = _find_variance(part["preds2"], part["preds"], n)
        covered = part["product"] - divide(part["true"] * part["preds"], n)
        numbers = {
            "r2": 1.0 - divide(part["square"], of_true),
            "rmse": np.sqrt(divide(part["square"], n)),
            "mae": divide(part["size"], n),
            "bias": divide(part["error"], n),
        }
        if sums.shape[1] > len(_SUMS):
            numbers["median_ae"] = _find_median(sums[:, len(_SUMS) :], self.levels)
        numbers["mape"] = divide(part["relative"], n) if self.relative else np.full(len(sums), np.nan)
        numbers["pearson_r"] = np.clip(divide(covered, np.sqrt(of_true * of_preds)), -1.0, 1.0)
        return numbers


def prepare_value_rows(target: FloatArray, preds: FloatArray) -> ValueRows:
    """What each image adds to the sums.

    Args:
        target: True values, shape (N,), float64, N at least 1.
        preds: Predicted values, shape (N,), float64, same unit.
    """
    # Sums of squares of large numbers that vary little would lose all digits.
    true, answer, error = target - target.mean(), preds - target.mean(), preds - target
    size, scale = np.abs(error), np.abs(target)
    relative = bool(scale.min() > MAPE_FLOOR * np.median(scale))
    share = size / scale if relative else np.zeros_like(size)
    columns = [np.ones_like(true), true, true**2, answer, answer**2, true * answer, error, size, size**2, share]
    levels = np.unique(size)
    if len(levels) > LEVELS:
        # The middle of each of so many equal parts of the sorted errors stands for the part.
        levels = np.unique(np.sort(size)[((np.arange(LEVELS) + 0.5) * len(size) / LEVELS).astype(np.int64)])
    between = (levels[1:] + levels[:-1]) / 2.0
    return ValueRows(np.stack(columns, axis=1), levels, np.searchsorted(between, size).astype(np.int64), relative)


def _find_variance(squares: FloatArray, values: FloatArray, n: FloatArray) -> FloatArray:
    """Sum of squared deviations from the mean; NaN where there is none but rounding."""
    found = squares - divide(values**2, n)
    return np.where(found > _FLAT * np.maximum(squares, np.finfo(np.float64).tiny), found, np.nan)


def _find_median(counts: FloatArray, levels: FloatArray) -> FloatArray:
    """Median of each row of counts of sorted levels; of an even number, the mean of the two in the middle."""
    reached = np.cumsum(counts, axis=1)
    n = reached[:, -1]
    lower = np.argmax(reached >= np.floor((n + 1) / 2)[:, None], axis=1)
    upper = np.argmax(reached >= np.floor(n / 2 + 1)[:, None], axis=1)
    return np.where(n > 0, (levels[lower] + levels[upper]) / 2.0, np.nan)
