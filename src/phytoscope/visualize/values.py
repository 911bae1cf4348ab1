"""Figures about predicted quantities."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phytoscope.schema.report import DecileRow, SplitReport
from phytoscope.schema.table import PREDICTION, TARGET
from phytoscope.visualize.style import (
    BLUE,
    INK,
    PALE,
    VERMILION,
    new_figure,
    paper_style,
    use_log_axis,
)
from phytoscope.visualize.text import figure_text, format_number, format_quantity, name_quantity

FloatArray = npt.NDArray[np.float64]

LOG_FROM_SKEW = 1.5
"""Positive values whose skewness exceeds this are drawn on logarithmic axes, else the small ones fall on one heap."""
_RASTER_FROM_POINTS = 2000
_BASELINE_WORDS = {"constant": "always the mean", "green_pixels": "green pixels alone"}


def is_skewed(values: FloatArray) -> bool:
    """Whether values, shape (N,), float64, are all positive and lean so far that logarithmic axes show them better."""
    if len(values) < 10 or values.min() <= 0 or np.ptp(values) == 0 or values.max() / values.min() < 20:
        return False
    centred = values - values.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5) > LOG_FROM_SKEW


@paper_style()
def plot_predicted_vs_actual(
    rows: pd.DataFrame, part: SplitReport, *, target_name: str, unit: str, log_axes: bool | None = None
) -> Figure:
    """Draws predicted against true values; a perfect model puts every point on the diagonal.

    Args:
        rows: Rows of one split of table 7 with `target` and `prediction`, both in `unit`.
        part: The numbers of the same split, written into the figure beside those of the baselines.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
        log_axes: Whether both axes are logarithmic; None decides by the skewness of the true values.
    """
    target, preds = rows[TARGET].to_numpy(dtype=np.float64), rows[PREDICTION].to_numpy(dtype=np.float64)
    fig = new_figure(5.0, 4.8)
    ax = fig.add_subplot()
    use_log = is_skewed(target) if log_axes is None else log_axes
    # A logarithm cannot show a prediction of 0 or less, and leaving the point out would flatter the model.
    use_log = use_log and bool((target > 0).all()) and bool((preds > 0).all())
    low, high = min(target.min(), preds.min()), max(target.max(), preds.max())
    if use_log:
        use_log_axis(ax, "x")
        use_log_axis(ax, "y")
        low, high = low / 1.2, high * 1.2
    else:
        room = 0.04 * (high - low) if high > low else 1.0
        low, high = low - room, high + room
    ax.plot([low, high], [low, high], color=INK, linewidth=0.9, zorder=1)
    _scatter(ax, target, preds)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.grid(visible=True)
    ax.set_xlabel("True " + name_quantity(target_name, unit))
    ax.set_ylabel("Predicted " + name_quantity(target_name, unit))
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": PALE, "linewidth": 0.8, "alpha": 0.92}
    ax.text(0.03, 0.97, _summary(part, unit), transform=ax.transAxes, va="top", fontsize=8, bbox=box, linespacing=1.45)
    return fig


def _summary(part: SplitReport, unit: str) -> str:
    values = {metric.name: metric.value for metric in part.metrics}
    n_words = f"n = {part.n:,} images, {part.n_groups:,} groups" if part.n_groups < part.n else f"n = {part.n:,} images"
    lines = [
        n_words,
        f"R² = {format_number(values.get('r2'))}",
        f"RMSE = {figure_text(format_quantity(values.get('rmse'), unit))}",
    ]
    for baseline in part.baselines:
        rmse = next((metric.value for metric in baseline.metrics if metric.name == "rmse"), None)
        words = _BASELINE_WORDS.get(baseline.name, baseline.name)
        lines.append(f"{words}: RMSE {figure_text(format_quantity(rmse, unit))}")
    return "\n".join(lines)


@paper_style()
def plot_residuals(rows: pd.DataFrame, *, target_name: str, unit: str) -> Figure:
    """Draws predicted minus true against the prediction, and how these errors are distributed.

    Args:
        rows: Rows of one split of table 7 with `target` and `prediction`, both in `unit`.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
    """
    preds = rows[PREDICTION].to_numpy(dtype=np.float64)
    error = preds - rows[TARGET].to_numpy(dtype=np.float64)
    rmse = float(np.sqrt(np.mean(error**2)))
    fig = new_figure(6.8, 3.6)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    for ax in (left, right):
        ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
        ax.axhspan(-rmse, rmse, color=BLUE, alpha=0.07, linewidth=0, zorder=0)
        ax.grid(axis="y")
    _scatter(left, preds, error)
    if is_skewed(rows[TARGET].to_numpy(dtype=np.float64)) and bool((preds > 0).all()):
        use_log_axis(left, "x")
    limit = 1.08 * max(float(np.abs(error).max()), rmse, 1e-12)
    left.set_ylim(-limit, limit)
    left.annotate(
        "± RMSE", (1.0, rmse), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5, color=BLUE
    )
    left.set_xlabel("Predicted " + name_quantity(target_name, unit))
    left.set_ylabel("Error: predicted \u2212 true" + (f" ({figure_text(unit)})" if unit else ""))
    bins = int(np.clip(np.sqrt(len(error)) * 1.5, 8, 40))
    right.hist(error, bins=bins, orientation="horizontal", color=BLUE, alpha=0.75, edgecolor="white", linewidth=0.4)
    right.set_xlabel("Images")
    return fig


@paper_style()
def plot_decile_error(deciles: Sequence[DecileRow], *, target_name: str, unit: str) -> Figure:
    """Draws the mean absolute error and the bias within slices of the true value.

    Args:
        deciles: Slices from small to large true values, at least one.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
    """
    positions = np.arange(len(deciles))
    fig = new_figure(6.8, 3.5)
    ax = fig.add_subplot()
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.bar(positions, [row.mae for row in deciles], width=0.72, color=BLUE, alpha=0.8, label="mean absolute error")
    ends = [(x, row.mae_low, row.mae_high) for x, row in zip(positions, deciles, strict=True)]
    known = [(x, low, high) for x, low, high in ends if low is not None and high is not None]
    if known:
        at, lows, highs = zip(*known, strict=True)
        ax.vlines(at, lows, highs, color=INK, linewidth=1.0, alpha=0.7, label="range of the mean absolute error")
    bias = [row.bias for row in deciles]
    ax.plot(
        positions, bias, marker="D", markersize=5, color=VERMILION, linewidth=1.0, label="bias (predicted \u2212 true)"
    )
    labels = [
        f"{format_number(row.lower, 2)} \u2013\n{format_number(row.upper, 2)}\n(n = {row.n})"
        if row.upper > row.lower
        else f"{format_number(row.lower, 2)}\n(n = {row.n})"
        for row in deciles
    ]
    ax.set_xticks(positions, labels, fontsize=7.5)
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="y")
    ax.set_xlabel("True " + name_quantity(target_name, unit))
    ax.set_ylabel("Error" + (f" ({figure_text(unit)})" if unit else ""))
    fig.legend(loc="outside upper right", ncols=3)
    return fig


def _scatter(ax: Axes, x: FloatArray, y: FloatArray) -> None:
    size = 26.0 if len(x) <= 300 else 12.0
    alpha = 0.75 if len(x) <= 300 else 0.4
    ax.scatter(
        x,
        y,
        s=size,
        color=BLUE,
        alpha=alpha,
        edgecolor="white",
        linewidth=0.4,
        zorder=2,
        rasterized=len(x) > _RASTER_FROM_POINTS,
    )
