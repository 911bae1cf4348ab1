"""Shapes of intervals: where they are wide and where narrow, before they are stretched until they hold enough."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.observed import Floats, Observed

MOST_ROWS: Final = 5000
"""Rows that a shape is fitted on at most: three coefficients are known well from that many."""
LEVEL: Final = 0.75
"""Quantile of the absolute error that stands for its size: less moved by a few wrong rows than the mean, and known
better from few rows than the median."""
FLOOR: Final = 0.2
"""Smallest expected error, as a share of the one that is usual: no answer is sure because a line crosses zero."""


@dataclass(frozen=True)
class Margins:
    """The shape of N intervals: `[answer + below - q * unit, answer + above + q * unit]` for a stretch q.

    Attributes:
        below: Lower end beside the answer before stretching, shape (N,), unit of the target.
        above: Upper end beside the answer before stretching.
        unit: What one step of stretching adds to each side, above 0.
    """

    below: Floats
    above: Floats
    unit: Floats

    def score(self, errors: Floats) -> Floats:
        """By how much each interval must be stretched to hold the truth.

        Args:
            errors: Truth minus answer, shape (N,).

        Returns:
            Shape (N,); negative where it holds the truth with room to spare.
        """
        return np.maximum(self.below - errors, errors - self.above) / self.unit

    def ends(self, answers: Floats, stretch: float) -> tuple[Floats, Floats]:
        """The stretched intervals.

        Args:
            answers: Shape (N,).
            stretch: How far.

        Returns:
            Lower and upper ends, each of shape (N,). An interval that would not hold its own answer is widened up to
            it: nobody could make sense of it, and nothing is lost of what is promised.
        """
        lower = answers + self.below - stretch * self.unit
        upper = answers + self.above + stretch * self.unit
        return np.minimum(lower, answers), np.maximum(upper, answers)


def find_margins(fitted: dict[str, Any] | None, kind: IntervalKind, observed: Observed, target: int) -> Margins:
    """Margins of some images.

    Args:
        fitted: What `fit_shape` gave.
        kind: `constant`, `scaled` or `cqr`.
        observed: What is known of N images.
        target: Place of the number among the targets.
    """
    count = len(observed)
    zero, one = np.zeros(count), np.ones(count)
    if fitted is None or kind is IntervalKind.constant:
        return Margins(zero, zero, one)
    design = _lay_out(fitted, observed, target)
    if kind is IntervalKind.scaled:
        return Margins(zero, zero, np.maximum(design @ np.asarray(fitted["error"]), fitted["floor"]))
    return Margins(-(design @ np.asarray(fitted["below"])), design @ np.asarray(fitted["above"]), one)


def fit_shape(
    kind: IntervalKind, observed: Observed, errors: Floats, weights: Floats, *, target: int, coverage: float
) -> dict[str, Any] | None:
    """Fits a shape, linear in the answer and in the novelty of an image.

    `scaled`: the 0.75 quantile of the absolute error. `cqr`: the quantiles of the error at both ends. All by linear
    quantile regression (Koenker and Bassett 1978, doi 10.2307/1913643); more novelty never makes an interval narrower.

    Args:
        kind: `constant`, `scaled` or `cqr`.
        observed: What is known of N images.
        errors: Truth minus answer, shape (N,), unit of the target.
        weights: What each image counts, shape (N,), above 0.
        target: Place of the number among the targets.
        coverage: Share that the interval shall hold, 0-1.

    Returns:
        Plain numbers by name; None where nothing but a constant can be fitted (all answers and novelties equal, or no
        errors).
    """
    if kind is IntervalKind.constant:
        return None
    fitted = _describe_columns(observed, target)
    usual = _weighted_quantile(np.abs(errors), weights, LEVEL)
    if not fitted["columns"] or usual <= 0:
        return None
    design = _lay_out(fitted, observed, target)
    # The intercept and the slope in the answer are free.
    growing = np.array([False, *(name == "novelty" for name in fitted["columns"])])

    def fit(values: Floats, level: float) -> list[float]:
        # In multiples of the usual error, so that the solver's tolerances fit grams as well as pixels.
        return [float(x) * usual for x in fit_quantile(design, values / usual, level, weights, growing)]

    if kind is IntervalKind.scaled:
        return {**fitted, "error": fit(np.abs(errors), LEVEL), "floor": FLOOR * usual}
    tail = (1 + coverage) / 2
    return {**fitted, "below": fit(-errors, tail), "above": fit(errors, tail)}


def fit_quantile(
    design: Floats, values: Floats, level: float, weights: Floats, growing: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Linear quantile regression (Koenker and Bassett 1978, doi 10.2307/1913643), solved in its dual by HiGHS.

    Args:
        design: Shape (N, P).
        values: Shape (N,).
        level: Which quantile, 0-1.
        weights: What each row counts, shape (N,), above 0.
        growing: Which coefficients may not be negative, shape (P,), bool.

    Returns:
        Coefficients, shape (P,).

    Raises:
        ArithmeticError: The solver found no solution; finite rows always have one.
    """
    # The dual has as few equations as there are coefficients, and those are its multipliers.
    weights = weights / weights.mean()
    free = ~growing
    found = linprog(
        -values,
        A_ub=design[:, growing].T if growing.any() else None,
        b_ub=np.zeros(int(growing.sum())) if growing.any() else None,
        A_eq=design[:, free].T,
        b_eq=np.zeros(int(free.sum())),
        bounds=np.column_stack([weights * (level - 1), weights * level]),
        method="highs",
    )
    if found.status != 0:
        message = f"quantile regression over {len(values)} rows found no solution: {found.message}"
        raise ArithmeticError(message)
    coefficients = np.zeros(design.shape[1])
    coefficients[free] = -np.asarray(found.eqlin.marginals)
    if growing.any():
        coefficients[growing] = -np.asarray(found.ineqlin.marginals)
    return coefficients


def _describe_columns(observed: Observed, target: int) -> dict[str, Any]:
    # The answer may be followed by its own range beyond what was seen, since large plants are rare; novelty may not,
    # because what is far beyond is for the verdict to reject.
    columns: dict[str, Any] = {"columns": [], "centre": [], "spread": [], "lowest": [], "highest": []}
    for name, beyond in (("answer", 1.0), ("novelty", 0.0)):
        values = _read_column(name, observed, target)
        if not np.isfinite(values).all() or np.ptp(values) <= 0:
            continue
        low, high = float(values.min()), float(values.max())
        columns["columns"].append(name)
        columns["centre"].append(float(np.median(values)))
        columns["spread"].append(high - low)
        columns["lowest"].append(low - beyond * (high - low))
        columns["highest"].append(high + beyond * (high - low))
    return columns


def _lay_out(fitted: dict[str, Any], observed: Observed, target: int) -> Floats:
    parts = [np.ones(len(observed))]
    for i, name in enumerate(fitted["columns"]):
        # What was not measured is taken for as strange as the strangest.
        values = np.nan_to_num(_read_column(name, observed, target), nan=fitted["highest"][i])
        values = np.clip(values, fitted["lowest"][i], fitted["highest"][i])
        parts.append((values - fitted["centre"][i]) / fitted["spread"][i])
    return np.column_stack(parts)


def _weighted_quantile(values: Floats, weights: Floats, level: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(reached, level * reached[-1])), len(values) - 1)])


def _read_column(name: str, observed: Observed, target: int) -> Floats:
    return observed.answers[:, target] if name == "answer" else observed.novelty
