"""All figures of a report are drawn in one go."""

import dataclasses

import pandas as pd

from phytoscope.visualize.figures import add_splits, draw_figures, shown_split
from phytoscope.visualize.words import FIGURES


def draw(run, find_image, **changes):
    tables = {"predictions": run.predictions, "history": run.history, "manifest": run.manifest, **changes}
    return draw_figures(run.report, find_image=find_image, **tables)


def test_classification_has_its_figures_and_each_has_words(diseases, find_leaf):
    """The page explains every figure that is drawn."""
    figures = draw(diseases, find_leaf)
    assert list(figures) == ["confusion_matrix", "per_class", "confusion_gallery", "class_counts", "history"]
    assert set(figures) <= set(FIGURES)


def test_regression_has_its_figures_and_each_has_words(weights, find_leaf):
    """Without a history there is no training figure."""
    figures = draw(weights, find_leaf, history=pd.DataFrame())
    assert list(figures) == [
        "predicted_vs_actual",
        "residuals",
        "decile_error",
        "error_gallery",
        "target_distribution",
    ]
    assert set(figures) <= set(FIGURES)


def test_last_split_stands_in_for_a_missing_test_split(weights):
    """Figures speak of test where there is one."""
    assert shown_split(weights.report) == "test"
    parts = {name: weights.report.splits[name] for name in ("val", "calibration")}
    assert shown_split(dataclasses.replace(weights.report, splits=parts)) == "calibration"


def test_images_without_a_prediction_count_as_training_images(weights):
    """The split column is rebuilt from the predictions where the manifest has none."""
    bare = weights.manifest.drop(columns="split")
    assert add_splits(bare, weights.predictions)["split"].tolist() == weights.manifest["split"].tolist()
    assert add_splits(weights.manifest, weights.predictions) is weights.manifest
