"""All figures of one report, under the names the page knows."""

import pandas as pd
from matplotlib.figure import Figure

from phytoscope.evaluate.report import main_metric
from phytoscope.schema.report import EvaluationReport, SplitReport
from phytoscope.schema.table import (
    LOWER,
    PREDICTION,
    PREDICTION_PREFIX,
    SAMPLE_ID,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
    UPPER,
    Split,
    Task,
)
from phytoscope.visualize.classes import plot_confusion_matrix, plot_per_class
from phytoscope.visualize.coverage import plot_coverage, plot_intervals, plot_set_sizes
from phytoscope.visualize.data import plot_class_counts, plot_history, plot_target_distribution
from phytoscope.visualize.external import HOME, errors_are_shares, plot_external_gallery
from phytoscope.visualize.gallery import FindImage, plot_confusion_gallery, plot_error_gallery
from phytoscope.visualize.home_and_away import plot_home_and_away
from phytoscope.visualize.reliability import plot_reliability
from phytoscope.visualize.risk import plot_risk_coverage, plot_verdicts
from phytoscope.visualize.robustness import plot_robustness
from phytoscope.visualize.slices import choose_slices, plot_slices
from phytoscope.visualize.style import save_figures
from phytoscope.visualize.values import plot_decile_error, plot_predicted_vs_actual, plot_residuals
from phytoscope.visualize.words import MORE_TARGET

__all__ = [
    "add_splits",
    "draw_figures",
    "plot_class_counts",
    "plot_confusion_gallery",
    "plot_confusion_matrix",
    "plot_decile_error",
    "plot_error_gallery",
    "plot_history",
    "plot_per_class",
    "plot_predicted_vs_actual",
    "plot_residuals",
    "plot_target_distribution",
    "save_figures",
    "shown_split",
]


def shown_split(report: EvaluationReport) -> str:
    """The split the report speaks of: test, or the last one there is."""
    return str(Split.test) if str(Split.test) in report.splits else list(report.splits)[-1]


