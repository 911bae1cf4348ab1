"""Significance by dealing groups anew."""

import numpy as np
import pytest
from scipy.special import comb

from phytoscope.evaluate.drift.permute import compare_blocks, count_draws, find_least_p, mark_new, permute


def draw_blocks(rng, n=30, widths=(4, 1, 10), shift=0.0, moved=()):
    blocks = [rng.normal(size=(n, width)) for width in widths]
    for place in moved:
        blocks[place][20:] += shift
    return blocks


def test_statistic_is_the_squared_difference_of_means():
    """Each block gives the squared length of the difference between both sides' means."""
    blocks = draw_blocks(np.random.default_rng(0))
    outcome = compare_blocks(blocks, 20, 10, 0.05, 99, [0])
    truth = [float(((block[20:].mean(axis=0) - block[:20].mean(axis=0)) ** 2).sum()) for block in blocks]
    np.testing.assert_allclose(outcome.statistics, truth, rtol=1e-5)


def test_expected_statistic_is_the_mean_over_all_ways_to_deal():
    """The formula for the mean by chance agrees with five thousand draws."""
    block = np.random.default_rng(0).gamma(1.0, size=(12, 3))
    expected = compare_blocks([block], 8, 4, 0.05, 99, [0]).expected[0]
    rng = np.random.default_rng(1)
    drawn = [rng.permutation(block) for _ in range(5000)]
    truth = np.mean([((deal[8:].mean(axis=0) - deal[:8].mean(axis=0)) ** 2).sum() for deal in drawn])
    assert expected == pytest.approx(truth, rel=0.05)


def test_only_what_moved_is_found():
    """One block of three moves; the others are not accused with it."""
    blocks = draw_blocks(np.random.default_rng(1), shift=3.0, moved=(1,))
    p_values = compare_blocks(blocks, 20, 10, 0.01, 999, [0]).p_values
    assert p_values[1] <= 0.001
    assert p_values[[0, 2]].min() > 0.05


def test_more_is_drawn_only_where_something_stands_out():
    """A strict threshold costs many draws when it may be reached, and the usual number otherwise."""
    calm = compare_blocks(draw_blocks(np.random.default_rng(2)), 20, 10, 1e-4, 199, [0])
    moved = compare_blocks(draw_blocks(np.random.default_rng(2), shift=4.0, moved=(0,)), 20, 10, 1e-4, 199, [0])
    assert calm.draws < 1000
    assert moved.draws == count_draws(1e-4, 199) == 20_000
    assert moved.p_values[0] <= 1e-4


def test_stopping_early_does_not_change_the_decision():
    """Over many looks, the early stop decides as all draws would have."""
    decisions = []
    for seed in range(60):
        blocks = draw_blocks(np.random.default_rng(seed), shift=0.9, moved=(1,))
        short = compare_blocks(blocks, 20, 10, 0.004, 99, [seed]).p_values.min() <= 0.004
        long = compare_blocks(blocks, 20, 10, 0.004, 500, [seed]).p_values.min() <= 0.004
        decisions.append((short, long))
    assert 5 < sum(long for _, long in decisions) < 55
    assert all(short == long for short, long in decisions)


def test_tail_goes_on_where_draws_end():
    """Beyond the last draw the p-value of a standard normal is continued on the safe side, within a factor of 100."""
    rng = np.random.default_rng(0)
    calls = []

    def score(sides):
        calls.append(len(sides))
        return np.array([[6.0]]) if len(calls) == 1 else rng.normal(size=(len(sides), 1))

    p_values, drawn = permute(score, 20, 10, 1e-8, 999, [0])
    assert drawn == 200_000
    assert 1e-9 < p_values[0] < 1e-7


def test_nothing_that_varies_never_stands_out():
    """Columns that are the same everywhere have a p-value of 1, beside others that move."""
    moved = np.arange(30.0)[:, None]
    p_values = compare_blocks([np.ones((30, 2)), moved], 20, 10, 0.05, 199, [0]).p_values
    assert p_values[0] == 1.0
    assert p_values[1] < 0.05


@pytest.mark.parametrize(("first", "second"), [(3, 9), (9, 3)])
def test_all_ways_to_deal_are_equally_likely(first, second):
    """Whichever side is smaller, each group is new as often as its side is large, and the mark keeps its meaning."""
    seen = []

    def score(sides):
        seen.append(sides)
        return sides[:, :1].astype(float)

    permute(score, first, second, 0.0, 4000, [0])
    assert seen[0].tolist() == mark_new(first, second).tolist()
    dealt = np.concatenate(seen[1:])
    assert (dealt.sum(axis=1) == second).all()
    np.testing.assert_allclose(dealt.mean(axis=0), second / 12, atol=0.05)


def test_least_p_counts_the_ways_to_deal():
    """With 10 and 2 groups there are 66 ways, and no p-value below 1 / 66 can mean anything."""
    assert find_least_p(10, 2) == pytest.approx(1 / comb(12, 2))


def test_wanted_draws():
    """Two draws beyond the threshold, no fewer than asked for and no more than 200,000; no threshold needs no more."""
    assert [count_draws(alpha, 1000) for alpha in (0.05, 1e-4, 1e-9, 0.0)] == [1000, 20_000, 200_000, 1000]
