"""The figure: accuracy against seconds, all methods."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from methods import METHODS
from tabling import find_yardstick

from phytoscope.visualize.style import INK, new_figure, paper_style, save_figures, use_log_axis


@paper_style()
def draw_curves(results: list[dict[str, Any]], path: Path) -> None:
    """Draws the accuracy on the test part against the seconds of the clock, and the yardstick's as lines.

    Args:
        results: What the methods wrote.
        path: PNG file to write.
    """
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    for family in dict.fromkeys(family_of(result) for result in results):
        members = [result for result in results if family_of(result) == family]
        draw_family(axes, members)
    mark = find_yardstick(results)
    if mark is not None:
        draw_yardstick(axes, *mark)
    use_log_axis(axes, "x")
    # Ticks at whole per cents: the labels have no decimals.
    axes.yaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="Seconds, from the start of the process", ylabel="Accuracy on kept-back leaves")
    axes.set_title("What each second of training buys")
    axes.grid(visible=True)
    figure.legend(loc="outside lower center", ncols=2)
    save_figures({path.stem: figure}, path.parent)
    path.with_suffix(".pdf").unlink()


def draw_yardstick(axes: Axes, accuracy: float, seconds: float) -> None:
    """Lines at the yardstick's final accuracy (0-1), its whole time and a tenth of that."""
    line = {"color": INK, "linewidth": 0.8, "linestyle": ":"}
    axes.axhline(accuracy, **line)
    for place, words in ((seconds, "fastai's whole time"), (seconds / 10, "a tenth of it")):
        axes.axvline(place, **line)
        at = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(words, (place, 0), (3, 4), rotation=90, va="bottom", ha="left", fontsize=7, **at)


def family_of(result: dict[str, Any]) -> str:
    """Name under which a method is drawn."""
    method = METHODS[result["method"]]
    return method.family or method.title


def draw_family(axes: Axes, members: list[dict[str, Any]]) -> None:
    """One line through the points of all members, in order of time."""
    points = sorted((point["seconds"], point["accuracy"]) for member in members for point in member["points"])
    colour = METHODS[members[0]["method"]].colour
    seconds, accuracy = zip(*points, strict=True)
    axes.plot(seconds, accuracy, marker="o", markersize=3.5, color=colour, label=family_of(members[0]))
