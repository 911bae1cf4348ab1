"""Figures about verdicts: what happens to the photographs, and what answering fewer of them is worth."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from phytoscope.schema.trust_report import VerdictReport
from phytoscope.schema.verdict import Verdict
from phytoscope.visualize.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    paper_style,
)
from phytoscope.visualize.text import figure_text, wrap_figure_text

VERDICT_COLOURS = {Verdict.accept: (GREEN, ""), Verdict.review: (ORANGE, "///"), Verdict.reject: (VERMILION, "xxx")}
"""Colour and hatching of each verdict: they can be told apart without colours too."""
_LABELS = {Verdict.accept: "accept", Verdict.review: "review", Verdict.reject: "reject"}
_LINES = ((BLUE, "-"), (VERMILION, "--"), (PURPLE, "-."), (INK, ":"), (SKY, "-"))
_LABEL_FROM = 0.06
_MOST_LINES = len(_LINES)


@paper_style()
def plot_verdicts(sets: Mapping[str, VerdictReport]) -> Figure:
    """Draws the shares of accepted, reviewed and rejected photographs, one bar a set.

    Args:
        sets: Name of each set -> its numbers, in the order of the bars.
    """
    fig = new_figure(6.8, 1.1 + 0.5 * len(sets))
    ax = fig.add_subplot()
    places = list(range(len(sets) - 1, -1, -1))
    for y, verdicts in zip(places, sets.values(), strict=True):
        left = 0.0
        for verdict, (colour, hatch) in VERDICT_COLOURS.items():
            share = verdicts.shares.get(verdict.value, 0.0)
            # Only the first bar may give its name to the legend.
            label = _LABELS[verdict] if y == places[0] else None
            ax.barh(
                y, share, left=left, height=0.62, facecolor=colour, edgecolor="white", hatch=hatch, linewidth=0.0,
                label=label,
            )  # fmt: skip
            if share >= _LABEL_FROM:
                box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
                text = f"{100 * share:.0f} %"
                ax.text(left + share / 2, y, text, ha="center", va="center", fontsize=8.5, color=INK, bbox=box)
            left += share
    names = [f"{wrap_figure_text(name, 26, 2)}\n(n = {verdicts.n:,})" for name, verdicts in sets.items()]
    ax.set_yticks(places, names)
    ax.set_ylim(-0.5, len(sets) - 0.5)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("Photographs")
    fig.legend(loc="outside upper right", ncols=3)
    return fig


@paper_style()
def plot_risk_coverage(sets: Mapping[str, VerdictReport], *, unit: str, is_share: bool) -> Figure:
    """Draws the error among the surest answers against how many are answered (Geifman and El-Yaniv 2017).

    The curve is ordered by confidence alone; a mark shows the accepted answers, whose verdict rests on the photograph
    and its likeness to the training images as well, so that it may lie beside its curve. Source: arXiv 1705.08500.

    Args:
        sets: Name of each set -> its numbers; the first one sets the wanted error. At most five are drawn.
        unit: Unit of the target; empty for classes.
        is_share: Whether errors are shares of wrong answers, else they are mean absolute errors in `unit`.
    """
    drawn = [(name, verdicts) for name, verdicts in sets.items() if len(verdicts.curve) > 1][:_MOST_LINES]
    fig = new_figure(6.2, 3.9)
    ax = fig.add_subplot()
    top = 0.0
    for (name, verdicts), (colour, style) in zip(drawn, _LINES, strict=False):
        points = [point for point in verdicts.curve if np.isfinite(point.risk)]
        share, risk = np.array([point.coverage for point in points]), np.array([point.risk for point in points])
        # The risk of the first handful of answers jumps between 0 and 1 and would flatten all that follows.
        top = max(top, float(risk[share >= 0.1].max(initial=0.0)))
        ax.plot(share, risk, color=colour, linestyle=style, label=figure_text(name, 40), zorder=2)
        top = max(top, _mark_accepted(ax, verdicts, colour))
    wanted = next((verdicts.wanted_error for _, verdicts in drawn), None)
    if is_share and wanted is not None:
        ax.axhline(wanted, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        place = ax.get_yaxis_transform()
        ax.text(1.01, wanted, f"wanted:\n{100 * wanted:g} %", fontsize=7.5, color=GREY, va="center", transform=place)
        top = max(top, 1.3 * wanted)
    ax.set_xlim(0, 1.0)
    ax.set_ylim(0, 1.08 * top if top > 0 else 1.0)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    if is_share:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.grid(visible=True)
    ax.set_xlabel("Photographs that are answered, the surest first")
    ax.set_ylabel("Wrong among them" if is_share else f"Mean absolute error ({figure_text(unit)})".replace(" ()", ""))
    ax.plot([], [], marker="D", color=GREY, linestyle="none", markersize=6, label="accepted answers")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _mark_accepted(ax: Axes, verdicts: VerdictReport, colour: str) -> float:
    share, error = verdicts.shares.get(Verdict.accept.value), verdicts.errors.get(Verdict.accept.value)
    if share is None or error is None:
        return 0.0
    low, high = verdicts.accepted_low, verdicts.accepted_high
    if low is not None and high is not None:
        ax.vlines(share, low, high, color=colour, linewidth=1.6, alpha=0.6, zorder=3)
    ax.plot(
        [share], [error], marker="D", color=colour, markersize=6, markeredgecolor="white", linestyle="none",
        clip_on=False, zorder=4,
    )  # fmt: skip
    return error if high is None else high
