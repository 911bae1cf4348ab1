"""A watch over new photographs as one HTML page that opens without a network."""

from typing import Any, Final

import numpy as np
import pandas as pd

from phytoscope import __version__
from phytoscope.schema.drift import DriftFinding, DriftReport, LookWindow, TruthReport, TruthWindow
from phytoscope.schema.table import PREDICTION, PROBABILITY, VERDICT, Task
from phytoscope.schema.verdict import Verdict
from phytoscope.visualize.drift import WIDTH, read_values
from phytoscope.visualize.drift_figures import Watch, inline_figures
from phytoscope.visualize.drift_words import (
    count_images,
    explain_finding,
    format_chance,
    format_error,
    format_error_span,
    sort_fired,
    title_finding,
    title_window,
    word_effects,
    word_look,
    word_promise,
    word_truth,
)
from phytoscope.visualize.page import render_page
from phytoscope.visualize.text import format_count, format_number, format_percent

_LARGE: Final = 2.0
_MOST: Final = 10.0


def render_drift(watch: Watch) -> str:
    """Renders one self-contained page.

    Args:
        watch: What is known.

    Returns:
        The page as HTML text; write it as UTF-8.

    Raises:
        ArtifactError: The picture of the strangest photographs cannot be read.
    """
    last = watch.last
    worse = watch.truth is not None and watch.truth.fired
    verdict = word_look(last, has_truth=watch.truth is not None)
    if watch.truth is not None:
        verdict = f"{verdict} {word_truth(watch.truth)}"
    context = {
        "name": watch.name,
        "root": str(watch.root),
        "verdict": _typeset(verdict),
        "badge": "bad" if last.fired or worse else "good",
        "judgement": _word_judgement(last, worse=worse),
        "fired": last.fired,
        "tiles": _make_tiles(watch),
        "warnings": last.reasons,
        "basis": _word_basis(last),
        "tables": _make_tables(watch),
        "promise": word_promise(last),
        "truth": None if watch.truth is None else _describe_truth(watch.truth),
        "looks": [_describe_look(report, share) for report, share in zip(watch.reports, watch.accepted, strict=True)][
            ::-1
        ],
        "figures": inline_figures(watch),
        "provenance": [*watch.facts.items(), ("Made with", f"phytoscope {__version__}")],
    }
    return render_page("drift.html.j2", context, styles=("report.css", "trust.css"))


def _typeset(text: str) -> str:
    """Arrows as a page shows them; what a terminal marks as a command stands as plain words."""
    return text.replace("->", "\u2192").replace("`", "")


def _word_judgement(report: DriftReport, *, worse: bool) -> str:
    if worse:
        return "answers have become worse" if not report.fired else "changed, and answers have become worse"
    return "photographs have changed" if report.fired else "no change found"


def _word_basis(report: DriftReport) -> str:
    text = (
        f"{count_images(report.n, report.n_groups, 'new photograph')}, beside "
        f"{count_images(report.n_reference, report.n_reference_groups)} on which the model was measured"
    )
    if report.n_recent > report.n:
        text += f"; with the looks before, {format_count(report.n_recent, 'new photograph')} together"
    return text + "."


def _make_tiles(watch: Watch) -> list[dict[str, str]]:
    last = watch.last
    before = share_accepted(watch.reference)
    tiles = [
        {
            "title": "Photographs of this look",
            "value": f"{last.n:,}",
            "note": f"of {format_count(last.n_groups, 'plant or leaf', 'plants or leaves')}, look {last.look}",
        },
        {
            "title": "Changes found",
            "value": f"{len(last.list_fired()):,}",
            "note": f"of {format_count(len(last.findings), 'comparison')}",
        },
        {
            "title": "Answers accepted",
            "value": format_percent(watch.accepted[-1], 0),
            "note": f"{format_percent(before, 0)} when the model was measured",
        },
    ]
    truth = watch.truth
    if truth is None or not truth.windows:
        return [*tiles, {"title": "True error", "value": "not known", "note": "no truth was added yet"}]
    newest = truth.windows[-1]
    note = f"{newest.name}; {format_error(truth.reference.error, truth.unit)} when the model was measured"
    return [*tiles, {"title": "True error", "value": format_error(newest.error, truth.unit), "note": note}]


