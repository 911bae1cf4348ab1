"""Laboratory, field and not a leaf side by side: one card and one table for each set of photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from phytoscope.schema.external import ExternalExample, ExternalReport
from phytoscope.schema.metric import count_hundred
from phytoscope.schema.report import EvaluationReport, MetricValue
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import TrustReport, VerdictReport
from phytoscope.schema.verdict import Verdict
from phytoscope.visualize.gallery import GALLERY_DPI, draw_tile, read_thumbnail
from phytoscope.visualize.style import GREEN, GREY, VERMILION, paper_style
from phytoscope.visualize.text import (
    figure_text,
    format_count,
    format_percent,
    format_quantity,
    prettify_class,
    prettify_classes,
    shorten_middle,
)
from phytoscope.visualize.trust_words import (
    VERDICT_WORDS,
    in_brackets,
    word_answerable,
    word_hundred,
    word_quantity_range,
    word_range,
)
from phytoscope.visualize.words import format_metric, format_span, title_metric

HOME: Final = "Photographs like those it learned from"
"""What the page calls the split it speaks of, beside further sets."""
UNKNOWN_FIELD: Final = (
    "Nothing is known about other places, cameras or seasons: all these photographs come from the same collection as "
    "those that the model learned from. Models often lose most of their skill in the field. To find out, give a folder "
    "of your own photographs from there: evaluate.external=[field=FOLDER]."
)
_MAIN: Final = {Task.classification: "accuracy", Task.regression: "mae"}
_SHOWN: Final = {
    Task.classification: ("accuracy", "balanced_accuracy", "macro_f1"),
    Task.regression: ("mae", "rmse", "bias", "r2"),
}


def errors_are_shares(task: Task, verdicts: VerdictReport) -> bool:
    """Whether errors are shares of wrong answers; for numbers only where a tolerance says what is wrong."""
    return task is Task.classification or verdicts.wanted_error is not None


def make_cards(report: EvaluationReport, split: str) -> list[dict[str, Any]]:
    """One card for the photographs of a split and one for each further set.

    Args:
        report: The numbers.
        split: Which of its splits to speak of.
    """
    part = report.splits[split]
    metric = next((metric for metric in part.metrics if metric.name == _MAIN[report.task]), None)
    about = _count_images(part.n, part.n_groups)
    cards = [_make_card(report.task, HOME, about, metric, report.trust, kind="home")]
    for further in report.external:
        labelled = further.n_labelled if further.n_labelled else further.n
        groups = further.n_groups if further.n_labelled else further.n
        metric = further.metric(_MAIN[report.task]) if further.n_labelled else None
        card = _make_card(
            report.task, further.name, _count_images(labelled, groups), metric, further.trust, kind="away"
        )
        if metric is None and card["verdicts"]:
            card["notes"].insert(0, _word_unlabelled(further))
        card["notes"] += _note_restricted(report.task, further)
        cards.append(card)
    return cards


def _count_images(n: int, n_groups: int) -> str:
    text = format_count(n, "photograph")
    return f"{text} of {format_count(n_groups, 'leaf or plant', 'leaves or plants')}" if 0 < n_groups < n else text


def _make_card(
    task: Task, title: str, about: str, metric: MetricValue | None, trust: TrustReport | None, *, kind: str
) -> dict[str, Any]:
    card: dict[str, Any] = {"title": title, "about": about, "kind": kind, "notes": [], "verdicts": []}
    if metric is not None and metric.value is not None:
        if task is Task.classification:
            card |= {"number": word_hundred(metric.value), "what": "named rightly"}
            card["range"] = word_range(metric.low, metric.high)
        else:
            card |= {"number": format_quantity(metric.value, metric.unit), "what": "off on average"}
            card["range"] = word_quantity_range(metric)
    elif trust is not None and trust.verdicts.shares:
        refused = 1.0 - trust.verdicts.shares.get(Verdict.accept.value, 0.0)
        card |= {"number": word_hundred(refused), "what": "not accepted", "range": ""}
    else:
        card |= {"number": "", "what": "not measured", "range": ""}
    if trust is not None and trust.verdicts.shares:
        card["verdicts"] = _list_shares(trust.verdicts)
        card["notes"] += _note_accepted(task, trust.verdicts)
    return card


def _list_shares(verdicts: VerdictReport) -> list[dict[str, str]]:
    return [
        {
            "verdict": verdict.value,
            "title": VERDICT_WORDS[verdict][0],
            "count": count_hundred(verdicts.shares.get(verdict.value, 0.0)),
            "width": f"{100 * verdicts.shares.get(verdict.value, 0.0):.2f}",
        }
        for verdict in Verdict
    ]


def _word_unlabelled(further: ExternalReport) -> str:
    if further.foreign and sum(further.foreign.values()) >= further.n:
        return "None of them shows a class that the model knows: every answer would be wrong."
    return "The truth is not known for these photographs; only what became of them."


def _note_accepted(task: Task, verdicts: VerdictReport) -> list[str]:
    error = verdicts.errors.get(Verdict.accept.value)
    if error is None or not errors_are_shares(task, verdicts):
        return []
    low, high = verdicts.accepted_low, verdicts.accepted_high
    span = "" if low is None or high is None else in_brackets(word_range(1.0 - high, 1.0 - low))
    return [f"Of the accepted answers {word_hundred(1.0 - error)} are right{span}."]


def _note_restricted(task: Task, further: ExternalReport) -> list[str]:
    metric = further.metric(_MAIN[task], restricted=True)
    if metric is None or metric.value is None:
        return []
    return [f"With only the classes of this set allowed: {word_hundred(metric.value)}."]


def list_external(report: EvaluationReport) -> list[dict[str, Any]]:
    """What the page shows of each further set.

    Args:
        report: The numbers.
    """
    return [_describe_set(report, further) for further in report.external]


def _describe_set(report: EvaluationReport, further: ExternalReport) -> dict[str, Any]:
    free = {metric.name: metric for metric in further.metrics}
    only = {metric.name: metric for metric in further.metrics_restricted}
    rows = [
        {
            "title": title_metric(name),
            "free": format_metric(free[name]),
            "span": format_span(free[name]),
            "only": format_metric(only[name]) if name in only else "\u2013",
        }
        for name in _SHOWN[report.task]
        if name in free
    ]
    words = prettify_classes([row.name for row in further.classes])
    classes = [
        {
            "name": words[row.name],
            "n": f"{row.n:,}",
            "cells": [
                _format_recall(row.recall, row.recall_low, row.recall_high),
                *([format_percent(row.recall_restricted, 0)] if only else []),
                format_percent(row.accepted, 0),
            ],
        }
        for row in further.classes
    ]
    return {
        "name": further.name,
        "source": further.source,
        "sentences": _word_set(further),
        "rows": rows,
        "has_only": bool(only),
        "classes": classes,
        "answerable": [] if further.trust is None else word_answerable(further.trust.verdicts),
        "targets": _list_targets(further),
        "remarks": further.remarks,
    }


def _format_recall(value: float | None, low: float | None, high: float | None) -> str:
    span = "" if low is None or high is None else f" ({100 * low:.0f} to {100 * high:.0f})"
    return format_percent(value, 0) + span


def _word_set(further: ExternalReport) -> list[str]:
    sentences = [f"{format_count(further.n, 'photograph was', 'photographs were')} answered."]
    if further.n_unreadable:
        sentences.append(f"{format_count(further.n_unreadable, 'entry', 'entries')} could not be used.")
    if further.n_labelled == 0:
        sentences.append(_word_unlabelled(further))
    elif further.n_labelled < further.n:
        sentences.append(f"The numbers are about the {further.n_labelled:,} whose truth is known.")
    if 0 < sum(further.foreign.values()) < further.n:
        names = ", ".join(f"{prettify_class(name)} ({count:,})" for name, count in list(further.foreign.items())[:6])
        rest = len(further.foreign) - 6
        names += f" and {rest} more" if rest > 0 else ""
        text = f"Classes that the model does not know, where every answer is wrong: {names}."
        if further.foreign_verdicts:
            text += f" Of these it accepts {word_hundred(further.foreign_verdicts.get(Verdict.accept.value, 0.0))}."
        sentences.append(text)
    return sentences


def _list_targets(further: ExternalReport) -> list[dict[str, str]]:
    rows = []
    for name, metrics in further.more_targets.items():
        values = {metric.name: metric for metric in metrics}
        cells = [f"{title_metric(key)} {format_metric(values[key])}" for key in ("mae", "r2") if key in values]
        rows.append({"name": name, "text": ", ".join(cells)})
    return rows


@paper_style()
def plot_external_gallery(sets: Sequence[ExternalReport], *, columns: int = 4, lines: int = 2) -> Figure:
    """Shows photographs of further sets with their answers, wrong and accepted ones first.

    Args:
        sets: The sets; those without examples are left out.
        columns: Pictures in one line.
        lines: Most lines a set.
    """
    shown = [(further, further.examples[: columns * lines]) for further in sets if further.examples]
    tile, gap, caption, title = 1.6, 0.14, 0.62, 0.3
    heights = [title + -(-len(rows) // columns) * (tile + caption) for _, rows in shown]
    width_in, height_in = columns * (tile + gap) + gap, max(1.0, sum(heights) + 0.1)
    fig = Figure(figsize=(width_in, height_in), dpi=GALLERY_DPI)
    top = height_in - 0.06
    for (further, rows), height in zip(shown, heights, strict=True):
        heading = figure_text(further.name, 60)
        fig.text(gap / width_in, top / height_in, heading, va="top", fontweight="bold", fontsize=9)
        for number, example in enumerate(rows):
            line, column = divmod(number, columns)
            left, bottom = gap + column * (tile + gap), top - title - line * (tile + caption) - tile
            ax = fig.add_axes((left / width_in, bottom / height_in, tile / width_in, tile / height_in))
            colour = {True: GREEN, False: VERMILION, None: GREY}[example.right]
            draw_tile(ax, read_thumbnail(Path(example.path)), _caption(example), colour)
        top -= height
    return fig


def _caption(example: ExternalExample) -> str:
    answer = shorten_middle(prettify_class(example.answer), 26)
    sure = "" if example.probability is None else f", {100 * example.probability:.0f} % sure"
    mark = {True: "\u2713 ", False: "\u2717 ", None: ""}[example.right]
    truth = f"truly {shorten_middle(prettify_class(example.truth), 22)}" if example.truth else "truth not known"
    lines = [mark + answer, truth, example.verdict + sure if example.verdict else sure.removeprefix(", ")]
    return "\n".join(figure_text(line, 34) for line in lines)
