"""The comparison of two models as one HTML page that opens without a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from phytoscope import __version__
from phytoscope.errors import ArtifactError
from phytoscope.schema.comparison import Comparison, MetricDifference, PlaceRow, Winner
from phytoscope.schema.table import Task
from phytoscope.visualize.compare import describe_comparison
from phytoscope.visualize.compare_words import (
    find_place_metric,
    format_amount,
    format_span,
    format_value,
    name_winner,
    word_basis,
    word_counts,
    word_difference,
    word_summary,
)
from phytoscope.visualize.page import CSS_PX_PER_INCH, encode_address, render_page
from phytoscope.visualize.style import DPI
from phytoscope.visualize.text import format_number, prettify_classes
from phytoscope.visualize.words import METRICS, title_metric

DISAGREEMENTS_SHOWN: Final = 60
_TITLES: Final = {
    "class": "By class",
    "decile": "By size of the true value",
    "group": "Leaves and plants furthest apart",
}


def render_comparison(comparison: Comparison, figures: Mapping[str, Path]) -> str:
    """Renders one self-contained page.

    Args:
        comparison: What was found.
        figures: Name -> PNG file, as `save_figures` returns them.

    Returns:
        The page as HTML text; write it as UTF-8.

    Raises:
        ArtifactError: A figure's file cannot be read.
    """
    words = _name_classes(comparison)
    context = {
        "comparison": comparison,
        "title": f"{comparison.second_name} against {comparison.first_name}",
        "verdict": word_summary(comparison),
        "counts": word_counts(comparison),
        "basis": word_basis(comparison),
        "badge": "good" if comparison.get_metric(comparison.deciding).winner is not Winner.unclear else "open",
        "judgement": _word_judgement(comparison),
        "metrics": [_describe_metric(comparison, metric) for metric in comparison.metrics],
        "places": _describe_places(comparison, words),
        "place_metric": title_metric(find_place_metric(comparison).name),
        "disagreements": [
            {
                "sample_id": row.sample_id,
                "cells": [_show(answer, words, comparison.unit) for answer in (row.truth, row.first, row.second)],
                "winner": name_winner(comparison, row.winner) or format_number(None),
            }
            for row in comparison.disagreements[:DISAGREEMENTS_SHOWN]
        ],
        "figures": [_inline(name, path, comparison) for name, path in figures.items()],
        "level": f"{100 * comparison.confidence:.4g} %",
        "version": __version__,
    }
    return render_page("compare.html.j2", context, styles=("report.css", "trust.css"))


def _word_judgement(comparison: Comparison) -> str:
    winner = name_winner(comparison, comparison.get_metric(comparison.deciding).winner)
    return f"better: {winner}" if winner else "no difference can be told"


def _describe_metric(comparison: Comparison, metric: MetricDifference) -> dict[str, str]:
    return {
        "title": title_metric(metric.name),
        "meaning": METRICS[metric.name].meaning if metric.name in METRICS else "",
        "first": format_value(metric, metric.first),
        "second": format_value(metric, metric.second),
        "difference": format_amount(metric, metric.difference),
        "span": format_span(metric, metric.low, metric.high),
        "winner": name_winner(comparison, metric.winner) or "cannot be told",
        "sentence": word_difference(comparison, metric),
    }


def _describe_places(comparison: Comparison, words: Mapping[str, str]) -> list[dict[str, Any]]:
    metric = find_place_metric(comparison)
    kinds: dict[str, list[dict[str, str]]] = {}
    for place in comparison.places:
        kinds.setdefault(place.what, []).append(_describe_place(comparison, place, metric, words))
    return [{"title": _TITLES.get(what, f"By {what}"), "rows": rows} for what, rows in kinds.items()]


def _describe_place(
    comparison: Comparison, place: PlaceRow, metric: MetricDifference, words: Mapping[str, str]
) -> dict[str, str]:
    return {
        "name": words.get(place.name, place.name) if place.what == "class" else place.name,
        "n": f"{place.n:,}",
        "n_groups": f"{place.n_groups:,}",
        "first": format_value(metric, place.first),
        "second": format_value(metric, place.second),
        "span": format_span(metric, place.low, place.high),
        "wins": f"{place.first_wins:,} : {place.second_wins:,}",
        "winner": name_winner(comparison, place.winner) or format_number(None),
    }


def _name_classes(comparison: Comparison) -> dict[str, str]:
    if comparison.task != Task.classification:
        return {}
    names = [place.name for place in comparison.places if place.what == "class"]
    answers = {str(answer) for row in comparison.disagreements for answer in (row.truth, row.first, row.second)}
    return prettify_classes(sorted({*names, *answers}))


def _show(answer: str | float, words: Mapping[str, str], unit: str) -> str:
    if isinstance(answer, str):
        return words.get(answer, answer)
    return f"{format_number(answer)}\u00a0{unit}".strip()


def _inline(name: str, path: Path, comparison: Comparison) -> dict[str, str]:
    try:
        content = path.read_bytes()
        with Image.open(path) as picture:
            width, height = (round(CSS_PX_PER_INCH * pixels / DPI) for pixels in picture.size)
    except OSError as error:
        message = f"the figure {str(path)!r} cannot be read ({error}): compare again."
        raise ArtifactError(message) from error
    return {
        "name": name,
        "title": "Where one is better",
        "alt": describe_comparison(comparison),
        "source": encode_address(content, "png"),
        "width": str(width),
        "height": str(height),
        "reading": "Each line is a part of the photographs, its dot the difference and its bar the range in which the "
        "difference may lie. A bar that crosses 0 says that nothing can be told there. Coloured squares and diamonds "
        "mark differences that are larger than chance explains, although many parts were looked at.",
    }
