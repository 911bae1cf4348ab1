"""What a comparison of two models says in words."""

import re
from typing import Final

from phytoscope.schema.comparison import Comparison, MetricDifference, PlaceRow, Winner
from phytoscope.schema.table import Task
from phytoscope.visualize.text import format_number, format_percent, format_quantity, prettify_class
from phytoscope.visualize.words import METRICS, title_metric

PLACE_METRICS: Final = {Task.classification: "accuracy", Task.regression: "mae"}
"""By which number classes, slices and groups are compared."""


def name_winner(comparison: Comparison, winner: Winner) -> str:
    """What the better model is called; empty where no difference can be told."""
    return {Winner.first: comparison.first_name, Winner.second: comparison.second_name, Winner.unclear: ""}[winner]


def word_summary(comparison: Comparison) -> str:
    """The answer in a sentence, by the metric that decides."""
    return word_difference(comparison, comparison.get_metric(comparison.deciding))


def word_difference(comparison: Comparison, metric: MetricDifference) -> str:
    """Which model is better by one metric, by how much, and how sure that is."""
    title = _lower_first(title_metric(metric.name))
    if metric.difference is None:
        return f"Nothing can be said by {title}: it is not defined for both."
    level = f"{100 * comparison.confidence:.4g}\u00a0% interval"
    if metric.winner is not Winner.unclear and metric.low is not None and metric.high is not None:
        ends = sorted((abs(metric.low), abs(metric.high)))
        amount = format_amount(metric, abs(metric.difference))
        span = _word_span(metric, *ends)
        return f"{name_winner(comparison, metric.winner)} is better by {amount} in {title} ({level} {span})."
    sentence = (
        f"No difference can be told in {title}: {comparison.second_name} minus {comparison.first_name} is "
        f"{format_amount(metric, metric.difference)}"
    )
    if metric.low is None or metric.high is None:
        return f"{sentence}, without an interval."
    return f"{sentence} ({level} {_word_span(metric, metric.low, metric.high)})."


def word_counts(comparison: Comparison) -> str:
    """On how many photographs which model wins."""
    if comparison.task == Task.classification:
        return (
            f"{comparison.second_wins:,} photographs only {comparison.second_name} names rightly, "
            f"{comparison.first_wins:,} only {comparison.first_name}; both are right on {comparison.both_right or 0:,} "
            f"and both wrong on {comparison.both_wrong or 0:,}."
        )
    ties = comparison.n - comparison.first_wins - comparison.second_wins
    return (
        f"{comparison.second_name} is closer on {comparison.second_wins:,} photographs, {comparison.first_name} on "
        f"{comparison.first_wins:,}; {ties:,} are equally far off."
    )


def word_basis(comparison: Comparison) -> str:
    """Which photographs were compared."""
    return (
        f"{comparison.n:,} {comparison.split} photographs of {comparison.n_groups:,} leaves or plants (groups) "
        "that both models answered."
    )


def format_value(metric: MetricDifference, value: float | None) -> str:
    """Value of one model as the report shows it."""
    if _is_percent(metric.name):
        return format_percent(value)
    return format_quantity(value, "" if metric.unit == "nats" else metric.unit)


def format_amount(metric: MetricDifference, value: float | None) -> str:
    """A difference: percentage points for shares, else in the metric's unit."""
    number = format_scaled(metric, value)
    if _is_percent(metric.name):
        return f"{number} points" if value is not None else number
    unit = "" if metric.unit == "nats" else metric.unit
    return f"{number}\u00a0{unit}" if unit and value is not None else number


def format_scaled(metric: MetricDifference, value: float | None) -> str:
    """The number of a difference without its unit."""
    if value is None:
        return format_number(None)
    return f"{100 * value:.1f}".replace("-", "\u2212") if _is_percent(metric.name) else format_number(value)


def format_span(metric: MetricDifference, low: float | None, high: float | None) -> str:
    """An interval of differences without its unit, a dash where there is none."""
    return format_number(None) if low is None or high is None else _word_span(metric, low, high)


def find_place_metric(comparison: Comparison) -> MetricDifference:
    """The metric by which classes, slices and groups are compared."""
    return comparison.get_metric(PLACE_METRICS[comparison.task])


def title_place(place: PlaceRow) -> str:
    """What a place is called in a list of all kinds of places."""
    if place.what == "decile":
        return f"true value {place.name}"
    if place.what == "class":
        return prettify_class(place.name)
    return f"{place.what} {place.name}" if place.what == "group" else f"{place.what}: {place.name}"


def _word_span(metric: MetricDifference, low: float, high: float) -> str:
    return f"{format_scaled(metric, low)} to {format_scaled(metric, high)}"


def _is_percent(name: str) -> bool:
    return name in METRICS and METRICS[name].percent


def _lower_first(title: str) -> str:
    return title[:1].lower() + title[1:] if re.match(r"[A-Z][a-z]", title) else title
