"""Numbers about predicted quantities, each from the true and the predicted values alone, in the user's unit."""

import numpy as np
import numpy.typing as npt

from phytoscope.schema.report import DecileRow, MetricValue

FloatArray = npt.NDArray[np.float64]

MAPE_FLOOR = 0.05
"""A relative error is reported only if the smallest true value exceeds this share of the median true value."""
MIN_ROWS_PER_SLICE = 3


def compute_r2(target: FloatArray, preds: FloatArray) -> float | None:
    """Coefficient of determination: 1 at best, 0 for always predicting the mean of these very rows.

    Args:
        target: True values, shape (N,), float64.
        preds: Predicted values, shape (N,), float64, same unit.

    Returns:
        None for fewer than two rows or when all true values are equal.
    """
    if len(target) < 2 or np.ptp(target) == 0:
        return None
    return float(1.0 - np.sum((preds - target) ** 2) / np.sum((target - target.mean()) ** 2))


def compute_rmse(target: FloatArray, preds: FloatArray) -> float:
    """Root of the mean squared error, in the unit of the values; both have shape (N,), float64, N at least 1."""
    return float(np.sqrt(np.mean((preds - target) ** 2)))


def compute_mae(target: FloatArray, preds: FloatArray) -> float:
    """Mean absolute error, in the unit of the values; both have shape (N,), float64, N at least 1."""
    return float(np.mean(np.abs(preds - target)))


def compute_bias(target: FloatArray, preds: FloatArray) -> float:
    """Mean of predicted minus true: positive means too high; both have shape (N,), float64, N at least 1."""
    return float(np.mean(preds - target))


def compute_median_ae(target: FloatArray, preds: FloatArray) -> float:
    """Median absolute error, in the unit of the values; both have shape (N,), float64, N at least 1."""
    return float(np.median(np.abs(preds - target)))


def compute_mape(target: FloatArray, preds: FloatArray) -> float | None:
    """Mean absolute error relative to the true value, as a fraction.

    Args:
        target: True values, shape (N,), float64.
        preds: Predicted values, shape (N,), float64, same unit.

    Returns:
        None when a true value is close to 0 (at most 5 % of the median absolute value), because a few such rows would
        dominate the mean.
    """
    size = np.abs(target)
    if size.min() <= MAPE_FLOOR * np.median(size):
        return None
    return float(np.mean(np.abs(preds - target) / size))


def compute_pearson_r(target: FloatArray, preds: FloatArray) -> float | None:
    """Linear correlation of true and predicted values, -1 to 1.

    Args:
        target: True values, shape (N,), float64.
        preds: Predicted values, shape (N,), float64.

    Returns:
        None for fewer than two rows or when either side is constant.
    """
    if len(target) < 2 or np.ptp(target) == 0 or np.ptp(preds) == 0:
        return None
    a, b = target - target.mean(), preds - preds.mean()
    return float(np.clip(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)), -1.0, 1.0))


def measure_regression(target: FloatArray, preds: FloatArray, unit: str) -> list[MetricValue]:
    """All numbers of one split, in the order the report shows them.

    Args:
        target: True values, shape (N,), float64, N at least 1, in `unit`.
        preds: Predicted values, shape (N,), float64, in `unit`.
        unit: The user's unit.
    """
    return [
        MetricValue("r2", compute_r2(target, preds), "", True),
        MetricValue("rmse", compute_rmse(target, preds), unit, False),
        MetricValue("mae", compute_mae(target, preds), unit, False),
        MetricValue("bias", compute_bias(target, preds), unit, False),
        MetricValue("median_ae", compute_median_ae(target, preds), unit, False),
        MetricValue("mape", compute_mape(target, preds), "", False),
        MetricValue("pearson_r", compute_pearson_r(target, preds), "", True),
    ]


def describe_deciles(target: FloatArray, preds: FloatArray, slices: int) -> list[DecileRow]:
    """Error by size of the true value, in slices of about equally many rows.

    Equal true values always share a slice. A slice holds at least three rows where the values allow it, so a small
    table gets fewer slices than asked for.

    Args:
        target: True values, shape (N,), float64, N at least 1.
        preds: Predicted values, shape (N,), float64, same unit.
        slices: Most slices to make, at least 1.
    """
    order = np.argsort(target, kind="stable")
    ordered, error = target[order], (preds - target)[order]
    wanted = max(1, min(slices, len(target) // MIN_ROWS_PER_SLICE))
    cuts = np.arange(wanted) * len(target) // wanted
    starts = np.unique(np.searchsorted(ordered, ordered[cuts], side="left"))
    stops = np.append(starts[1:], len(target))
    return [
        DecileRow(
            decile=number,
            lower=float(ordered[start]),
            upper=float(ordered[stop - 1]),
            n=int(stop - start),
            mae=float(np.mean(np.abs(error[start:stop]))),
            bias=float(np.mean(error[start:stop])),
        )
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True), start=1)
    ]


def find_worst(target: FloatArray, preds: FloatArray, sample_ids: list[str], limit: int) -> list[str]:
    """Names of the images with the largest absolute errors, worst first.

    Args:
        target: True values, shape (N,), float64.
        preds: Predicted values, shape (N,), float64, same unit.
        sample_ids: N names of images.
        limit: Most names to return.
    """
    size = np.abs(preds - target)
    candidates = np.arange(len(size))
    if 0 < limit < len(size):
        candidates = np.flatnonzero(size >= np.partition(size, len(size) - limit)[len(size) - limit])
    ordered = sorted(candidates.tolist(), key=lambda row: (-size[row], sample_ids[row]))
    return [sample_ids[row] for row in ordered[:limit]]
