"""Our metrics agree with scikit-learn to the last digits, edge cases included."""

import warnings

import numpy as np
import pytest
from sklearn import linear_model, metrics

from phytoscope.evaluate import classification, regression
from phytoscope.evaluate.baselines import fit_green_pixels

TOLERANCE = {"rel": 1e-12, "abs": 1e-12}


def draw_classes(case):
    """Draw true classes, predicted classes and probabilities; returns them with the number of classes."""
    rng = np.random.default_rng(7)
    n, n_classes = {"one row": (1, 5), "two classes": (50, 2)}.get(case, (200, 6))
    true = rng.integers(0, n_classes, n)
    if case == "class without images":
        true[true == 2] = 3
    probs = rng.dirichlet(np.ones(n_classes), n)
    if case == "ties":
        probs = np.round(probs * 4) + 1.0
        probs /= probs.sum(axis=1, keepdims=True)
    if case == "all wrong":
        probs = np.roll(np.eye(n_classes), 1, axis=1)[true]
    if case == "class never predicted":
        probs[:, 1] = 0.0
        probs /= probs.sum(axis=1, keepdims=True)
    return true, probs.argmax(axis=1), probs, n_classes


CASES = ["many classes", "two classes", "one row", "class without images", "class never predicted", "ties", "all wrong"]


@pytest.mark.parametrize("case", CASES)
def test_classification_agrees_with_scikit_learn(case):
    """Accuracy, macro F1 over the classes present, balanced accuracy and log loss are scikit-learn's."""
    true, predicted, probs, n_classes = draw_classes(case)
    confusion = classification.compute_confusion_matrix(true, predicted, n_classes)
    labels = np.arange(n_classes)
    present = np.unique(true)
    with warnings.catch_warnings():
        # scikit-learn remarks on classes that are predicted but absent, and on sets of one class.
        warnings.simplefilter("ignore", UserWarning)
        expected = {
            "accuracy": metrics.accuracy_score(true, predicted),
            "macro_f1": metrics.f1_score(true, predicted, labels=present, average="macro", zero_division=0),
            "balanced_accuracy": metrics.balanced_accuracy_score(true, predicted),
            "nll": metrics.log_loss(true, probs, labels=labels),
        }
        reference = metrics.confusion_matrix(true, predicted, labels=labels)
    found = {metric.name: metric.value for metric in classification.measure_classification(true, predicted, probs)}
    assert {name: found[name] for name in expected} == pytest.approx(expected, **TOLERANCE)
    assert np.array_equal(confusion, reference)


@pytest.mark.parametrize("case", [case for case in CASES if case != "two classes"])
def test_top3_agrees_with_scikit_learn(case):
    """scikit-learn lets the last class win a tie, we the first; with the order reversed both say the same."""
    true, _, probs, n_classes = draw_classes(case)
    reverse = n_classes - 1 - true
    expected = metrics.top_k_accuracy_score(reverse, probs[:, ::-1], k=3, labels=np.arange(n_classes))
    assert classification.compute_top_k_accuracy(true, probs) == pytest.approx(expected, **TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_class_rows_agree_with_scikit_learn(case):
    """Precision, recall, F1 and support of each class are scikit-learn's where they are defined."""
    true, predicted, _, n_classes = draw_classes(case)
    confusion = classification.compute_confusion_matrix(true, predicted, n_classes)
    rows = classification.describe_classes(confusion, [f"class {i}" for i in range(n_classes)])
    reference = metrics.precision_recall_fscore_support(
        true, predicted, labels=np.arange(n_classes), zero_division=np.nan
    )
    for row, precision, recall, f1, support in zip(rows, *reference, strict=True):
        found = [np.nan if value is None else value for value in (row.precision, row.recall, row.f1)]
        assert found == pytest.approx([precision, recall, f1], nan_ok=True, **TOLERANCE)
        assert row.support == support


@pytest.mark.parametrize("n", [2, 3, 400])
@pytest.mark.parametrize("offset", [5.0, 1e4])
def test_regression_agrees_with_scikit_learn(n, offset):
    """R2, RMSE, MAE, median error, MAPE and the correlation are scikit-learn's and numpy's."""
    rng = np.random.default_rng(n)
    target = offset + rng.normal(size=n)
    preds = target + rng.normal(scale=0.5, size=n)
    expected = {
        "r2": metrics.r2_score(target, preds),
        "rmse": metrics.root_mean_squared_error(target, preds),
        "mae": metrics.mean_absolute_error(target, preds),
        "bias": -float(np.mean(target - preds)),
        "median_ae": metrics.median_absolute_error(target, preds),
        "mape": metrics.mean_absolute_percentage_error(target, preds),
        "pearson_r": np.corrcoef(target, preds)[0, 1],
    }
    found = {metric.name: metric.value for metric in regression.measure_regression(target, preds, "g")}
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_errors_of_one_row_agree_with_scikit_learn():
    """One row has errors, but neither R2 nor a correlation."""
    target, preds = np.array([2.0]), np.array([2.5])
    found = {metric.name: metric.value for metric in regression.measure_regression(target, preds, "g")}
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(target, preds), **TOLERANCE)
    assert found["r2"] is None
    assert found["pearson_r"] is None


def test_green_pixel_line_agrees_with_scikit_learn():
    """The line is ordinary least squares."""
    rng = np.random.default_rng(0)
    green = rng.integers(0, 60000, 300).astype(np.float64)
    target = 0.3 + 2e-5 * green + rng.normal(scale=0.1, size=300)
    line = fit_green_pixels(target, green, "g")
    reference = linear_model.LinearRegression().fit(green[:, None], target)
    assert line.slope == pytest.approx(reference.coef_[0], rel=1e-9)
    assert line.intercept == pytest.approx(reference.intercept_, rel=1e-9)
