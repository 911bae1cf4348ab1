"""The part of the page on belief: probabilities, sets or intervals, verdicts, as the template shows them."""

from typing import Any, Final

from phytoscope.schema.explanation import ExplanationReport
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.robustness import RobustnessReport
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import CalibrationReport, CoverageRow, IntervalReport, SetReport, VerdictReport
from phytoscope.schema.verdict import REASON_WORDS, Reason, Verdict
from phytoscope.visualize.coverage import is_broken, name_rows
from phytoscope.visualize.explanations import describe_explanations
from phytoscope.visualize.external import errors_are_shares
from phytoscope.visualize.text import format_count, format_number, format_percent, format_quantity
from phytoscope.visualize.trust_words import (
    REASON_TITLES,
    VERDICT_WORDS,
    word_answerable,
    word_calibration,
    word_coverage,
    word_hundred,
    word_verdicts,
)

_CALIBRATION_TITLES: Final = {
    "ece": ("Calibration error", "Mean distance between how sure and how often right, in points of a hundred."),
    "brier": ("Brier score", "Squared error of the probabilities; 0 is perfect."),
    "nll": ("Log loss", "Punishes confident mistakes; 0 is perfect."),
}


def describe_trust(report: EvaluationReport) -> dict[str, Any] | None:
    """What the page shows on whether the answers can be believed; None where that was not measured.

    Args:
        report: The numbers; `trust` is about the split that the page shows.
    """
    trust = report.trust
    if trust is None:
        return None
    is_share = errors_are_shares(report.task, trust.verdicts)
    entries = [trust.sets] if trust.sets is not None else list(trust.intervals)
    return {
        "verdicts": describe_verdicts(trust.verdicts, unit=report.unit, is_share=is_share),
        "calibration": None if trust.calibration is None else _describe_calibration(trust.calibration),
        "coverage": [_describe_coverage(entry) for entry in entries],
        "is_sets": trust.sets is not None,
        "remarks": [remark[:1].upper() + remark[1:] for remark in trust.remarks],
    }


def describe_verdicts(verdicts: VerdictReport, *, unit: str, is_share: bool) -> dict[str, Any] | None:
    """What happens to the photographs and why; None where nothing was judged.

    Args:
        verdicts: The numbers.
        unit: Unit of the target; empty for classes.
        is_share: Whether errors are shares of wrong answers.
    """
    sentences = word_verdicts(verdicts, unit=unit, is_share=is_share)
    if not sentences:
        return None
    kinds = [
        {
            "verdict": verdict.value,
            "title": VERDICT_WORDS[verdict][0],
            "meaning": VERDICT_WORDS[verdict][1],
            "share": word_hundred(verdicts.shares.get(verdict.value, 0.0)),
            "error": _format_error(verdicts.errors.get(verdict.value), unit, is_share=is_share),
        }
        for verdict in Verdict
    ]
    return {
        "sentences": sentences,
        "kinds": kinds,
        "error_title": "Wrong answers" if is_share else "Mean absolute error",
        "reasons": _list_reasons(verdicts.reasons),
        "answerable": word_answerable(verdicts),
    }


def _format_error(error: float | None, unit: str, *, is_share: bool) -> str:
    if error is None:
        return "\u2013"
    return word_hundred(error) if is_share else format_quantity(error, unit)


def _list_reasons(reasons: dict[str, float]) -> list[dict[str, str]]:
    rows = []
    for name, share in sorted(reasons.items(), key=lambda item: -item[1]):
        if share <= 0:
            continue
        # A reason of a later version has no words here yet.
        known = Reason(name) if name in set(Reason) else None
        rows.append(
            {
                "title": name.replace("_", " ") if known is None else REASON_TITLES[known],
                "advice": "" if known is None else REASON_WORDS[known],
                "share": format_percent(share),
                "width": f"{100 * share:.1f}",
            }
        )
    return rows


def _describe_calibration(calibration: CalibrationReport) -> dict[str, Any]:
    # Without calibration both columns would be the same.
    heads = ["Value"] if calibration.kind == "none" else ["Before", "After"]
    rows = []
    for name, (title, meaning) in _CALIBRATION_TITLES.items():
        if name not in calibration.before and name not in calibration.after:
            continue
        values = [calibration.before.get(name), calibration.after.get(name)][: len(heads)]
        cells = [
            "\u2013" if value is None else (f"{100 * value:.1f}" if name == "ece" else format_number(value))
            for value in values
        ]
        rows.append({"title": title, "meaning": meaning, "cells": cells})
    return {"words": word_calibration(calibration), "heads": heads, "rows": rows}


def _describe_coverage(entry: SetReport | IntervalReport) -> dict[str, Any]:
    is_sets = isinstance(entry, SetReport)
    unit = "" if isinstance(entry, SetReport) else entry.unit
    groups = [row for row in entry.rows if row.what == "group"]
    parts = [row for row in entry.rows if row.what != "group"]
    return {
        "name": "" if isinstance(entry, SetReport) else entry.target,
        "sentences": word_coverage(entry),
        "size_title": "Mean classes in a set" if is_sets else "Mean width",
        "rows": _list_coverage(parts, entry, unit),
        "groups": _list_coverage(groups, entry, unit),
    }


def _list_coverage(
    rows: list[CoverageRow], entry: SetReport | IntervalReport, unit: str
) -> list[dict[str, str | bool]]:
    return [
        {
            "name": name.rsplit(" (n = ", 1)[0],
            "n": f"{row.n:,}",
            "n_groups": f"{row.n_groups:,}",
            "held": format_percent(row.coverage, 0),
            "span": "" if row.low is None or row.high is None else f"{100 * row.low:.0f} to {100 * row.high:.0f}",
            "size": format_quantity(row.size, unit, 2),
            "broken": is_broken(row, entry.promised),
        }
        for name, row in zip(name_rows(rows, entry), rows, strict=True)
    ]


def list_explained(report: ExplanationReport | None) -> dict[str, Any] | None:
    """What the heat maps say together; None where there are none.

    Args:
        report: The explained images.
    """
    if report is None or not report.rows:
        return None
    rows = [
        {
            "name": row.name,
            "answer": row.answer,
            "truth": row.truth,
            "right": {True: "yes", False: "no", None: "\u2013"}[row.is_right],
            "outside": format_percent(row.outside_plant, 0),
            "flag": row.looks_outside,
        }
        for row in report.rows
    ]
    return {"sentences": describe_explanations(report), "warnings": report.warnings, "rows": rows}


def describe_robustness(report: RobustnessReport | None) -> dict[str, Any] | None:
    """What spoiled photographs do to the answers; None where this was not tried.

    Args:
        report: The numbers.
    """
    if report is None or not report.rows:
        return None
    severities = sorted({row.severity for row in report.rows})
    percent = report.task is Task.classification
    rows = []
    for kind in report.kinds:
        found = {row.severity: row for row in report.of(kind)}
        first = next(iter(found.values()))
        scores = {0: first.clean_score} | {severity: row.score for severity, row in found.items()}
        cells = [scores.get(severity) for severity in severities]
        texts = [format_percent(value, 0) if percent else format_number(value, 2) for value in cells]
        rows.append({"title": first.words, "cells": texts})
    about = (
        f"{format_count(report.n, 'test photograph was', 'test photographs were')} spoiled in the ways that spoil "
        "photographs in the field, each in several strengths."
    )
    return {
        "about": about,
        "sentences": report.describe(),
        "metric": "Accuracy" if percent else "R\u00b2",
        "severities": severities,
        "rows": rows,
        "left_out": [f"{kind}: {reason}" for kind, reason in report.left_out.items()],
    }
