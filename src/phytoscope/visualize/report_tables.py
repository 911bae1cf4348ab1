"""The tables of the report's page: numbers as texts, row by row, with their intervals where they are known."""

import dataclasses
from typing import Any, Final

import pandas as pd

from phytoscope.evaluate.report import main_metric
from phytoscope.schema.report import EvaluationReport, MetricValue, SplitReport
from phytoscope.schema.table import GROUP_ID, LABEL, SPLIT, TARGET, Task
from phytoscope.visualize.data import SMOOTHED, SPLIT_WORDS, find_kept_row, find_metric_column
from phytoscope.visualize.text import (
    format_count,
    format_number,
    format_percent,
    format_quantity,
    prettify_classes,
)
from phytoscope.visualize.words import (
    BASELINES,
    CHOOSING,
    METRICS,
    format_metric,
    format_span,
    title_metric,
)

REJECTED_ROWS_SHOWN: Final = 20
_TILES: Final = {
    Task.classification: ("accuracy", "macro_f1", "top3_accuracy", "balanced_accuracy"),
    Task.regression: ("r2", "rmse", "mae", "mape", "bias"),
}
_MAX_TILES: Final = 4


def make_tiles(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
    """The few numbers in large type, each with its interval and with the baselines' numbers beneath.

    Args:
        report: The numbers.
        part: The split that the page shows, as in the other functions here.
    """
    values = {metric.name: metric for metric in part.metrics}
    chosen = [values[name] for name in _TILES[report.task] if name in values and values[name].value is not None]
    tiles: list[dict[str, Any]] = []
    for metric in chosen[:_MAX_TILES]:
        others = [
            f"{BASELINES.get(baseline.name, baseline.name)}: {format_metric(other)}"
            for baseline in part.baselines
            for other in baseline.metrics
            if other.name == metric.name and other.value is not None
        ]
        meaning = METRICS[metric.name].meaning
        title, value = title_metric(metric.name), format_metric(metric)
        span = format_span(metric)
        tiles.append({"title": title, "value": value, "span": span, "meaning": meaning, "others": others})
    return tiles


def compare_models(part: SplitReport) -> dict[str, Any]:
    """One line per metric, one column per model, the best of each line marked."""
    models = [("This model", part.metrics)]
    models += [(BASELINES.get(baseline.name, baseline.name), baseline.metrics) for baseline in part.baselines]
    rows = []
    for metric in part.metrics:
        column = [_find_metric(metrics, metric) for _, metrics in models]
        best = _find_best(column)
        cells = [
            {"text": format_metric(value), "span": format_span(value), "best": index in best}
            for index, value in enumerate(column)
        ]
        meaning = METRICS[metric.name].meaning if metric.name in METRICS else ""
        rows.append({"title": title_metric(metric.name), "meaning": meaning, "cells": cells})
    notes = [f"{BASELINES.get(baseline.name, baseline.name)}: {baseline.description}." for baseline in part.baselines]
    for name, words in prettify_classes([row.name for row in part.classes]).items():
        notes = [note.replace(repr(name), f"\u201c{words}\u201d") for note in notes]
    return {"models": [name for name, _ in models], "rows": rows, "notes": notes}


def _find_metric(metrics: list[MetricValue], like: MetricValue) -> MetricValue:
    return next(
        (metric for metric in metrics if metric.name == like.name), dataclasses.replace(like, value=None, low=None)
    )


def _find_best(column: list[MetricValue]) -> set[int]:
    known = {index: metric.value for index, metric in enumerate(column) if metric.value is not None}
    if len(known) < 2:
        return set()
    # The best bias is the one closest to 0, on either side.
    score = {i: abs(value) if column[i].name == "bias" else value for i, value in known.items()}
    target = max(score.values()) if column[0].higher_is_better else min(score.values())
    return {i for i, value in score.items() if value == target}


def compare_splits(report: EvaluationReport) -> dict[str, Any]:
    """Validation, calibration and test side by side: one line a metric, one column a split."""
    parts = list(report.splits.items())
    rows = [
        {
            "title": title_metric(metric.name),
            "cells": [format_metric(_find_metric(part.metrics, metric)) for _, part in parts],
        }
        for metric in parts[0][1].metrics
    ]
    heads = [f"{SPLIT_WORDS[name]} ({format_count(part.n, 'image')})" for name, part in parts]
    return {"heads": heads, "rows": rows}


def list_classes(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
    """One line a class: images, precision, recall and F1 with their intervals."""
    words = prettify_classes(report.class_names)
    rows = []
    for row in part.classes:
        numbers = (
            (row.precision, row.precision_low, row.precision_high),
            (row.recall, row.recall_low, row.recall_high),
            (row.f1, row.f1_low, row.f1_high),
        )
        cells = [
            {"value": value, "text": format_percent(value), "span": _format_ends(low, high)}
            for value, low, high in numbers
        ]
        rows.append({"name": words[row.name], "raw": row.name, "cells": cells, "support": row.support})
    return rows


def _format_ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}"


def list_confusions(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
    """One line a pair of classes that were mixed up, with the first of the images."""
    words = prettify_classes(report.class_names)
    return [
        {
            "true": words[pair.true],
            "predicted": words[pair.predicted],
            "count": pair.count,
            "share": format_percent(pair.share_of_true, 0),
            "first": pair.sample_ids[:3],
            "rest": max(0, len(pair.sample_ids) - 3),
        }
        for pair in part.top_confusions
    ]


def list_deciles(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
    """One line a slice of the true value: images, mean absolute error and bias with their intervals."""
    unit = report.unit
    return [
        {
            "decile": str(row.decile),
            "range": f"{format_number(row.lower)} to {format_quantity(row.upper, unit)}",
            "n": str(row.n),
            "cells": [
                (format_quantity(row.mae, unit), _format_quantity_ends(row.mae_low, row.mae_high, unit)),
                (format_quantity(row.bias, unit), _format_quantity_ends(row.bias_low, row.bias_high, unit)),
            ],
        }
        for row in part.deciles
    ]


def _format_quantity_ends(low: float | None, high: float | None, unit: str) -> str:
    return "" if low is None or high is None else f"{format_number(low)} to {format_quantity(high, unit)}"


def describe_data(report: EvaluationReport, table: pd.DataFrame) -> dict[str, Any]:
    """Heads and rows of the table of splits.

    Args:
        report: The numbers.
        table: One row per image with `split`, `group_id` and `label` or `target`.
    """
    is_classification = report.task == Task.classification
    heads = ["Split", "Images", "Groups", *(["Classes"] if is_classification else ["Smallest", "Median", "Largest"])]
    rows = []
    for split, words in SPLIT_WORDS.items():
        part = table.loc[table[SPLIT] == split]
        if part.empty:
            continue
        if is_classification:
            more = [f"{part[LABEL].nunique()} of {len(report.class_names)}"]
        else:
            known = part[TARGET]
            more = [format_quantity(float(value), report.unit) for value in (known.min(), known.median(), known.max())]
        rows.append([words, f"{len(part):,}", f"{part[GROUP_ID].nunique():,}", *more])
    return {"heads": heads, "rows": rows}


def describe_training(report: EvaluationReport, history: pd.DataFrame) -> str | None:
    """How long the model was trained, and which epoch was kept; None where that is not known."""
    if history.empty or "epoch" not in history.columns:
        return None
    metric, higher = main_metric(report.task)
    n_epochs = format_count(int(history["epoch"].nunique()), "epoch")
    row = find_kept_row(history, metric, higher_is_better=higher)
    if row is None:
        return f"The model was trained for {n_epochs}."
    # The history counts from 0, people from 1.
    epoch = int(history["epoch"].iloc[row]) + 1
    text = f"The model was trained for {n_epochs}; epoch {epoch} was kept, "
    if SMOOTHED in history.columns:
        text += f"the one with the lowest mean {CHOOSING[report.task]} over the last five epochs, "
    else:
        text += "the best "
    text += "on the validation images"
    column = find_metric_column(history, metric)
    if column is None or pd.isna(history[column].iloc[row]):
        return f"{text}."
    unit = "" if report.task == Task.classification else report.unit
    value = format_metric(MetricValue(metric, float(history[column].iloc[row]), unit, higher))
    return f"{text} ({title_metric(metric)} of this epoch: {value})."


def describe_rejected(rejected: pd.DataFrame) -> dict[str, Any]:
    """Reasons, heads and first rows of the table of rejected rows."""
    if rejected.empty:
        return {"n": 0, "reasons": [], "heads": [], "rows": [], "more": 0}
    reasons = [(str(reason), int(count)) for reason, count in rejected["reason"].value_counts().items()]
    columns = [name for name in rejected.columns if rejected[name].notna().any() and (rejected[name] != "").any()]
    shown = rejected[columns].head(REJECTED_ROWS_SHOWN)
    rows = [["" if pd.isna(value) else _format_cell(value) for value in row] for row in shown.itertuples(index=False)]
    heads = [str(name).replace("_", " ") for name in columns]
    more = len(rejected) - len(rows)
    return {"n": len(rejected), "reasons": reasons, "heads": heads, "rows": rows, "more": more}


def _format_cell(value: Any) -> str:
    # A column of row numbers with gaps arrives as floats.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
