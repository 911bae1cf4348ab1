"""Figures about sets and intervals: whether they hold the truth as often as promised, and how large they are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from phytoscope.schema.table import LOWER, PREDICTION, TARGET, UPPER
from phytoscope.schema.trust_report import CoverageRow, IntervalReport, SetReport
from phytoscope.visualize.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    VERMILION,
    new_figure,
    paper_style,
    use_log_axis,
)
from phytoscope.visualize.text import figure_text, format_number, name_quantity, prettify_classes
from phytoscope.visualize.values import is_skewed

MOST_ROWS = 40
MOST_INTERVALS = 150
_LAST_SIZE = 10
_LONGEST_NAME = 44
_DASHED = (0, (4, 3))


@paper_style()
def plot_coverage(entry: SetReport | IntervalReport) -> Figure:
    """Draws how often the truth was held, for all images and for each class or slice, and the size of what held it.

    Args:
        entry: The numbers, with at least one row; of more than 40 classes the ones held least often are drawn.
    """
    rows = choose_rows(entry.rows)
    words = name_rows(rows, entry)
    places = list(range(len(rows) - 1, -1, -1))
    fig = new_figure(7.2, 1.5 + 0.27 * len(rows))
    held, size = fig.subplots(1, 2, sharey=True, width_ratios=[3, 1.2])
    held.axvline(entry.promised, color=GREEN, linewidth=1.3, zorder=1)
    if entry.promised < entry.wanted - 1e-9:
        held.axvline(entry.wanted, color=GREY, linewidth=1.0, linestyle=_DASHED, zorder=1)
    for y, row in zip(places, rows, strict=True):
        _draw_row(held, y, row, entry.promised)
    lowest = min([entry.promised, *(row.coverage if row.low is None else row.low for row in rows)])
    held.set_xlim(max(0.0, min(0.6, np.floor(10.0 * lowest - 0.3) / 10.0)), 1.0)
    held.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    held.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    held.set_yticks(places, words)
    held.set_ylim(-0.6, len(rows) - 0.4)
    held.set_xlabel("Share that held the truth")
    held.grid(axis="both")
    held.tick_params(axis="y", length=0)
    _draw_sizes(size, places, rows, entry)
    fig.legend(handles=_make_legend(entry, rows), loc="outside lower center", ncols=4)
    return fig


def choose_rows(rows: Sequence[CoverageRow], most: int = MOST_ROWS) -> list[CoverageRow]:
    """The rows to draw: all images first, then classes or slices in their order, of too many those held least often."""
    overall = [row for row in rows if row.what == "all"]
    parts = [row for row in rows if row.what in {"class", "decile"} and row.n > 0]
    return overall + (sorted(parts, key=lambda row: row.coverage)[:most] if len(parts) > most else parts)


def name_rows(rows: Sequence[CoverageRow], entry: SetReport | IntervalReport) -> list[str]:
    """What each row is called, with its number of images."""
    classes = prettify_classes([row.name for row in rows if row.what == "class"])
    unit = entry.unit if isinstance(entry, IntervalReport) else ""
    names = []
    for row in rows:
        name = "All photographs" if row.what == "all" else row.name
        if row.what == "class":
            name = classes[row.name]
        elif row.what == "decile" and unit and not name.endswith(unit):
            name = f"{name} {unit}"
        names.append(f"{figure_text(name, _LONGEST_NAME)} (n = {row.n:,})")
    return names


def is_broken(row: CoverageRow, promised: float) -> bool:
    """Whether the truth was held less often than promised by more than chance explains, as far as that is known."""
    return row.high is not None and row.high < promised - 1e-9


def _draw_row(ax: Axes, y: int, row: CoverageRow, promised: float) -> None:
    broken = is_broken(row, promised)
    colour, marker = (VERMILION, "v") if broken else (BLUE, "o")
    if row.low is not None and row.high is not None:
        ax.plot([row.low, row.high], [y, y], color=colour, linewidth=1.6, alpha=0.6, solid_capstyle="butt", zorder=2)
    size = 7 if row.what == "all" else 5
    ax.plot(
        [row.coverage], [y], marker=marker, color=colour, markersize=size, linestyle="none", clip_on=False, zorder=3
    )


def _draw_sizes(
    ax: Axes, places: Sequence[int], rows: Sequence[CoverageRow], entry: SetReport | IntervalReport
) -> None:
    # An interval without an end has a width that cannot be drawn, only told by a dash.
    sizes = [row.size if np.isfinite(row.size) else 0.0 for row in rows]
    ax.barh(places, sizes, color=BLUE, alpha=0.45, height=0.6)
    for y, row, size in zip(places, rows, sizes, strict=True):
        text = format_number(row.size, 2)
        ax.annotate(text, (size, y), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    ax.set_xlim(0, 1.35 * max(1e-12, *sizes))
    unit = f" ({figure_text(entry.unit)})" if isinstance(entry, IntervalReport) and entry.unit else ""
    ax.set_xlabel("Classes in a set" if isinstance(entry, SetReport) else f"Mean width{unit}")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(3))


def _make_legend(entry: SetReport | IntervalReport, rows: Sequence[CoverageRow]) -> list[Line2D]:
    has_ends = any(row.low is not None for row in rows)
    handles = [Line2D([], [], color=GREEN, linewidth=1.3, label=f"promised ({100 * entry.promised:.0f} %)")]
    if entry.promised < entry.wanted - 1e-9:
        words = f"wanted ({100 * entry.wanted:.0f} %)"
        handles.append(Line2D([], [], color=GREY, linewidth=1.0, linestyle=_DASHED, label=words))
    label = "held, with its range" if has_ends else "held"
    handles.append(Line2D([], [], marker="o", color=BLUE, linestyle="none", markersize=5, label=label))
    if any(is_broken(row, entry.promised) for row in rows):
        words = "less than promised"
        handles.append(Line2D([], [], marker="v", color=VERMILION, linestyle="none", markersize=5, label=words))
    return handles


@paper_style()
def plot_set_sizes(sizes: Mapping[int, int]) -> Figure:
    """Draws how many classes the prediction sets name.

    Args:
        sizes: Number of classes -> number of sets; more than ten classes share one bar.
    """
    total = max(1, sum(sizes.values()))
    largest = max(sizes, default=1)
    bars = {str(size): sizes.get(size, 0) / total for size in range(1, min(largest, _LAST_SIZE) + 1)}
    if largest > _LAST_SIZE:
        bars["more"] = sum(count for size, count in sizes.items() if size > _LAST_SIZE) / total
    fig = new_figure(min(6.8, 2.2 + 0.55 * len(bars)), 2.9)
    ax = fig.add_subplot()
    colours = [GREEN, *[BLUE] * (len(bars) - 1)]
    ax.bar(range(len(bars)), list(bars.values()), color=colours, alpha=0.8, width=0.7)
    for place, share in enumerate(bars.values()):
        text = f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else "< 1 %"
        ax.annotate(text, (place, share), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    ax.set_xticks(range(len(bars)), list(bars))
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(0, 1.15 * max(bars.values()))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.grid(axis="y")
    ax.set_xlabel("Classes in the set")
    ax.set_ylabel("Photographs")
    return fig


@paper_style()
def plot_intervals(rows: pd.DataFrame, *, target_name: str, unit: str) -> Figure:
    """Draws the interval of each answer over its true value; one that crosses the diagonal holds the truth.

    Args:
        rows: Rows of one split of table 8a with `target`, `prediction`, `lower` and `upper`, all in `unit`; rows
            without one of them are left out, and of more than 150 an even choice from small to large is drawn.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
    """
    columns = [TARGET, PREDICTION, LOWER, UPPER]
    known = rows[columns].dropna().sort_values([TARGET, PREDICTION])
    chosen = np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_INTERVALS)).round().astype(int))
    target, value, lower, upper = known.iloc[chosen].to_numpy(dtype=np.float64).T
    held = (lower <= target) & (target <= upper)
    fig = new_figure(5.4, 5.0)
    ax = fig.add_subplot()
    use_log = is_skewed(target) and bool((value > 0).all())
    finite = np.concatenate([target, value, lower[np.isfinite(lower)], upper[np.isfinite(upper)]])
    low, high = float(min(target.min(), value.min())), float(finite.max())
    if use_log:
        use_log_axis(ax, "x")
        use_log_axis(ax, "y")
        low, high = low / 1.5, high * 1.2
    else:
        low = float(finite.min())
        room = 0.04 * (high - low) if high > low else 1.0
        low, high = low - room, high + room
    ax.plot([low, high], [low, high], color=INK, linewidth=0.9, zorder=1)
    for rows_of, colour, marker, words in ((held, BLUE, "o", "holds the truth"), (~held, VERMILION, "X", "misses it")):
        if rows_of.any():
            # A logarithm has no 0, and no axis has an infinity: such ends are drawn to the edge.
            starts, ends = np.clip(lower[rows_of], low, None), np.clip(upper[rows_of], None, high)
            ax.vlines(target[rows_of], starts, ends, color=colour, linewidth=1.3, alpha=0.45, zorder=2)
            label = f"{words} ({int(rows_of.sum()):,})"
            ax.scatter(
                target[rows_of], value[rows_of], s=20, color=colour, marker=marker, edgecolor="white", linewidth=0.4,
                label=label, zorder=3,
            )  # fmt: skip
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.grid(visible=True)
    quantity = name_quantity(target_name, unit)
    ax.set_xlabel(f"True {quantity}")
    ax.set_ylabel(f"Predicted {quantity}, with its interval")
    note = "" if len(chosen) == len(known) else f"{len(chosen)} of {len(known):,} photographs"
    ax.legend(loc="upper left", title=note or None, title_fontsize=7.5)
    return fig
