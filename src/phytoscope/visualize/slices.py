"""Where the numbers are worse: slices of the photographs, and the leaves or plants that go wrong most."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phytoscope.schema.report import GroupRow, SliceReport, SplitReport
from phytoscope.schema.table import Task
from phytoscope.visualize.style import BLUE, GREY, INK, VERMILION, new_figure, paper_style
from phytoscope.visualize.text import figure_text, format_count, format_number, format_quantity
from phytoscope.visualize.words import METRICS, format_metric, title_metric

_MOST_DRAWN = 30
_SHOWN = {
    Task.classification: ("accuracy", "macro_f1", "balanced_accuracy"),
    Task.regression: ("mae", "bias", "r2"),
}
_GROUPS_SHOWN = 10


def choose_slices(slices: Sequence[SliceReport], most: int = _MOST_DRAWN) -> list[SliceReport]:
    """The slices whose difference can be judged, column by column; of too many the columns that differ come first."""
    judged = [row for row in slices if row.difference is not None and row.difference.value is not None]
    if len(judged) <= most:
        return judged
    kept = sorted(range(len(judged)), key=lambda i: (not judged[i].worse, not judged[i].differs, i))[:most]
    return [judged[i] for i in sorted(kept)]


@paper_style()
def plot_slices(slices: Sequence[SliceReport], *, unit: str) -> Figure:
    """Draws how far each slice lies from all other photographs, with its interval.

    Args:
        slices: At least one that `choose_slices` kept.
        unit: Unit of the difference; empty for classes, where it is drawn in points of a hundred.
    """
    rows = choose_slices(slices)
    columns = list(dict.fromkeys(row.column for row in rows))
    fig = new_figure(6.8, 1.2 + 0.26 * (len(rows) + len(columns)))
    ax = fig.add_subplot()
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    name = next(row.difference.name for row in rows if row.difference is not None)
    percent = name in METRICS and METRICS[name].percent
    scale = 100.0 if percent else 1.0
    y = 0
    ticks: list[tuple[int, str, bool]] = []
    for column in columns:
        ticks.append((y, figure_text(column.replace("_", " "), 40), True))
        y -= 1
        for row in (row for row in rows if row.column == column):
            _draw_slice(ax, y, row, scale)
            ticks.append((y, f"{figure_text(row.value, 40)} (n = {row.n:,})", False))
            y -= 1
    labels = ax.set_yticks([place for place, _, _ in ticks], [text for _, text, _ in ticks])
    for label, (_, _, is_head) in zip(labels, ticks, strict=True):
        label.label1.set_fontweight("bold" if is_head else "normal")
    ax.set_ylim(y + 0.4, 0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    words = "Accuracy" if name == "accuracy" else title_metric(name)
    suffix = "points" if percent else figure_text(unit)
    ax.set_xlabel(f"{words}: these minus all others" + (f" ({suffix})" if suffix else ""))
    fig.legend(handles=_make_legend(rows), loc="outside lower center", ncols=3)
    return fig


def _draw_slice(ax: Any, y: int, row: SliceReport, scale: float) -> None:
    difference = row.difference
    if difference is None or difference.value is None:
        return
    colour, marker = _look(row)
    if difference.low is not None and difference.high is not None:
        ends = [scale * difference.low, scale * difference.high]
        ax.plot(ends, [y, y], color=colour, linewidth=1.6, alpha=0.6, solid_capstyle="butt", zorder=2)
    ax.plot([scale * difference.value], [y], marker=marker, color=colour, markersize=5.5, linestyle="none", zorder=3)


def _look(row: SliceReport) -> tuple[str, str]:
    if row.worse:
        return VERMILION, "v"
    return (BLUE, "^") if row.differs else (GREY, "o")


def _make_legend(rows: Sequence[SliceReport]) -> list[Line2D]:
    kinds = (("worse", VERMILION, "v"), ("better", BLUE, "^"), ("no difference can be told", GREY, "o"))
    looks = {_look(row) for row in rows}
    return [
        Line2D([], [], marker=marker, color=colour, linestyle="none", markersize=5.5, label=label)
        for label, colour, marker in kinds
        if (colour, marker) in looks
    ]


def list_slices(part: SplitReport, task: Task) -> dict[str, Any]:
    """Heads and rows of the table of slices; empty when there are none.

    Args:
        part: The split that the page shows.
        task: Classification or regression.
    """
    if not part.slices:
        return {}
    present = {metric.name for row in part.slices for metric in row.metrics}
    names = [name for name in _SHOWN[task] if name in present]
    rows = []
    for row in part.slices:
        values = {metric.name: metric for metric in row.metrics}
        rows.append(
            {
                "column": row.column.replace("_", " "),
                "value": row.value,
                "n": f"{row.n:,}",
                "n_groups": f"{row.n_groups:,}",
                "cells": [format_metric(values[name]) if name in values else "\u2013" for name in names],
                "says": _word_slice(row),
                "worse": row.worse,
            }
        )
    return {"heads": [title_metric(name) for name in names], "rows": rows, "worse": _list_worse(part.slices)}


def _word_slice(row: SliceReport) -> str:
    if row.difference is None:
        return "too few to judge"
    if row.worse:
        return "worse"
    return "better" if row.differs else "no difference can be told"


def _list_worse(slices: Sequence[SliceReport]) -> list[str]:
    sentences = []
    for row in slices:
        if not row.worse or row.difference is None or row.difference.value is None:
            continue
        gap = abs(row.difference.value)
        is_percent = row.difference.name in METRICS and METRICS[row.difference.name].percent
        size = f"{100 * gap:.1f} points" if is_percent else format_quantity(gap, row.difference.unit)
        what = title_metric(row.difference.name).lower() + (" lower" if row.difference.higher_is_better else " higher")
        column = row.column.replace("_", " ")
        sentences.append(f"{column} = {row.value} ({format_count(row.n, 'photograph')}): {what} by {size}")
    return sentences


def list_groups(rows: Sequence[GroupRow], unit: str) -> dict[str, Any]:
    """The leaves or plants with the worst numbers, at most ten; empty when there are none.

    Args:
        rows: Worst first.
        unit: Unit of the target; empty for classes.
    """
    shown = rows[:_GROUPS_SHOWN]
    if not shown:
        return {}
    percent = shown[0].metric in METRICS and METRICS[shown[0].metric].percent
    return {
        "head": title_metric(shown[0].metric),
        "rows": [
            {
                "group": row.group_id,
                "n": f"{row.n:,}",
                "value": f"{100 * row.value:.0f}\u00a0%" if percent else format_quantity(row.value, unit),
            }
            for row in shown
        ],
        "n": format_number(len(rows)),
    }
