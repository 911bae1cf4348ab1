"""Figures about data and training show what the tables hold, gaps included."""

import numpy as np
import pandas as pd
import pytest

from factories.predictions import make_history
from phytoscope.errors import DataValidationError
from phytoscope.visualize.data import (
    SMOOTHED,
    find_kept_row,
    find_metric_column,
    plot_class_counts,
    plot_history,
    plot_target_distribution,
)


def test_class_counts_tell_images_from_groups(diseases):
    """Left: 24 images a class; right: 8 leaves a class."""
    images, groups = plot_class_counts(diseases.manifest).axes
    assert {text.get_text() for text in images.texts} == {"24"}
    assert {text.get_text() for text in groups.texts} == {"8"}


def test_splits_that_do_not_exist_are_left_out(diseases):
    """Two splits give two colours."""
    table = diseases.manifest.query("split in ['train', 'test']")
    fig = plot_class_counts(table)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["training", "test"]


def test_target_distribution_counts_known_values_only(weights):
    """Rows without a target are no bar."""
    table = weights.manifest.copy()
    table.loc[table["split"] == "test", "target"] = np.nan
    fig = plot_target_distribution(table, target_name="weight", unit="g")
    shown = [text.get_text() for text in fig.legends[0].get_texts()]
    assert shown == ["training (n = 40)", "validation (n = 40)", "calibration (n = 40)"]
    assert fig.axes[0].get_xlabel() == "weight (g)"


@pytest.mark.parametrize(("metric", "higher", "best"), [("macro_f1", True, 12), ("rmse", False, 1)])
def test_history_marks_the_best_epoch(metric, higher, best):
    """The best is the highest or the lowest, as the metric has it."""
    loss, score = plot_history(make_history(metric), metric=metric, higher_is_better=higher).axes
    assert [line.get_xdata()[0] for line in loss.lines if line.get_linestyle() != "-"] == [best]
    assert score.get_title(loc="left").startswith("Validation")


@pytest.mark.parametrize(("metric", "higher", "single"), [("macro_f1", True, 11), ("rmse", False, 0)])
def test_history_marks_the_epoch_that_was_kept(metric, higher, single):
    """The lowest smoothed value counts, not the best single epoch, and the point lies on the curve."""
    history = make_history(metric)
    assert find_kept_row(history, metric, higher_is_better=higher) == single
    history["val/smoothed"] = np.abs(history["epoch"] - 6.0)
    assert find_kept_row(history, metric, higher_is_better=higher) == 6
    loss, score = plot_history(history, metric=metric, higher_is_better=higher).axes
    assert [line.get_xdata()[0] for line in loss.lines if line.get_linestyle() != "-"] == [7]
    assert score.lines[-1].get_xydata().tolist() == [[7, history[f"val/{metric}"][6]]]


def test_kept_epoch_is_the_first_of_equals_and_no_gap():
    """Training keeps the earlier of two equal epochs; an epoch without a value cannot be kept."""
    history = pd.DataFrame({"epoch": range(5), "val/smoothed": [np.nan, 2.0, 1.0, 1.0, np.nan]})
    assert find_kept_row(history, "rmse", higher_is_better=False) == 2
    assert find_kept_row(history.assign(**{"val/smoothed": np.nan}), "rmse", higher_is_better=False) is None


def test_training_and_figures_name_the_column_alike():
    """A column that training renames is noticed here."""
    from phytoscope.train.tasks import SMOOTHED as LOGGED

    assert LOGGED == SMOOTHED


def test_history_takes_units_and_gaps():
    """A column with a unit is found, an epoch without validation is skipped."""
    history = make_history("rmse_g")
    history.loc[[0, 5], "val/rmse_g"] = np.nan
    fig = plot_history(history, metric="rmse", higher_is_better=False)
    assert fig.axes[1].get_title(loc="left") == "Validation RMSE (g)"
    assert len(fig.axes[1].lines[0].get_xdata()) == 10


def test_history_without_the_metric_shows_the_loss_alone():
    """An unknown metric does not stop the figure."""
    assert len(plot_history(make_history("other"), metric="rmse", higher_is_better=False).axes) == 1
    assert find_metric_column(make_history("rmse"), "rmse") == "val/rmse"


def test_metric_that_was_never_measured_marks_nothing():
    """A column of gaps gives an empty panel."""
    history = make_history().assign(**{"val/macro_f1": np.nan})
    assert len(plot_history(history, metric="macro_f1", higher_is_better=True).axes) == 2


@pytest.mark.parametrize("history", [pd.DataFrame(), pd.DataFrame({"step": [1]})])
def test_history_without_epochs_is_refused(history):
    """There is nothing to draw along."""
    with pytest.raises(DataValidationError, match="a column 'epoch' and at least one row are needed"):
        plot_history(history, metric="rmse", higher_is_better=False)
