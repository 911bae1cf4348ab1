"""Baselines learn from the training rows only and are scored like the model."""

import numpy as np
import pytest

from phytoscope.evaluate.baselines import fit_constant_class, fit_constant_value, fit_green_pixels
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression


def value_of(baseline, name):
    return next(metric.value for metric in baseline.metrics if metric.name == name)


def test_constant_class_is_the_most_frequent_of_the_training_rows():
    """The class is learned in training even if the scored rows hold others."""
    constant = fit_constant_class(np.array([1, 1, 0]), ["a", "b"])
    baseline = constant.score(np.array([0, 0, 0, 1]))
    assert constant.class_name == "b"
    assert value_of(baseline, "accuracy") == 0.25
    assert "66.7 %" in baseline.description


def test_constant_value_is_the_mean_of_the_training_rows():
    """R2 on rows with another mean is below 0."""
    baseline = fit_constant_value(np.array([1.0, 3.0]), "g").score(np.array([5.0, 7.0]), np.zeros(2))
    assert value_of(baseline, "bias") == -4.0
    assert value_of(baseline, "r2") < 0
    assert "2 g" in baseline.description


def test_green_pixels_recover_a_straight_line():
    """On exact data the line has no error."""
    green = np.array([10.0, 20.0, 50.0])
    line = fit_green_pixels(3.0 - 0.1 * green, green, "g")
    assert (line.intercept, line.slope) == (pytest.approx(3.0), pytest.approx(-0.1))
    baseline = line.score(np.array([2.5]), np.array([5.0]))
    assert value_of(baseline, "rmse") == pytest.approx(0.0)
    assert "3 - 0.1 x number of green pixels" in baseline.description


def test_equal_green_pixels_give_a_flat_line():
    """Without variation there is no slope, and no division by zero."""
    line = fit_green_pixels(np.array([1.0, 2.0]), np.array([7.0, 7.0]), "")
    assert (line.intercept, line.slope) == (1.5, 0.0)


def test_baselines_have_the_names_and_order_of_the_models_metrics():
    """The report puts them side by side by position."""
    probs, true = np.full((2, 4), 0.25), np.array([0, 1])
    own = [metric.name for metric in measure_classification(true, true, probs)]
    assert [m.name for m in fit_constant_class(true, list("abcd")).score(true).metrics] == own
    target = np.array([1.0, 2.0])
    own = [metric.name for metric in measure_regression(target, target, "g")]
    assert [m.name for m in fit_constant_value(target, "g").score(target, target).metrics] == own
