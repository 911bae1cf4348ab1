"""The reliability diagram: whether an answer that is 80 % sure is right in 80 of 100 cases."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phytoscope.schema.trust_report import CalibrationReport, ReliabilityBin
from phytoscope.visualize.style import BLUE, GREY, INK, ORANGE, PALE, new_figure, paper_style

PERCENT_TICKS = ([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
_BOX = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


@paper_style()
def plot_reliability(calibration: CalibrationReport) -> Figure:
    """Draws how often answers of each confidence are right, before and after calibration.

    The area of a point follows the number of answers it stands for; the bars below count them (DeGroot and Fienberg
    1983, doi 10.2307/2987588).

    Args:
        calibration: The numbers; a kind without bins before or after gets the other panel alone.
    """
    panels = [
        (title, bins, calibration_error, colour, marker)
        for title, bins, calibration_error, colour, marker in (
            ("As the network says", calibration.bins_before, calibration.before.get("ece"), ORANGE, "s"),
            ("After calibration", calibration.bins_after, calibration.after.get("ece"), BLUE, "o"),
        )
        if bins
    ]
    if calibration.kind == "none":
        # Both panels would show the same.
        panels = panels[:1]
    fig = new_figure(0.6 + 3.1 * max(1, len(panels)), 4.1)
    grid = fig.subplots(2, max(1, len(panels)), sharex=True, squeeze=False, height_ratios=[4, 1])
    for column, (title, bins, error, colour, marker) in enumerate(panels):
        _draw_diagram(grid[0, column], bins, colour, marker)
        grid[0, column].set_title(title)
        if error is not None:
            grid[0, column].text(0.04, 0.93, f"off by {100 * error:.1f} points", fontsize=8.5, va="top", bbox=_BOX)
        _draw_counts(grid[1, column], bins, colour)
        grid[1, column].set_xlabel("How sure the answer is")
    grid[0, 0].set_ylabel("How often it is right")
    grid[1, 0].set_ylabel("Images")
    return fig


def _draw_diagram(ax: Axes, bins: Sequence[ReliabilityBin], colour: str, marker: str) -> None:
    confidence, accuracy = [row.confidence for row in bins], [row.accuracy for row in bins]
    share = np.array([row.n for row in bins]) / max(1, sum(row.n for row in bins))
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.9, zorder=1)
    ax.vlines(confidence, accuracy, confidence, color=GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=2)
    ax.plot(confidence, accuracy, color=colour, linewidth=0.8, alpha=0.6, zorder=2)
    sizes = 14 + 130 * share
    ax.scatter(
        confidence, accuracy, s=sizes, color=colour, marker=marker, edgecolor="white", linewidth=0.6, clip_on=False,
        zorder=3,
    )  # fmt: skip
    ax.text(0.04, 0.80, "above: too modest", fontsize=7, color=GREY, va="top", bbox=_BOX)
    ax.text(0.96, 0.07, "below: too sure", fontsize=7, color=GREY, ha="right", bbox=_BOX)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_yticks(*PERCENT_TICKS)
    ax.grid(visible=True)


def _draw_counts(ax: Axes, bins: Sequence[ReliabilityBin], colour: str) -> None:
    ax.vlines([row.confidence for row in bins], 0, [row.n for row in bins], color=colour, linewidth=4, alpha=0.75)
    ax.set_ylim(0, 1.15 * max(row.n for row in bins))
    ax.set_yticks([0, max(row.n for row in bins)])
    ax.set_xticks(*PERCENT_TICKS)
    ax.spines["bottom"].set_color(PALE)
