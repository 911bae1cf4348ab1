"""The report as one HTML page that opens without a network: everything it shows stands inside it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from phytoscope.errors import ArtifactError
from phytoscope.schema.report import EvaluationReport, SplitReport
from phytoscope.schema.table import Task
from phytoscope.visualize.data import SPLIT_WORDS
from phytoscope.visualize.external import UNKNOWN_FIELD, list_external, make_cards
from phytoscope.visualize.figures import add_splits, shown_split
from phytoscope.visualize.more_targets import list_more_targets
from phytoscope.visualize.page import CSS_PX_PER_INCH, encode_address, render_page
from phytoscope.visualize.report_tables import (
    compare_models,
    compare_splits,
    describe_data,
    describe_rejected,
    describe_training,
    list_classes,
    list_confusions,
    list_deciles,
    make_tiles,
)
from phytoscope.visualize.slices import list_groups, list_slices
from phytoscope.visualize.trust_page import describe_robustness, describe_trust, list_explained
from phytoscope.visualize.verdict import word_judgement, word_ranges, word_verdict, word_weakest
from phytoscope.visualize.words import FIGURES, find_figure_words

_MAX_WIDTH_PX = 2000
_DPI = 300


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
        predictions: Table 7 or 8a, from which the report was made.
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
    drawn = _collect_figures(figures, [target.name for target in report.splits[split].more_targets])
    groups = _group_figures(drawn)
    context = {
        "report": report,
        "part": report.splits[split],
        "split_words": SPLIT_WORDS[split],
        "is_classification": report.task == Task.classification,
        "verdict": word_verdict(report, split),
        "judgement": word_judgement(report),
        "badge": {True: "good", False: "bad", None: "open"}[report.beats_baseline],
        "training": describe_training(report, history),
        "rejected": describe_rejected(rejected),
        "data": describe_data(report, add_splits(manifest, predictions)),
        "provenance": _list_provenance(report, facts),
        "figures": groups,
        "drawn": {item["name"]: item for item in drawn},
        **_describe_belief(report, split),
        **_describe_numbers(report, report.splits[split]),
    }
    context |= _find_sections(context)
    return render_page("report.html.j2", context, styles=("report.css", "trust.css"))


def _find_sections(context: Mapping[str, Any]) -> dict[str, bool]:
    """Whether the sections with several parts have any of them."""
    mistakes = (context["figures"]["mistakes"], context["slices"], context["groups"], context["confusions"])
    trust = context["trust"]
    parts: tuple[object, ...] = ()
    if trust is not None:
        answerable = trust["verdicts"] is not None and trust["verdicts"]["answerable"]
        parts = (trust["calibration"], trust["coverage"], trust["remarks"], answerable)
    return {"has_mistakes": any(mistakes), "has_belief": any(parts) or "risk_coverage" in context["drawn"]}


def _describe_belief(report: EvaluationReport, split: str) -> dict[str, Any]:
    part = report.splits[split]
    return {
        "cards": make_cards(report, split),
        "unknown_field": "" if report.external else UNKNOWN_FIELD,
        "trust": describe_trust(report),
        "external": list_external(report),
        "slices": list_slices(part, report.task),
        "groups": list_groups(part.groups, report.unit),
        "explanations": list_explained(report.explanations),
        "robustness": describe_robustness(report.robustness),
    }


def _describe_numbers(report: EvaluationReport, part: SplitReport) -> dict[str, Any]:
    return {
        "ranges": word_ranges(report, part),
        "weakest": word_weakest(part),
        "tiles": make_tiles(report, part),
        "comparison": compare_models(part),
        "by_split": compare_splits(report),
        "classes": list_classes(report, part),
        "confusions": list_confusions(report, part),
        "deciles": list_deciles(report, part),
        "more_targets": list_more_targets(part),
    }


def _list_provenance(report: EvaluationReport, facts: Mapping[str, str]) -> list[tuple[str, str]]:
    known = [
        ("Run", report.name),
        ("Model", report.model_id),
        ("Content hash of the data", report.data_hash),
        ("Content hash of the split", report.split_hash),
    ]
    return [*known, *((str(title), str(text)) for title, text in facts.items())]


def _collect_figures(figures: Mapping[str, Path], more_targets: Sequence[str]) -> list[dict[str, str]]:
    """Every figure with its words, in the page's own order; those without words come last."""
    items = []
    for name in [*(name for name in FIGURES if name in figures), *(name for name in figures if name not in FIGURES)]:
        words = find_figure_words(name, more_targets)
        source, width, height = _inline_figure(figures[name])
        items.append(
            {
                "name": name,
                "group": words.group,
                "source": source,
                "title": words.title,
                "alt": words.alt,
                "reading": words.reading,
                "width": width,
                "height": height,
            }
        )
    return items


def _group_figures(items: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Figures that the page shows one after the other, by section; the others stand beside the numbers they show."""
    groups: dict[str, list[dict[str, str]]] = {"results": [], "mistakes": [], "data": [], "training": []}
    for item in items:
        if item["group"] in groups:
            groups[item["group"]].append(item)
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
