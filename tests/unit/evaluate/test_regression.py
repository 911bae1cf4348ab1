"""Regression numbers are what their definitions say, and None where there is nothing to say."""

import itertools

import numpy as np
import pytest

from phytoscope.evaluate.regression import (
    compute_bias,
    compute_mape,
    compute_pearson_r,
    compute_r2,
    describe_deciles,
    find_worst,
    measure_regression,
)


def test_r2_of_the_mean_is_zero():
    """Predicting the mean of the rows explains nothing."""
    target = np.array([1.0, 2.0, 6.0])
    assert compute_r2(target, np.full(3, 3.0)) == pytest.approx(0.0)


@pytest.mark.parametrize("target", [[2.0], [2.0, 2.0, 2.0]])
def test_r2_is_none_where_nothing_varies(target):
    """One row or equal rows have no variation to explain."""
    assert compute_r2(np.array(target), np.array(target)) is None


def test_pearson_r_is_none_for_constant_predictions():
    """A constant correlates with nothing."""
    assert compute_pearson_r(np.array([1.0, 2.0]), np.array([3.0, 3.0])) is None


def test_bias_is_positive_when_predictions_are_too_high():
    """Bias is predicted minus true."""
    assert compute_bias(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 1.5


@pytest.mark.parametrize(
    ("target", "expected"),
    [([1.0, 2.0], 0.75), ([0.0, 2.0, 3.0], None), ([0.05, 1.0, 1.0], None), ([0.06, 1.0, 1.0], 1.0)],
)
def test_mape_is_reported_only_well_above_zero(target, expected):
    """A true value near 0 would dominate the relative error."""
    values = np.array(target)
    preds = 2 * values if len(values) == 3 else np.array([1.5, 4.0])
    assert compute_mape(values, preds) == pytest.approx(expected)


def test_metrics_carry_the_unit_where_they_have_one():
    """Errors are in the user's unit, ratios in none."""
    units = {metric.name: metric.unit for metric in measure_regression(np.array([1.0, 2.0]), np.array([1.0, 3.0]), "g")}
    assert units == {"r2": "", "rmse": "g", "mae": "g", "bias": "g", "median_ae": "g", "mape": "", "pearson_r": ""}


def test_deciles_cover_every_row_once_in_order():
    """Slices are as equal as possible and do not overlap."""
    target = np.random.default_rng(0).permutation(np.arange(103.0))
    rows = describe_deciles(target, target + 2.0, 10)
    assert [row.decile for row in rows] == list(range(1, 11))
    assert sum(row.n for row in rows) == 103
    assert {row.n for row in rows} == {10, 11}
    assert all(left.upper < right.lower for left, right in itertools.pairwise(rows))
    assert all(row.mae == row.bias == 2.0 for row in rows)


def test_equal_true_values_share_a_slice():
    """Leaf counts repeat; a slice border never runs through equal values."""
    rows = describe_deciles(np.repeat([4.0, 5.0, 6.0], 10), np.zeros(30), 10)
    assert [(row.lower, row.upper, row.n) for row in rows] == [(4.0, 4.0, 10), (5.0, 5.0, 10), (6.0, 6.0, 10)]


@pytest.mark.parametrize(("n_rows", "n_slices"), [(1, 1), (5, 1), (6, 2), (29, 9), (30, 10)])
def test_small_tables_get_fewer_slices(n_rows, n_slices):
    """A mean of one or two rows is no slice."""
    assert len(describe_deciles(np.arange(float(n_rows)), np.zeros(n_rows), 10)) == n_slices


def test_worst_images_come_first_and_ties_by_name():
    """The order does not depend on the order of the rows."""
    assert find_worst(np.zeros(3), np.array([1.0, -3.0, 1.0]), ["b", "c", "a"], 2) == ["c", "a"]
