"""Figures of a sweep: how it went, which setting mattered, and where good values lie."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phytoscope.visualize.style import BLUE, GREY, ORANGE, PALE, new_figure, paper_style

_COLUMNS = 3
_WIDE = 30.0


@paper_style()
def draw_sweep(
    trials: pd.DataFrame, *, keys: Sequence[str], importance: dict[str, float], metric: str
) -> dict[str, Figure]:
    """Draws the figures of a sweep.

    Args:
        trials: Columns `trial`, `state` (complete, pruned, failed), `objective` (lower is better) and one column a
            setting of `keys`; at least one trial is complete.
        keys: Settings that were tried.
        importance: Setting -> share of the differences that it explains, 0-1; may be empty.
        metric: What the objective is, in words.

    Returns:
        `sweep_history` (objective of each trial and the best so far), `sweep_settings` (objective against each
        setting) and, when `importance` is not empty, `sweep_importance`.
    """
    figures = {
        "sweep_history": _draw_history(trials, metric),
        "sweep_settings": _draw_settings(trials, keys, metric),
    }
    if importance:
        figures["sweep_importance"] = _draw_importance(importance)
    return figures


def _draw_history(trials: pd.DataFrame, metric: str) -> Figure:
    figure = new_figure(5.2, 3.2)
    ax = figure.add_subplot()
    ordered = trials.sort_values("trial")
    complete = ordered[ordered["state"] == "complete"]
    pruned = ordered[(ordered["state"] == "pruned") & ordered["objective"].notna()]
    if len(pruned) > 0:
        ax.scatter(pruned["trial"], pruned["objective"], s=14, color=PALE, edgecolors=GREY, label="ended early")
    ax.scatter(complete["trial"], complete["objective"], s=16, color=BLUE, label="finished")
    ax.step(complete["trial"], complete["objective"].cummin(), where="post", color=ORANGE, label="best so far")
    ax.set(xlabel="trial", ylabel=metric, title="Trials of the sweep")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.grid(visible=True)
    ax.legend()
    return figure


def _draw_settings(trials: pd.DataFrame, keys: Sequence[str], metric: str) -> Figure:
    rows = -(-len(keys) // _COLUMNS)
    columns = min(_COLUMNS, len(keys))
    figure = new_figure(2.7 * columns + 0.4, 2.5 * rows + 0.2)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    complete = trials[trials["state"] == "complete"]
    for place, key in enumerate(keys):
        ax = axes[place // _COLUMNS][place % _COLUMNS]
        _draw_setting(ax, complete, key)
        if place % _COLUMNS == 0:
            ax.set_ylabel(metric.partition(" (")[0])
    for place in range(len(keys), rows * columns):
        axes[place // _COLUMNS][place % _COLUMNS].set_visible(False)
    return figure


def _draw_setting(ax: Axes, complete: pd.DataFrame, key: str) -> None:
    values = complete[key]
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    objective = complete["objective"].to_numpy(dtype=np.float64)
    if is_number:
        places = values.to_numpy(dtype=np.float64)
    else:
        names = sorted({str(value) for value in values})
        places = np.array([names.index(str(value)) for value in values], dtype=np.float64)
        ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.scatter(places, objective, s=14, color=BLUE)
    best = int(objective.argmin())
    ax.scatter(places[best : best + 1], objective[best : best + 1], s=40, facecolors="none", edgecolors=ORANGE)
    if is_number and places.min() > 0 and places.max() / places.min() > _WIDE:
        ax.set_xscale("log")
    ax.set_xlabel(key)
    ax.yaxis.grid(visible=True)


def _draw_importance(importance: dict[str, float]) -> Figure:
    ordered = sorted(importance.items(), key=lambda item: item[1])
    figure = new_figure(5.2, 0.32 * len(ordered) + 1.0)
    ax = figure.add_subplot()
    ax.barh([key for key, _ in ordered], [value for _, value in ordered], color=BLUE, height=0.6)
    ax.set(xlabel="share of the differences between trials", title="Which setting mattered", xlim=(0, None))
    ax.xaxis.grid(visible=True)
    return figure