def share_accepted(table: pd.DataFrame) -> float:
    """Share of accepted answers, 0-1.

    Args:
        table: Rows with `verdict`.
    """
    return float((table[VERDICT] == Verdict.accept.value).mean())


def _make_tables(watch: Watch) -> list[dict[str, Any]]:
    """What was compared: this look and all that has changed in the open, the rest of the last looks folded away."""
    fired = sort_fired(watch.last)
    others = [finding for finding in watch.last.findings if not finding.fired]
    shown = [*fired, *(finding for finding in others if finding.window is LookWindow.batch)]
    folded = [finding for finding in others if finding.window is not LookWindow.batch]
    tables = [{"title": "", "rows": [_describe_finding(finding, watch) for finding in shown]}]
    if folded:
        rows = [_describe_finding(finding, watch) for finding in folded]
        tables.append({"title": "The last looks together, where nothing was found", "rows": rows})
    return tables


def _describe_finding(finding: DriftFinding, watch: Watch) -> dict[str, Any]:
    is_batch = finding.window is LookWindow.batch
    size = _measure_size(finding, watch) if is_batch else None
    moved = _measure_mix(finding, watch) if is_batch and size is None else None
    width = "" if size is None else f"{min(100.0, 100.0 * size / _LARGE):.1f}"
    words = "" if size is None else "above 10" if size > _MOST else format_number(size, 2)
    if moved is not None:
        width, words = f"{100 * moved:.1f}", f"{100 * moved:.0f} of 100"
    return {
        "title": title_finding(finding),
        "meaning": explain_finding(finding),
        "window": "" if finding.window is LookWindow.batch else title_window(finding.window),
        "effect": _typeset(finding.effect),
        "width": width,
        "size": words,
        "chance": format_chance(finding.p_value),
        "limit": format_chance(finding.threshold),
        "fired": finding.fired,
    }


def _measure_size(finding: DriftFinding, watch: Watch) -> float | None:
    """Distance of the medians in units of the spread of the reference; None where no number says it."""
    name = finding.name
    if name == "confidence":
        name = WIDTH if watch.task is Task.regression else PROBABILITY
    then, now = read_values(watch.reference, name), read_values(watch.batch, name)
    if then is None or now is None:
        return None
    then, now = then[np.isfinite(then)], now[np.isfinite(now)]
    if len(then) < 2 or len(now) == 0 or then.std() == 0:
        return None
    return float(abs(np.median(now) - np.median(then)) / then.std())


def _measure_mix(finding: DriftFinding, watch: Watch) -> float | None:
    """Share of photographs that would have to be given another name for both mixes to be equal, 0-1; else None."""
    if finding.name not in (PREDICTION, VERDICT) or (finding.name == PREDICTION and watch.task is Task.regression):
        return None
    shares = [table[finding.name].value_counts(normalize=True) for table in (watch.reference, watch.batch)]
    return float(shares[0].sub(shares[1], fill_value=0.0).abs().sum() / 2)


def _describe_truth(report: TruthReport) -> dict[str, Any]:
    rows = [_describe_window(window, report.unit, own=False) for window in report.windows]
    reference = _describe_window(report.reference, report.unit, own=True)
    return {
        "sentence": word_truth(report),
        "title": "Wrong answers" if not report.unit else "Mean error",
        "level": f"{100 * report.confidence:.0f} %",
        "rows": [{**reference, "name": "when the model was measured"}, *rows],
        "reasons": report.reasons,
    }


def _describe_window(window: TruthWindow, unit: str, *, own: bool) -> dict[str, Any]:
    return {
        "name": window.name,
        "n": f"{window.n:,}",
        "n_groups": f"{window.n_groups:,}",
        "error": format_error(window.error, unit),
        "span": format_error_span(window, unit),
        "own": own,
    }


def _describe_look(report: DriftReport, accepted: float) -> dict[str, Any]:
    found = word_effects(report) if report.fired else ""
    return {
        "look": report.look,
        "time": report.time.replace("T", " ").replace("+00:00", " UTC"),
        "n": f"{report.n:,}",
        "n_groups": f"{report.n_groups:,}",
        "accepted": format_percent(accepted, 0),
        "alpha": f"{100 * report.alpha:.2g}\u00a0%",
        "found": _typeset(found) or "no change",
        "fired": report.fired,
    }
