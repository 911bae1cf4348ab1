"""Figures of the inspection page."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phytoscope.visualize.style import BLUE, INK, ORANGE, new_figure, paper_style
from phytoscope.visualize.text import figure_text

FloatArray = npt.NDArray[np.float64]


@paper_style()
def plot_target_histogram(values: FloatArray, *, target_name: str, unit: str) -> Figure:
    """Draws how a numeric target is distributed, with its median as a line.

    Args:
        values: The true values in `unit`, shape (N,), float64, at least one, all finite.
        target_name: The user's own column name.
        unit: The user's unit; may be empty.
    """
    figure = new_figure(4.2, 2.7)
    axes = figure.add_subplot()
    _draw_histogram(axes, values, BLUE)
    axes.set_xlabel(figure_text(target_name, 34) + (f" ({figure_text(unit, 14)})" if unit else ""))
    return figure


@paper_style()
def plot_log_histogram(values: FloatArray, *, target_name: str) -> Figure:
    """Draws the same distribution after log(1 + x / median), for the comparison of the two shapes.

    Args:
        values: The true values, shape (N,), float64, at least one, all finite; the median is positive and no value is
            as far below 0.
        target_name: The user's own column name.
    """
    figure = new_figure(4.2, 2.7)
    axes = figure.add_subplot()
    _draw_histogram(axes, np.log1p(values / np.median(values)), ORANGE)
    axes.set_xlabel(f"log(1 + {figure_text(target_name, 34)} / median)")
    return figure


def _draw_histogram(axes: Axes, values: FloatArray, colour: str) -> None:
    bins = int(np.clip(np.sqrt(len(values)) * 1.5, 8, 40))
    axes.hist(values, bins=bins, color=colour, alpha=0.85, edgecolor="white", linewidth=0.4)
    axes.axvline(float(np.median(values)), color=INK, linestyle=(0, (4, 3)), linewidth=0.9)
    axes.annotate(
        "median",
        (float(np.median(values)), 1.0),
        (3, -1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="bottom",
        fontsize=7.5,
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="y")
    axes.set_ylabel("Images")
