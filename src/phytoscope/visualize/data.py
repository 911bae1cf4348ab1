"""Figures about the data themselves and about the training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phytoscope.errors import DataValidationError
from phytoscope.schema.table import GROUP_ID, LABEL, SPLIT, TARGET, Split
from phytoscope.visualize.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SPLIT_COLOURS,
    new_figure,
    paper_style,
    use_log_axis,
)
from phytoscope.visualize.text import figure_text, name_quantity, prettify_classes
from phytoscope.visualize.values import is_skewed

SPLIT_WORDS = {
    str(Split.train): "training",
    str(Split.val): "validation",
    str(Split.calibration): "calibration",
    str(Split.test): "test",
}
SMOOTHED = "val/smoothed"
"""Column of the history whose smallest value names the epoch that was kept: a mean over the last five epochs."""
_METRIC_WORDS = {"macro_f1": "macro F1", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "accuracy": "accuracy"}


@paper_style()
def plot_class_counts(manifest: pd.DataFrame) -> Figure:
    """Draws images and groups of every class, by split.

    Args:
        manifest: One row per image with `label`, `group_id` and `split`.
    """
    labels = manifest[LABEL].value_counts(ascending=True).index.tolist()
    words = prettify_classes(labels)
    fig = new_figure(7.2, 1.4 + 0.26 * len(labels))
    panels = fig.subplots(1, 2, sharey=True)
    images = pd.crosstab(manifest[LABEL], manifest[SPLIT])
    unique = manifest.drop_duplicates([LABEL, SPLIT, GROUP_ID])
    groups = pd.crosstab(unique[LABEL], unique[SPLIT])
    for ax, counts, title in zip(panels, (images, groups), ("Images", "Groups (leaves, plants)"), strict=True):
        left = np.zeros(len(labels))
        for split, colour in SPLIT_COLOURS.items():
            if split not in counts.columns:
                continue
            widths = counts.loc[labels, split].to_numpy(dtype=np.float64)
            name = SPLIT_WORDS[split] if ax is panels[0] else None
            ax.barh(range(len(labels)), widths, left=left, color=colour, height=0.7, label=name)
            left += widths
        for y, total in enumerate(left):
            ax.annotate(f"{total:,.0f}", (total, y), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
        ax.set_xlim(0, 1.14 * left.max())
        ax.set_ylim(-0.6, len(labels) - 0.4)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_title(title)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    panels[0].set_yticks(range(len(labels)), [figure_text(words[label]) for label in labels])
    fig.legend(loc="outside lower center", ncols=4)
    return fig


@paper_style()
def plot_target_distribution(manifest: pd.DataFrame, *, target_name: str, unit: str) -> Figure:
    """Draws how the true values are distributed, by split.

    Args:
        manifest: One row per image with `target` (in `unit`) and `split`; rows without a target are left out.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
    """
    known = manifest.loc[manifest[TARGET].notna()]
    values = known[TARGET].to_numpy(dtype=np.float64)
    use_log = is_skewed(values)
    n_bins = int(np.clip(np.sqrt(len(values)) * 1.5, 8, 40))
    if use_log:
        edges = np.geomspace(values.min(), values.max(), n_bins + 1)
    else:
        edges = np.histogram_bin_edges(values, bins=n_bins)
    parts = {name: known.loc[known[SPLIT] == name, TARGET].to_numpy(dtype=np.float64) for name in SPLIT_COLOURS}
    parts = {name: part for name, part in parts.items() if len(part)}
    fig = new_figure(6.8, 3.3)
    ax = fig.add_subplot()
    ax.hist(
        list(parts.values()),
        bins=edges.tolist(),
        stacked=True,
        color=[SPLIT_COLOURS[name] for name in parts],
        label=[f"{SPLIT_WORDS[name]} (n = {len(part):,})" for name, part in parts.items()],
        edgecolor="white",
        linewidth=0.4,
    )
    if use_log:
        use_log_axis(ax, "x")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    ax.set_xlabel(name_quantity(target_name, unit))
    ax.set_ylabel("Images")
    fig.legend(loc="outside upper right", ncols=4)
    return fig


@paper_style()
def plot_history(history: pd.DataFrame, *, metric: str, higher_is_better: bool) -> Figure:
    """Draws loss and main metric by epoch; a dashed line marks the epoch that was kept.

    Args:
        history: `history.csv`: `epoch` (from 0; drawn from 1, as people count), `train/loss`, `val/loss`,
            `val/<metric>`, `val/smoothed` and more; gaps are allowed.
        metric: Name of the main metric without split and unit; without such a column only the loss is drawn.
        higher_is_better: Direction of the metric.

    Raises:
        DataValidationError: The history has no `epoch` column or no rows.
    """
    if "epoch" not in history.columns or history.empty:
        message = (
            f"the training history has {len(history)} rows and the columns {list(history.columns)}; "
            "a column 'epoch' and at least one row are needed: train again."
        )
        raise DataValidationError(message)
    column = find_metric_column(history, metric)
    fig = new_figure(6.8, 3.2)
    panels = fig.subplots(1, 2 if column is not None else 1, squeeze=False)[0]
    _draw_curves(panels[0], history, {"train/loss": ("training", BLUE), "val/loss": ("validation", ORANGE)})
    panels[0].set_title("Loss")
    if column is not None:
        _draw_curves(panels[1], history, {column: ("validation", ORANGE), f"train/{column[4:]}": ("training", BLUE)})
        name, _, unit = column[4:].removeprefix(metric).partition("_")
        shown = _METRIC_WORDS.get(metric, metric) + name
        panels[1].set_title("Validation " + figure_text(shown) + (f" ({figure_text(unit)})" if unit else ""))
    row = find_kept_row(history, metric, higher_is_better=higher_is_better)
    if row is not None:
        epoch = float(history["epoch"].iloc[row]) + 1
        for ax in panels:
            ax.axvline(epoch, color=GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)
        if column is not None:
            panels[1].plot(epoch, history[column].iloc[row], marker="o", color=GREEN, markersize=6, zorder=5)
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


def find_metric_column(history: pd.DataFrame, metric: str) -> str | None:
    """The column `val/<metric>`, with or without a unit at its end; None when there is none."""
    names = [
        name for name in map(str, history.columns) if name in {f"val/{metric}"} or name.startswith(f"val/{metric}_")
    ]
    return names[0] if names else None


def find_kept_row(history: pd.DataFrame, metric: str, *, higher_is_better: bool) -> int | None:
    """The row of the epoch whose weights were kept: the first with the smallest `val/smoothed`.

    Args:
        history: `history.csv`; one without `val/smoothed` is judged by the best single epoch.
        metric: Name of the main metric without split and unit.
        higher_is_better: Direction of the metric; `val/smoothed` is always better when lower.

    Returns:
        Position of the row, from 0; None when there is no such column or no number in it.
    """
    has_smoothed = SMOOTHED in history.columns
    column = SMOOTHED if has_smoothed else find_metric_column(history, metric)
    if column is None or not history[column].notna().any():
        return None
    values = history[column].to_numpy(dtype=np.float64)
    return int(np.nanargmax(values) if higher_is_better and not has_smoothed else np.nanargmin(values))


def _draw_curves(ax: Axes, history: pd.DataFrame, curves: dict[str, tuple[str, str]]) -> None:
    for column, (label, colour) in curves.items():
        if column in history.columns:
            known = history.loc[history[column].notna(), ["epoch", column]]
            marker = "o" if len(known) <= 30 else None
            ax.plot(known["epoch"] + 1, known[column], color=colour, label=label, marker=marker, markersize=3)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("Epoch")
    ax.grid(axis="y")
