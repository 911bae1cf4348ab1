"""Statistics in which every plant counts the same."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from phytoscope.audit.weighted import (
    is_constant,
    weigh_groups,
    weighted_pearson,
    weighted_skewness,
    weighted_spearman,
)


def draw(n=200, seed=0):
    """Two related columns with ties."""
    rng = np.random.default_rng(seed)
    first = rng.gamma(2.0, size=n).round(1)
    return first, first + rng.normal(0, 1, n)


def test_weights_of_a_group_sum_to_one() -> None:
    """A plant with three photographs has the weight of one with a single one."""
    assert weigh_groups(pd.Series(["a", "b", "b", "b"])) == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("own", "reference"),
    [(weighted_pearson, stats.pearsonr), (weighted_spearman, stats.spearmanr)],
    ids=["pearson", "spearman"],
)
def test_equal_weights_give_the_usual_correlation(own, reference) -> None:
    """With one photograph a plant the numbers are those of SciPy."""
    first, second = draw()
    assert own(first, second, np.ones(len(first))) == pytest.approx(reference(first, second).statistic)


def test_equal_weights_give_the_usual_skewness() -> None:
    """With one photograph a plant the number is that of SciPy."""
    first, _ = draw()
    assert weighted_skewness(first, np.ones(len(first))) == pytest.approx(stats.skew(first))


@pytest.mark.parametrize("statistic", [weighted_pearson, weighted_spearman])
@given(repeats=st.lists(st.integers(1, 9), min_size=12, max_size=12))
def test_photographs_of_a_plant_count_once(statistic, repeats) -> None:
    """However often each plant was photographed, the correlation over plants is the same."""
    first, second = draw(12)
    groups = pd.Series(np.repeat(np.arange(12), repeats))
    many = statistic(np.repeat(first, repeats), np.repeat(second, repeats), weigh_groups(groups))
    assert many == pytest.approx(statistic(first, second, np.ones(12)))


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e12, 1e300])
def test_units_do_not_matter(scale) -> None:
    """Very small and very large numbers have the correlation of middling ones."""
    first, second = draw()
    weights = np.ones(len(first))
    assert weighted_pearson(first * scale, second, weights) == pytest.approx(weighted_pearson(first, second, weights))


@pytest.mark.parametrize("values", [np.array([]), np.array([2.0]), np.full(5, 0.1) * 3])
def test_what_never_changes_has_no_correlation(values) -> None:
    """Nothing, one value and equal values give None instead of a warning."""
    weights = np.ones(len(values))
    assert is_constant(values)
    assert weighted_pearson(values, np.arange(float(len(values))), weights) is None
    assert weighted_skewness(values, weights) is None
