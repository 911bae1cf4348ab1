"""Figures of a watch over new photographs: look after look, then and now, errors over time, the strangest ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from phytoscope.schema.drift import DriftFinding, DriftReport, TruthReport
from phytoscope.schema.table import (
    LOWER,
    NOVELTY,
    PATH,
    PHOTO_PREFIX,
    PREDICTION,
    PROBABILITY,
    UPPER,
    VERDICT,
)
from phytoscope.schema.verdict import Verdict
from phytoscope.visualize.drift_words import MEASURES, sort_fired
from phytoscope.visualize.gallery import GALLERY_DPI, draw_tile, read_thumbnail
from phytoscope.visualize.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, VERMILION, new_figure, paper_style
from phytoscope.visualize.text import figure_text, format_number, prettify_class, prettify_classes

_PANELS: Final = 6
_CLASSES: Final = 14
_LOOKS: Final = 60
_BINS: Final = 24
_SMALLEST: Final = 1e-7
_COLOURS: Final = {Verdict.accept: GREEN, Verdict.review: ORANGE, Verdict.reject: VERMILION}
WIDTH: Final = "width"
"""Name of the panel that shows the widths of the intervals, which no column holds."""


@paper_style()
def plot_looks(reports: Sequence[DriftReport]) -> Figure:
    """Draws how surprising each look was, and from where on it would have counted.

    Args:
        reports: All looks, the first one first; at least one. Only the last 60 are drawn.
    """
    shown = [report for report in reports[-_LOOKS:] if report.findings]
    fig = new_figure(6.8, 2.9)
    ax = fig.add_subplot()
    numbers = [report.look for report in shown]
    surest = [_find_surest(report) for report in shown]
    limits = [max(finding.threshold, _SMALLEST) for finding in surest]
    chances = [max(finding.p_value, _SMALLEST) for finding in surest]
    for report, chance in zip(shown, chances, strict=True):
        colour, marker = (VERMILION, "D") if report.fired else (BLUE, "o")
        ax.plot([report.look], [chance], marker=marker, color=colour, markersize=6, linestyle="none", zorder=3)
    ax.plot(numbers, chances, color=PALE, linewidth=1.0, zorder=1)
    # Steps as wide as a look, so that a single look shows its limit too.
    edges = [numbers[0] - 0.5, *(number + 0.5 for number in numbers)] if numbers else []
    if numbers:
        ax.stairs(limits, edges, baseline=None, color=GREY, linestyle=(0, (4, 2)), linewidth=1.2, zorder=2)
        ax.set_xlim(edges[0], max(edges[-1], edges[0] + 5))
    ax.set_yscale("log")
    ax.set_ylim(1.4, min([_SMALLEST * 100, *chances, *limits]) / 3)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"1 in {1 / value:,.0f}" if value < 1 else "1"))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    ax.grid(axis="y")
    ax.set_xlabel("Look")
    ax.set_ylabel("Chance of such a difference\nif nothing has changed")
    ax.plot([], [], color=GREY, linestyle=(0, (4, 2)), label="beyond this line it counts as a change")
    ax.plot([], [], marker="o", color=BLUE, linestyle="none", label="no change found")
    ax.plot([], [], marker="D", color=VERMILION, linestyle="none", label="changed")
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def _find_surest(report: DriftReport) -> DriftFinding:
    """The finding that comes nearest to its threshold, or goes furthest beyond it."""
    return min(report.findings, key=lambda finding: finding.p_value / max(finding.threshold, _SMALLEST))


def choose_panels(report: DriftReport, reference: pd.DataFrame, batch: pd.DataFrame) -> list[str]:
    """Columns whose values then and now are drawn: what fired first, then the measures of the photograph.

    Args:
        report: The look.
        reference: Rows of the reference.
        batch: Rows of the look.

    Returns:
        At most six names of columns that both tables hold, or `width`.
    """
    fired = [finding.name for finding in sort_fired(report)]
    numbers = [NOVELTY, PROBABILITY, WIDTH, PREDICTION]
    measures = [PHOTO_PREFIX + name for name in MEASURES]
    names = [{"confidence": WIDTH if LOWER in batch else PROBABILITY}.get(name, name) for name in fired]
    wanted = dict.fromkeys([*names, *measures, *numbers])
    drawn = [name for name in wanted if _can_draw(name, reference) and _can_draw(name, batch)]
    return [name for name in drawn if name in names or not _is_constant(name, reference, batch)][:_PANELS]


def _can_draw(name: str, table: pd.DataFrame) -> bool:
    values = read_values(table, name)
    return values is not None and bool(np.isfinite(values).any())


def _is_constant(name: str, reference: pd.DataFrame, batch: pd.DataFrame) -> bool:
    values = [read_values(table, name) for table in (reference, batch)]
    known = np.concatenate([side[np.isfinite(side)] for side in values if side is not None])
    return bool(np.ptp(known) == 0)


def read_values(table: pd.DataFrame, name: str) -> np.ndarray | None:
    """Values of one panel, shape (N,), float64; None where the table has none.

    Args:
        table: Rows of the reference or of a look.
        name: A column of numbers, or `width`.
    """
    if name == WIDTH:
        return None if LOWER not in table else (table[UPPER] - table[LOWER]).to_numpy(dtype=float)
    if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
        return None
    return table[name].to_numpy(dtype=float)


def title_panel(name: str, target: str, unit: str) -> str:
    """What a panel shows, with its unit.

    Args:
        name: A column, or `width`.
        target: What is predicted.
        unit: Its unit.
    """
    measure = name.removeprefix(PHOTO_PREFIX)
    if measure in MEASURES:
        return MEASURES[measure][0]
    titles = {
        NOVELTY: "Novelty",
        PROBABILITY: "Probability",
        WIDTH: "Width of the interval",
        PREDICTION: f"Predicted {target}",
    }
    suffix = f" ({unit})" if unit and name in (WIDTH, PREDICTION) else ""
    return titles.get(name, measure) + suffix


@paper_style()
def plot_then_now(
    names: Sequence[str], reference: pd.DataFrame, batch: pd.DataFrame, *, fired: Sequence[str], target: str, unit: str
) -> Figure:
    """Draws the values of some columns when the model was measured and now.

    Args:
        names: What to draw, see `choose_panels`; at least one.
        reference: Rows of the reference.
        batch: Rows of the look.
        fired: Names of what has changed; their panels are marked.
        target: What is predicted.
        unit: Its unit.
    """
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    fig = new_figure(2.4 * columns + 0.3, 1.75 * lines + 0.45)
    axes = [ax for line in fig.subplots(lines, columns, squeeze=False) for ax in line]
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes, names, strict=False):
        then, now = read_values(reference, name), read_values(batch, name)
        if then is not None and now is not None:
            _draw_panel(ax, then[np.isfinite(then)], now[np.isfinite(now)])
        changed = name in fired or (name in (WIDTH, PROBABILITY) and "confidence" in fired)
        ax.set_title(
            figure_text(title_panel(name, target, unit), 30) + (" \u2013 changed" if changed else ""),
            fontsize=8.5,
            color=VERMILION if changed else INK,
        )
    axes[0].plot([], [], color=GREY, linewidth=5, alpha=0.5, label="when the model was measured")
    axes[0].plot([], [], color=BLUE, linewidth=1.8, label="now")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


def _draw_panel(ax: Axes, then: np.ndarray, now: np.ndarray) -> None:
    low, high = float(min(then.min(), now.min())), float(max(then.max(), now.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    for values, side in ((then, "then"), (now, "now")):
        shares = np.histogram(values, edges)[0] / len(values)
        if side == "then":
            ax.stairs(shares, edges, fill=True, color=GREY, alpha=0.45)
        else:
            ax.stairs(shares, edges, color=BLUE, linewidth=1.6)
    ax.axvline(float(np.median(then)), color=GREY, linewidth=1.2, linestyle=(0, (3, 2)))
    ax.axvline(float(np.median(now)), color=BLUE, linewidth=1.2, linestyle=(0, (3, 2)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.tick_params(labelsize=7)


@paper_style()
def plot_class_mix(reference: pd.DataFrame, batch: pd.DataFrame) -> Figure:
    """Draws how often each class was named then and now, those with the largest change on top.

    Args:
        reference: Rows of the reference with `prediction`.
        batch: Rows of the look.
    """
    then, now = (table[PREDICTION].value_counts(normalize=True) for table in (reference, batch))
    names = sorted({*then.index, *now.index}, key=lambda name: (-abs(now.get(name, 0) - then.get(name, 0)), str(name)))
    names = names[:_CLASSES]
    words = prettify_classes([str(name) for name in names])
    fig = new_figure(6.4, 0.9 + 0.3 * len(names))
    ax = fig.add_subplot()
    places = np.arange(len(names))
    ax.barh(places - 0.19, [then.get(name, 0) for name in names], 0.36, color=GREY, alpha=0.6, label="when measured")
    ax.barh(places + 0.19, [now.get(name, 0) for name in names], 0.36, color=BLUE, label="now")
    ax.set_yticks(places, [figure_text(words[str(name)], 40) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.grid(axis="x")
    ax.set_xlabel("Photographs that are given this name")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


@paper_style()
def plot_errors(report: TruthReport) -> Figure:
    """Draws the true errors over time with their intervals, beside the errors when the model was measured.

    Args:
        report: The errors; at least one window.
    """
    fig = new_figure(6.8, 2.9)
    ax = fig.add_subplot()
    scale = 100.0 if not report.unit else 1.0
    before = report.reference
    if before.low is not None and before.high is not None:
        ax.axhspan(scale * before.low, scale * before.high, color=GREY, alpha=0.18, linewidth=0)
    ax.axhline(scale * before.error, color=GREY, linestyle=(0, (4, 2)), linewidth=1.2, label="when it was measured")
    for place, window in enumerate(report.windows):
        if window.low is not None and window.high is not None:
            ax.vlines(place, scale * window.low, scale * window.high, color=BLUE, linewidth=1.8)
        ax.plot([place], [scale * window.error], marker="o", color=BLUE, markersize=6, linestyle="none")
    ax.plot(
        [], [], marker="o", color=BLUE, linestyle="none", label=f"since then, {100 * report.confidence:.0f} % range"
    )
    names = [f"{figure_text(window.name, 16)}\nn = {window.n:,}" for window in report.windows]
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.6, max(len(names) - 0.4, 3.4))
    ax.set_ylim(bottom=0.0)
    ax.grid(axis="y")
    ax.set_ylabel("Wrong answers (%)" if not report.unit else f"Mean error ({figure_text(report.unit)})")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


@paper_style()
def plot_unlike(batch: pd.DataFrame, *, columns: int = 4, lines: int = 2) -> Figure | None:
    """Shows the photographs that are most unlike those that the model learned from.

    Args:
        batch: Rows of a look with `path`, `novelty`, `prediction` and `verdict`.
        columns: Pictures in one line.
        lines: Most lines.

    Returns:
        None where strangeness is not measured.
    """
    rows = batch[batch[NOVELTY].notna()].sort_values([NOVELTY, PATH], ascending=[False, True]).head(columns * lines)
    if rows.empty:
        return None
    tile, gap, caption = 1.6, 0.14, 0.62
    count = -(-len(rows) // columns)
    width_in, height_in = columns * (tile + gap) + gap, count * (tile + caption) + 0.1
    fig = Figure(figsize=(width_in, height_in), dpi=GALLERY_DPI)
    for number, row in enumerate(rows.to_dict("records")):
        line, column = divmod(number, columns)
        left, bottom = gap + column * (tile + gap), height_in - 0.06 - line * (tile + caption) - tile
        ax = fig.add_axes((left / width_in, bottom / height_in, tile / width_in, tile / height_in))
        answer = row[PREDICTION]
        said = prettify_class(answer) if isinstance(answer, str) else format_number(float(answer))
        name = figure_text(Path(row[PATH]).name, 26)
        text = f"{name}\n{figure_text(said, 26)}\n{row[VERDICT]}, novelty {format_number(row[NOVELTY])}"
        draw_tile(ax, read_thumbnail(Path(row[PATH])), text, _COLOURS[Verdict(row[VERDICT])])
    return fig
