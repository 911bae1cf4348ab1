"""Numbers from sums equal the numbers from rows."""

import numpy as np
import pytest

from factories.clusters import draw_values
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.value_sums import LEVELS, prepare_value_rows


def measure(groups, target, preds, rows=None):
    sampler, parts = GroupSampler(groups, BootstrapPlan(0)), prepare_value_rows(target, preds)
    found = sampler.replicate(parts.sum_units(sampler, rows, median=True)).map(parts.build_measure())
    return {name: value.whole[0] for name, value in found.items()}


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_sums_give_the_same_numbers_as_rows(shift):
    """Large numbers that vary little do not lose their digits."""
    groups, target, preds = draw_values()
    found = measure(groups, target + shift, preds + shift)
    for metric in measure_regression(target + shift, preds + shift, "g"):
        assert found[metric.name] == pytest.approx(metric.value, rel=1e-9), metric.name


def test_median_of_many_errors_is_close():
    """More sizes of errors than are told apart: the median moves by less than one of them."""
    groups, target, preds = draw_values(n_groups=100, per_group=50)
    assert len(target) > LEVELS
    size = np.sort(np.abs(preds - target))
    around = size[len(size) // 2 - 10], size[len(size) // 2 + 10]
    assert around[0] <= measure(groups, target, preds)["median_ae"] <= around[1]


def test_some_rows_give_the_numbers_of_these_rows():
    """A slice is measured on its own images only."""
    groups, target, preds = draw_values()
    chosen = np.arange(0, len(target), 3)
    found = measure(groups, target, preds, chosen)
    for metric in measure_regression(target[chosen], preds[chosen], "g"):
        assert found[metric.name] == pytest.approx(metric.value), metric.name


def test_what_is_undefined_for_rows_is_undefined_for_sums():
    """Equal true values have no R2 and no correlation, and values near 0 no relative error."""
    groups = np.arange(4)
    found = measure(groups, np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 4.0]))
    assert np.isnan([found["r2"], found["pearson_r"]]).all()
    assert np.isnan(measure(groups, np.array([0.0, 1.0, 2.0, 3.0]), np.ones(4))["mape"])
