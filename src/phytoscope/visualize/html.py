"""The report as one HTML page that opens without a network: everything it shows stands inside it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from phytoscope.errors import ArtifactError
from phytoscope.evaluate.report import main_metric
from phytoscope.schema.report import EvaluationReport, MetricValue, SplitReport
from phytoscope.schema.table import GROUP_ID, LABEL, SPLIT, TARGET, Task
from phytoscope.visualize.data import SMOOTHED, SPLIT_WORDS, find_kept_row, find_metric_column
from phytoscope.visualize.figures import add_splits, shown_split
from phytoscope.visualize.more_targets import list_more_targets
from phytoscope.visualize.page import CSS_PX_PER_INCH, encode_address, render_page
from phytoscope.visualize.text import (
    format_count,
    format_number,
    format_percent,
    format_quantity,
    prettify_classes,
)
from phytoscope.visualize.verdict import word_judgement, word_verdict, word_weakest
from phytoscope.visualize.words import (
    BASELINES,
    CHOOSING,
    FIGURES,
    METRICS,
    find_figure_words,
    format_metric,
    title_metric,
)

REJECTED_ROWS_SHOWN = 20
_MAX_WIDTH_PX = 2000
_DPI = 300
_TILES = {
    Task.classification: ("accuracy", "macro_f1", "top3_accuracy", "balanced_accuracy"),
    Task.regression: ("r2", "rmse", "mae", "mape", "bias"),
}
_MAX_TILES = 4


# Many arguments, each of them named at the call: one for each artefact that the page shows.
def render_report(
    report: EvaluationReport,
    *,
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    manifest: pd.DataFrame,
    rejected: pd.DataFrame,
    figures: Mapping[str, Path],
    facts: Mapping[str, str],
) -> str:
    """Renders one self-contained page: figures, styles and the script for sorting tables are part of it.

    Every text from the user (file names, class names, reasons) is escaped, and a content security policy keeps the
    page from loading or running anything else.

    Args:
        report: The numbers.
        predictions: Table 7, from which the report was made.
        history: `history.csv`; may be empty.
        manifest: One row per image with `group_id` and `label` or `target`. A `split` column is used when there is
            one, else images without a prediction count as training images.
        rejected: `rejected.csv`; may be empty.
        figures: Name -> PNG or SVG file, as `save_figures` returns them.
        facts: Further provenance, for example settings and the command line: title -> text.

    Returns:
        The page as HTML text; write it as UTF-8.

    Raises:
        ArtifactError: A figure's file is missing or cannot be read, or the report holds no split.
    """
    if not report.splits:
        message = "the report holds no split: evaluate a run that has validation, calibration or test images."
        raise ArtifactError(message)
    split = shown_split(report)
    part = report.splits[split]
    context = {
        "report": report,
        "part": part,
        "split_words": SPLIT_WORDS[split],
        "is_classification": report.task == Task.classification,
        "verdict": word_verdict(report, split),
        "judgement": word_judgement(report),
        "badge": {True: "good", False: "bad", None: "open"}[report.beats_baseline],
        "weakest": word_weakest(part),
        "tiles": _make_tiles(report, part),
        "comparison": _compare_models(part),
        "by_split": _compare_splits(report),
        "classes": _list_classes(report, part),
        "confusions": _list_confusions(report, part),
        "deciles": _list_deciles(report, part),
        "data": _describe_data(report, add_splits(manifest, predictions)),
        "training": _describe_training(report, history),
        "rejected": _describe_rejected(rejected),
        "figures": _group_figures(figures, [target.name for target in part.more_targets]),
        "more_targets": list_more_targets(part),
        "provenance": _list_provenance(report, facts),
    }
    return render_page("report.html.j2", context)


def _make_tiles(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
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
        tiles.append({"title": title, "value": value, "meaning": meaning, "others": others})
    return tiles


def _compare_models(part: SplitReport) -> dict[str, Any]:
    """One line per metric, one column per model, the best of each line marked."""
    models = [("This model", part.metrics)]
    models += [(BASELINES.get(baseline.name, baseline.name), baseline.metrics) for baseline in part.baselines]
    rows = []
    for position, metric in enumerate(part.metrics):
        column = [metrics[position] for _, metrics in models]
        best = _find_best(column)
        cells = [{"text": format_metric(value), "best": index in best} for index, value in enumerate(column)]
        meaning = METRICS[metric.name].meaning if metric.name in METRICS else ""
        rows.append({"title": title_metric(metric.name), "meaning": meaning, "cells": cells})
    notes = [f"{BASELINES.get(baseline.name, baseline.name)}: {baseline.description}." for baseline in part.baselines]
    for name, words in prettify_classes([row.name for row in part.classes]).items():
        notes = [note.replace(repr(name), f"\u201c{words}\u201d") for note in notes]
    return {"models": [name for name, _ in models], "rows": rows, "notes": notes}


def _find_best(column: list[MetricValue]) -> set[int]:
    known = {index: metric.value for index, metric in enumerate(column) if metric.value is not None}
    if len(known) < 2:
        return set()
    # The best bias is the one closest to 0, on either side.
    score = {i: abs(value) if column[i].name == "bias" else value for i, value in known.items()}
    target = max(score.values()) if column[0].higher_is_better else min(score.values())
    return {i for i, value in score.items() if value == target}


def _compare_splits(report: EvaluationReport) -> dict[str, Any]:
    parts = list(report.splits.items())
    rows = [
        {"title": title_metric(metric.name), "cells": [format_metric(part.metrics[i]) for _, part in parts]}
        for i, metric in enumerate(parts[0][1].metrics)
    ]
    heads = [f"{SPLIT_WORDS[name]} ({format_count(part.n, 'image')})" for name, part in parts]
    return {"heads": heads, "rows": rows}


def _list_classes(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
    words = prettify_classes(report.class_names)
    return [
        {
            "name": words[row.name],
            "raw": row.name,
            "cells": [(value, format_percent(value)) for value in (row.precision, row.recall, row.f1)],
            "support": row.support,
        }
        for row in part.classes
    ]


def _list_confusions(report: EvaluationReport, part: SplitReport) -> list[dict[str, Any]]:
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


def _list_deciles(report: EvaluationReport, part: SplitReport) -> list[list[str]]:
    return [
        [
            str(row.decile),
            f"{format_number(row.lower)} to {format_quantity(row.upper, report.unit)}",
            str(row.n),
            format_quantity(row.mae, report.unit),
            format_quantity(row.bias, report.unit),
        ]
        for row in part.deciles
    ]


def _describe_data(report: EvaluationReport, table: pd.DataFrame) -> dict[str, Any]:
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


def _describe_training(report: EvaluationReport, history: pd.DataFrame) -> str | None:
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


def _describe_rejected(rejected: pd.DataFrame) -> dict[str, Any]:
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


def _list_provenance(report: EvaluationReport, facts: Mapping[str, str]) -> list[tuple[str, str]]:
    known = [
        ("Run", report.name),
        ("Model", report.model_id),
        ("Content hash of the data", report.data_hash),
        ("Content hash of the split", report.split_hash),
    ]
    return [*known, *((str(title), str(text)) for title, text in facts.items())]


def _group_figures(figures: Mapping[str, Path], more_targets: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Figures by section of the page; one the page has no words for goes to the results under its own name."""
    groups: dict[str, list[dict[str, str]]] = {"results": [], "mistakes": [], "data": [], "training": []}
    # The page has an order of its own, whatever order the files come in.
    for name in [*(name for name in FIGURES if name in figures), *(name for name in figures if name not in FIGURES)]:
        words = find_figure_words(name, more_targets)
        source, width, height = _inline_figure(figures[name])
        groups[words.group].append(
            {
                "name": name,
                "source": source,
                "title": words.title,
                "alt": words.alt,
                "reading": words.reading,
                "width": width,
                "height": height,
            }
        )
    return groups


def _inline_figure(path: Path) -> tuple[str, str, str]:
    """The picture as a data address, and its size on screen in pixels as texts (empty for vector graphics)."""
    try:
        if path.suffix.lower() == ".svg":
            return encode_address(path.read_bytes(), "svg+xml"), "", ""
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            dpi = float(picture.info.get("dpi", (_DPI, _DPI))[0])
    except OSError as error:
        message = f"the figure {str(path)!r} cannot be read ({error}): evaluate the run again."
        raise ArtifactError(message) from error
    # The files keep the full resolution for print; the page stays light enough to send by mail.
    width, height = small.size
    small.thumbnail((_MAX_WIDTH_PX, 2 * _MAX_WIDTH_PX))
    content = io.BytesIO()
    kind = "jpeg" if path.stem.endswith("gallery") else "png"
    small.save(content, kind, quality=86, optimize=True)
    scale = CSS_PX_PER_INCH / max(dpi, 1.0)
    return encode_address(content.getvalue(), kind), str(round(scale * width)), str(round(scale * height))
