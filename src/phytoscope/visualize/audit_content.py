"""The part of the inspection page on what the data hold: classes or target, columns, and sheets of pictures."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from phytoscope.schema.audit import AuditReport, Breakdown, Correlation, TargetSummary
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, TARGET, Task
from phytoscope.visualize.audit_figures import FloatArray, plot_log_histogram, plot_target_histogram
from phytoscope.visualize.audit_pictures import Sheet, choose_by_class, choose_by_size
from phytoscope.visualize.audit_words import word_balance
from phytoscope.visualize.page import CSS_PX_PER_INCH, encode_address
from phytoscope.visualize.style import draw_svg
from phytoscope.visualize.text import clean_text, format_number, format_percent, format_quantity

CLASSES_SHOWN: Final = 100
ROWS_SHOWN: Final = 12
COLUMNS_SHOWN: Final = 40
_QUANTILES = ("Smallest", "5 %", "25 %", "Median", "75 %", "95 %", "Largest")


def describe_content(report: AuditReport, manifest: pd.DataFrame, words: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows of classes, target, columns and example pictures.

    Args:
        report: The numbers.
        manifest: One row per image.
        words: Class name -> its words.
    """
    missing = [row for row in report.missing if row.missing > 0]
    return {
        "balance": word_balance(report),
        "classes": _describe_classes(report, words),
        "classes_more": max(0, len(report.labels) - CLASSES_SHOWN),
        "target": None if report.target is None else _describe_target(report.target, report.unit),
        "figures": _draw_target(report, manifest),
        "correlations": [_describe_correlation(row) for row in report.correlations[:COLUMNS_SHOWN]],
        "correlations_more": max(0, len(report.correlations) - COLUMNS_SHOWN),
        "breakdowns": [_describe_breakdown(part, report, words) for part in report.breakdowns if part.rows],
        "missing": [
            {"column": row.column, "share": format_percent(row.missing), "width": f"{100 * row.missing:.2f}"}
            for row in sorted(missing, key=lambda row: (-row.missing, row.column))[:COLUMNS_SHOWN]
        ],
        "missing_more": max(0, len(missing) - COLUMNS_SHOWN),
        "complete": len(report.missing) - len(missing),
        "sheets": _choose_sheets(report, manifest, words),
    }


def _describe_classes(report: AuditReport, words: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = sorted(report.labels, key=lambda row: (-row.images, row.label))[:CLASSES_SHOWN]
    most_images = max((row.images for row in report.labels), default=1)
    most_groups = max((row.groups for row in report.labels), default=1)
    return [
        {
            "name": words[row.label],
            "raw": row.label,
            "images": f"{row.images:,}",
            "groups": f"{row.groups:,}",
            "n_images": row.images,
            "n_groups": row.groups,
            "images_width": f"{100 * row.images / max(1, most_images):.1f}",
            "groups_width": f"{100 * row.groups / max(1, most_groups):.1f}",
            "too_few": row.too_few_groups,
        }
        for row in rows
    ]


def _describe_target(target: TargetSummary, unit: str) -> dict[str, Any]:
    texts = [format_quantity(value, unit) for value in target.quantiles]
    # A report from elsewhere may hold other quantiles; then only their order is known.
    heads = _QUANTILES if len(texts) == len(_QUANTILES) else tuple(str(i + 1) for i in range(len(texts)))
    return {
        "quantiles": list(zip(heads, texts, strict=True)),
        "facts": [
            ("Images", f"{target.n:,}"),
            ("Groups", f"{target.n_groups:,}"),
            ("Mean", format_quantity(target.mean, unit)),
            ("Standard deviation", format_quantity(target.sd, unit)),
            ("Skewness", format_number(target.skewness)),
            ("Skewness after the logarithm", format_number(target.skewness_log1p)),
            ("Suggested transform", target.suggested_transform),
        ],
        "why": _as_sentence(target.why),
    }


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) or text == "" else ".")


