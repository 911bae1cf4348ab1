"""A table of predictions that cannot be trusted is refused, with every fault named at once."""

import numpy as np
import pandas as pd
import pytest

from factories.predictions import make_classification, make_regression
from phytoscope.errors import ArtifactError, DataValidationError
from phytoscope.evaluate.checks import check_predictions, check_table, check_train_rows
from phytoscope.schema.table import Task

NAMES = ["healthy", "rust", "scab"]


def spoil(column, value, row=0):
    table, _, _ = make_classification(NAMES)
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return table


def test_sound_tables_pass():
    """Nothing is found where nothing is wrong."""
    check_table(make_classification(NAMES)[0], Task.classification, NAMES)
    check_table(make_regression()[0], Task.regression, [])


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("label", "blight", "'label': 1 row.* name no known class .'blight'"),
        ("prediction", "blight", "'prediction': 1 row.* name no known class"),
        ("label", None, "'label': 1 row.* name no known class"),
        ("split", "train", "unknown split.* 'train'; allowed are 'val', 'calibration', 'test'"),
        ("sample_id", "healthy/val_001.jpg", "1 sample_id.* stand in several rows"),
        ("prob/rust", np.nan, "'prob/rust': 1 of 108 values are no finite number"),
        ("prob/rust", np.inf, "'prob/rust': 1 of 108 values are no finite number"),
        ("prob/rust", "many", "no finite number .'many'"),
        ("prob/rust", -0.2, "outside 0-1"),
        ("prob/rust", 0.9, "do not sum to 1"),
        ("probability", 0.2, "not the predicted class's"),
    ],
)
def test_each_fault_of_a_classification_table_is_named(column, value, match):
    """One wrong cell is enough to refuse the table."""
    with pytest.raises(DataValidationError, match=match):
        check_table(spoil(column, value), Task.classification, NAMES)


def test_prediction_must_be_the_most_probable_class():
    """A class name that contradicts the probabilities points to a wrong class order."""
    table, _, _ = make_classification(NAMES, accuracy=1.0)
    table.loc[0, "prediction"] = "scab"
    table.loc[0, "probability"] = table.loc[0, "prob/scab"]
    with pytest.raises(DataValidationError, match=r"not the most probable class .'healthy/val_000.jpg'"):
        check_table(table, Task.classification, NAMES)


def test_logits_are_refused_not_guessed():
    """Numbers that are no probabilities are never turned into some."""
    table, _, _ = make_classification(NAMES)
    table["prob/rust"] = 4.2
    with pytest.raises(DataValidationError, match=r"108 row.* outside 0-1.*108 row.* do not sum to 1"):
        check_table(table, Task.classification, NAMES)


@pytest.mark.parametrize("column", ["target", "prediction", "green_px"])
def test_regression_numbers_must_be_finite(column):
    """A gap in any of the three columns would change the numbers silently."""
    table, _, _ = make_regression()
    table.loc[3, column] = np.nan
    with pytest.raises(DataValidationError, match=f"'{column}': 1 of 120 values"):
        check_table(table, Task.regression, [])


def test_missing_columns_are_all_named():
    """One message lists every missing column and those that are there."""
    table, _, _ = make_classification(NAMES)
    with pytest.raises(DataValidationError, match=r"'group_id', 'label', 'prob/scab' missing; there are 'sample_id'"):
        check_table(table.drop(columns=["group_id", "label", "prob/scab"]), Task.classification, NAMES)


def test_empty_table_is_refused():
    """No rows, no numbers."""
    table, _, _ = make_classification(NAMES)
    with pytest.raises(DataValidationError, match="there are no rows"):
        check_table(table.iloc[:0], Task.classification, NAMES)


@pytest.mark.parametrize(
    ("names", "match"), [(["healthy"], "at least 2"), (["healthy", "rust", "rust", "scab"], "twice")]
)
def test_class_names_must_be_several_and_different(names, match):
    """A list of classes that cannot be told apart is refused."""
    with pytest.raises(DataValidationError, match=match):
        check_table(make_classification(NAMES)[0], Task.classification, names)


@pytest.mark.parametrize(
    ("rows", "task", "match"),
    [
        ({"label": []}, Task.classification, "no training rows"),
        ({"target": [1.0]}, Task.regression, "'green_px' missing"),
        ({"label": ["blight"]}, Task.classification, "no known class"),
        ({"target": [1.0], "green_px": [np.nan]}, Task.regression, "'green_px': 1 of 1"),
    ],
)
def test_training_rows_must_carry_the_baselines(rows, task, match):
    """Baselines are not fitted on nothing."""
    with pytest.raises(DataValidationError, match=match):
        check_train_rows(pd.DataFrame(rows), task, NAMES)


def test_predictions_that_match_the_split_pass():
    """The training rows of the split need no prediction."""
    predictions, _, split = make_regression()
    check_predictions(predictions, split)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda table: table.iloc[1:], "1 without a prediction .'plants/val_000.png'"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "1 predicted more than once .'plants/val_000.png'"),
        (lambda table: table.assign(split="test"), "80 predicted under another split"),
        (lambda table: table.replace("plants/val_000.png", "plants/train_000.png"), "1 predicted but not in val"),
    ],
)
def test_predictions_of_another_split_are_refused(change, match):
    """Missing, doubled, moved and foreign rows are each found."""
    predictions, _, split = make_regression()
    with pytest.raises(ArtifactError, match=match):
        check_predictions(change(predictions), split)