def add_splits(manifest: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The manifest with a `split` column.

    Args:
        manifest: One row per image; a `split` column of its own is kept as it is.
        predictions: Table 7; without that column, images that stand here take their split from here, and all others
            count as training images.
    """
    if SPLIT in manifest.columns:
        return manifest
    splits = predictions.set_index(SAMPLE_ID)[SPLIT]
    return manifest.assign(**{SPLIT: manifest[SAMPLE_ID].map(splits).fillna(str(Split.train))})


def draw_figures(
    report: EvaluationReport,
    *,
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    manifest: pd.DataFrame,
    find_image: FindImage,
) -> dict[str, Figure]:
    """Draws every figure of the page that the report alone and the photographs give.

    What needs the model, such as heat maps, is drawn elsewhere and put beside these under its name in `words.FIGURES`.

    Args:
        report: The numbers.
        predictions: Table 7 or 8a, from which the report was made; intervals are drawn from 8a.
        history: `history.csv`; without rows there is no training figure.
        manifest: One row per image, see `add_splits`.
        find_image: Gives the path of a sample's picture.

    Returns:
        Name -> figure, in the order of the page; pass it to `save_figures`.
    """
    split = shown_split(report)
    part = report.splits[split]
    rows = predictions.loc[predictions[SPLIT] == split]
    table = add_splits(manifest, predictions)
    draw = _draw_classification if report.task == Task.classification else _draw_regression
    figures = draw(report, part, rows, table, find_image)
    figures |= _draw_belief(report, rows) | _draw_elsewhere(report, part)
    if not history.empty:
        metric, higher = main_metric(report.task)
        figures["history"] = plot_history(history, metric=metric, higher_is_better=higher)
    return figures


def _draw_classification(
    report: EvaluationReport, part: SplitReport, rows: pd.DataFrame, table: pd.DataFrame, find_image: FindImage
) -> dict[str, Figure]:
    figures = {
        "confusion_matrix": plot_confusion_matrix(part, report.class_names),
        "per_class": plot_per_class(part),
    }
    if part.top_confusions:
        figures["confusion_gallery"] = plot_confusion_gallery(part, rows, find_image)
    return figures | {"class_counts": plot_class_counts(table)}


def _draw_regression(
    report: EvaluationReport, part: SplitReport, rows: pd.DataFrame, table: pd.DataFrame, find_image: FindImage
) -> dict[str, Figure]:
    name, unit = report.target_name, report.unit
    return {
        "predicted_vs_actual": plot_predicted_vs_actual(rows, part, target_name=name, unit=unit),
        "residuals": plot_residuals(rows, target_name=name, unit=unit),
        "decile_error": plot_decile_error(part.deciles, target_name=name, unit=unit),
        "error_gallery": plot_error_gallery(part, rows, find_image, unit=unit),
        "target_distribution": plot_target_distribution(table, target_name=name, unit=unit),
    } | _draw_more_targets(part, rows)


def _draw_more_targets(part: SplitReport, rows: pd.DataFrame) -> dict[str, Figure]:
    figures = {}
    for number, target in enumerate(part.more_targets, start=1):
        if target.n == 0:
            continue
        columns = {TARGET_PREFIX + target.name: TARGET, PREDICTION_PREFIX + target.name: PREDICTION}
        own = rows[list(columns)].rename(columns=columns)
        # The user's own names may hold signs that no file name can.
        figures[f"{MORE_TARGET}{number}"] = plot_predicted_vs_actual(
            own.loc[own[TARGET].notna()],
            SplitReport(target.n, target.n_groups, target.metrics, target.baselines),
            target_name=target.name,
            unit=target.unit,
        )
    return figures


def _draw_belief(report: EvaluationReport, rows: pd.DataFrame) -> dict[str, Figure]:
    trust = report.trust
    if trust is None:
        return {}
    figures = {}
    calibration = trust.calibration
    if calibration is not None and (calibration.bins_before or calibration.bins_after):
        figures["reliability"] = plot_reliability(calibration)
    entry = trust.sets if trust.sets is not None else next(iter(trust.intervals), None)
    if entry is not None and entry.rows:
        figures["coverage"] = plot_coverage(entry)
    # Sets of one size need no figure: a sentence says it.
    if trust.sets is not None and len(trust.sets.sizes) > 1:
        figures["set_sizes"] = plot_set_sizes(trust.sets.sizes)
    if LOWER in rows.columns and rows[[TARGET, PREDICTION, LOWER, UPPER]].notna().all(axis=1).any():
        figures["intervals"] = plot_intervals(rows, target_name=report.target_name, unit=report.unit)
    return figures


def _draw_elsewhere(report: EvaluationReport, part: SplitReport) -> dict[str, Figure]:
    figures = {}
    sets = {} if report.trust is None else {HOME: report.trust.verdicts}
    sets |= {further.name: further.trust.verdicts for further in report.external if further.trust is not None}
    sets = {name: verdicts for name, verdicts in sets.items() if verdicts.shares}
    if sets:
        figures["verdicts"] = plot_verdicts(sets)
    # Answers that are all equally sure make a curve of one point, which tells nothing.
    if any(len(verdicts.curve) > 1 for verdicts in sets.values()):
        is_share = errors_are_shares(report.task, next(iter(sets.values())))
        figures["risk_coverage"] = plot_risk_coverage(sets, unit=report.unit, is_share=is_share)
    if any(further.classes for further in report.external):
        figures["home_and_away"] = plot_home_and_away(part, report.external)
    if any(further.examples for further in report.external):
        figures["external_gallery"] = plot_external_gallery(report.external)
    if report.robustness is not None and report.robustness.kinds:
        figures["robustness"] = plot_robustness(report.robustness)
    if choose_slices(part.slices):
        figures["slices"] = plot_slices(part.slices, unit=report.unit)
    return figures