def _draw_target(report: AuditReport, manifest: pd.DataFrame) -> list[dict[str, str]]:
    if report.task != Task.regression or TARGET not in manifest.columns:
        return []
    values: FloatArray = manifest[TARGET].to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    name = report.target_name
    drawn = [(plot_target_histogram(values, target_name=name, unit=report.unit), f"Histogram of {name}, as given.")]
    if values.min() > -max(float(np.median(values)), 0.0):
        drawn.append((plot_log_histogram(values, target_name=name), f"Histogram of {name} after log(1 + x / median)."))
    return [_inline(figure, alt) for figure, alt in drawn]


def _inline(figure: Figure, alt: str) -> dict[str, str]:
    width, height = (str(round(side * CSS_PX_PER_INCH)) for side in figure.get_size_inches())
    return {"source": encode_address(draw_svg(figure), "svg+xml"), "alt": alt, "width": width, "height": height}


def _describe_correlation(row: Correlation) -> dict[str, Any]:
    strength = row.spearman if row.spearman is not None else row.pearson
    share = 0.0 if strength is None or not math.isfinite(strength) else max(-1.0, min(1.0, strength))
    return {
        "column": row.column,
        "pearson": format_number(row.pearson, 2),
        "spearman": format_number(row.spearman, 2),
        "sort": ["-2" if value is None else f"{value:.4f}" for value in (row.pearson, row.spearman)],
        "n": f"{row.n:,}",
        "missing": format_percent(row.missing),
        "left": f"{50 + 50 * min(0.0, share):.2f}",
        "width": f"{50 * abs(share):.2f}",
        "negative": share < 0,
    }


def _describe_breakdown(part: Breakdown, report: AuditReport, words: Mapping[str, str]) -> dict[str, Any]:
    is_regression = report.task == Task.regression
    key = "mean" if is_regression else "share"
    strengths = [_number(row.get(key)) for row in part.rows]
    top = max((value for value in strengths if value is not None), default=0.0) if is_regression else 1.0
    rows = []
    for row, strength in zip(part.rows, strengths, strict=True):
        width = None if strength is None or top <= 0 else f"{100 * max(0.0, min(1.0, strength / top)):.1f}"
        counts = [_format_count(row.get(name)) for name in ("images", "groups")]
        if is_regression:
            texts = [format_quantity(_number(row.get(name)), report.unit) for name in ("mean", "median", "sd")]
        else:
            label = str(row.get("label", ""))
            texts = [format_percent(strength), words.get(label, label)]
        rows.append({"value": _format_value(row.get("value")), "counts": counts, "texts": texts, "width": width})
    heads = ["Mean", "Median", "Standard deviation"] if is_regression else ["Share", "Most frequent class"]
    return {
        "column": part.column,
        "heads": heads,
        "rows": rows[:ROWS_SHOWN],
        "rest": rows[ROWS_SHOWN:COLUMNS_SHOWN],
        "more": max(0, len(rows) - COLUMNS_SHOWN),
    }


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float | np.number) and math.isfinite(float(value))
    return float(value) if is_number else None


def _format_count(value: Any) -> str:
    number = _number(value)
    return "\u2013" if number is None else f"{number:,.0f}"


def _format_value(value: Any) -> str:
    if value is None or value == "":
        return "(empty)"
    number = _number(value) if not isinstance(value, bool) else None
    if number is None:
        return clean_text(str(value))
    # Whole numbers may be years or codes: they get neither decimals nor separators.
    return f"{number:.0f}" if number.is_integer() else format_number(number, 4)


def _choose_sheets(report: AuditReport, manifest: pd.DataFrame, words: Mapping[str, str]) -> list[Sheet]:
    known = set(manifest.columns)
    if report.task == Task.classification and {SAMPLE_ID, PATH, LABEL, GROUP_ID} <= known:
        labels = [row.label for row in sorted(report.labels, key=lambda row: (-row.images, row.label))]
        return [Sheet(words[sheet.title], sheet.tiles) for sheet in choose_by_class(manifest, labels)]
    if report.task == Task.regression and {SAMPLE_ID, PATH, TARGET} <= known:
        tiles = choose_by_size(manifest, report.unit)
        return [Sheet(f"From the smallest to the largest {report.target_name}", tiles)] if tiles else []
    return []
