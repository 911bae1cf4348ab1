"""Quantiles over groups."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.trust.quantile import count_groups_needed, group_quantile, weigh_groups, word_promise

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n", "coverage"), [(19, 0.9), (20, 0.9), (99, 0.95), (1000, 0.8)])
def test_one_image_a_group_is_split_conformal(n, coverage) -> None:
    """Where every image is its own group, the quantile is the usual one of (n + 1)."""
    scores = RNG.normal(size=n)
    rank = math.ceil(round((n + 1) * coverage, 9))
    assert group_quantile(scores, np.arange(n), coverage) == (np.sort(scores)[rank - 1], coverage)


def test_number_of_images_of_a_group_does_not_count() -> None:
    """A group photographed a hundred times weighs as much as one photographed once."""
    scores, groups = RNG.normal(size=30), np.arange(30)
    many = np.concatenate([scores, np.full(99, scores[7])]), np.concatenate([groups, np.full(99, 7)])
    for coverage in (0.5, 0.8, 0.9):
        assert group_quantile(*many, coverage) == group_quantile(scores, groups, coverage)


def test_weights_of_groups_are_shares_of_one() -> None:
    """The images of each group share a weight of one."""
    weights, n_groups = weigh_groups(np.array(["a", "b", "a", None, "a"], dtype=object))
    np.testing.assert_allclose(weights, [1 / 3, 1, 1 / 3, 1, 1 / 3])
    assert n_groups == 3


@pytest.mark.parametrize(("n_groups", "promised"), [(1, 0.5), (8, 8 / 9), (9, 0.9), (10, 0.9)])
def test_few_groups_promise_less(n_groups, promised) -> None:
    """With G groups no more than G / (G + 1) is promised, by the largest score."""
    scores, groups = RNG.normal(size=4 * n_groups), np.arange(4 * n_groups) % n_groups
    quantile, found = group_quantile(scores, groups, 0.9)
    assert found == pytest.approx(promised)
    if n_groups < 9:
        assert quantile == scores.max()


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_number_of_groups_needed(coverage, needed) -> None:
    """From this number of groups on the coverage itself is promised, and the remark says so."""
    assert count_groups_needed(coverage) == needed
    assert group_quantile(np.zeros(needed), np.arange(needed), coverage)[1] == coverage
    if needed > 1:
        assert group_quantile(np.zeros(needed - 1), np.arange(needed - 1), coverage)[1] < coverage
    assert f"{needed} are needed" in word_promise("Sets", needed - 1, (needed - 1) / needed, coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_coverage_out_of_range_is_refused(coverage) -> None:
    """A coverage of 0, 1 or beyond cannot be promised."""
    with pytest.raises(ConfigError, match="coverage is"):
        group_quantile(np.zeros(3), np.arange(3), coverage)


@pytest.mark.parametrize("scores", [[], [0.1, math.nan]])
def test_scores_that_are_no_numbers_are_refused(scores) -> None:
    """No quantile is made up where there is none."""
    with pytest.raises(DataValidationError, match="scores"):
        group_quantile(np.array(scores), np.arange(len(scores)), 0.9)


@given(
    st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 5)), min_size=1, max_size=40),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
def test_quantile_rises_with_coverage(rows, first, second) -> None:
    """Who wants more never gets a smaller limit, and the limit is one of the scores."""
    scores, groups = np.array([score for score, _ in rows]), np.array([group for _, group in rows])
    low, high = (group_quantile(scores, groups, coverage)[0] for coverage in sorted((first, second)))
    assert low <= high
    assert low in scores
