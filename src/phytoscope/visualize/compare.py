"""The figure of a comparison: where one model is better than the other, with intervals."""

from typing import Final

from matplotlib.figure import Figure

from phytoscope.schema.comparison import Comparison, MetricDifference, PlaceRow, Winner
from phytoscope.visualize.compare_words import find_place_metric, format_amount, title_place
from phytoscope.visualize.style import BLUE, GREY, INK, ORANGE, new_figure, paper_style
from phytoscope.visualize.text import figure_text
from phytoscope.visualize.words import METRICS, title_metric

PLACES_SHOWN: Final = 30
_MARKS = {Winner.first: ("s", ORANGE), Winner.second: ("D", BLUE), Winner.unclear: ("o", GREY)}


@paper_style()
def draw_comparison(comparison: Comparison) -> dict[str, Figure]:
    """Draws the figures of a comparison.

    Args:
        comparison: What was found.

    Returns:
        `comparison_places`: the difference on all photographs and in each class, decile and slice, with intervals; the
        places with the largest differences where there are many.
    """
    return {"comparison_places": _draw_places(comparison)}


def _draw_places(comparison: Comparison) -> Figure:
    metric = find_place_metric(comparison)
    places = [place for place in comparison.places if place.low is not None and place.what != "group"]
    kept = sorted(places, key=lambda place: -abs(place.second - place.first))[:PLACES_SHOWN]
    places = [place for place in places if place in kept]
    figure = new_figure(6.4, 1.3 + 0.2 * (len(places) + 1))
    ax = figure.add_subplot()
    percent = metric.name in METRICS and METRICS[metric.name].percent
    scale = 100.0 if percent else 1.0
    lines = _list_lines(comparison, metric, places)
    for height, (_, low, middle, high, winner) in enumerate(lines):
        marker, colour = _MARKS[winner]
        if low is not None and high is not None:
            ax.plot([scale * low, scale * high], [height, height], color=colour, linewidth=1.6)
        ax.plot([scale * middle], [height], marker=marker, color=colour, markersize=5, linestyle="none")
    ax.axvline(0.0, color=INK, linewidth=0.8)
    ax.set_yticks(range(len(lines)), [title for title, *_ in lines])
    ax.set_ylim(len(places) + 0.6, -0.6)
    ax.xaxis.grid(visible=True)
    unit = "points" if percent else metric.unit
    better = "right" if metric.higher_is_better else "left"
    names = figure_text(comparison.second_name, 40), figure_text(comparison.first_name, 40)
    ax.set_xlabel(
        f"{title_metric(metric.name)}: {names[0]} minus {names[1]}" + (f" ({figure_text(unit, 20)})" if unit else "")
    )
    ax.set_title(f"{figure_text(comparison.second_name, 50)} is better on the {better} of 0")
    return figure


def _list_lines(
    comparison: Comparison, metric: MetricDifference, places: list[PlaceRow]
) -> list[tuple[str, float | None, float, float | None, Winner]]:
    overall = metric.difference if metric.difference is not None else 0.0
    lines = [(f"all photographs ({comparison.n:,})", metric.low, overall, metric.high, metric.winner)]
    for place in places:
        title = figure_text(f"{title_place(place)} ({place.n:,})", 44)
        lines.append((title, place.low, place.second - place.first, place.high, place.winner))
    return lines


def describe_comparison(comparison: Comparison) -> str:
    """The figure in words, for those who cannot see it."""
    metric = find_place_metric(comparison)
    return (
        f"Differences in {title_metric(metric.name)} between {comparison.second_name} and {comparison.first_name} with "
        f"intervals, on all photographs ({format_amount(metric, metric.difference)}) and in parts of them."
    )
