"""Groups are dealt by whole numbers alone, those that are alike in one go, and no rule starves a part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phytoscope.data.split.deal import count_groups, deal_groups

SHARES = [0.6, 0.1, 0.1, 0.2]


def test_counts_are_sparse():
    """Only strata that a group holds are counted; a choice of groups keeps theirs."""
    groups, strata = np.array([2, 0, 2, 2, 1]), np.array([5, 0, 5, 1, 3])
    counts = count_groups(groups, strata, 3)
    assert (counts.starts.tolist(), counts.strata.tolist()) == ([0, 1, 2, 4], [0, 3, 1, 5])
    assert counts.images.tolist() == [1, 1, 1, 2]
    chosen = counts.of(np.array([True, False, True]))
    assert (chosen.starts.tolist(), chosen.strata.tolist()) == ([0, 1, 3], [0, 1, 5])
    assert chosen.n_groups == 2


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("n_groups", [40, 1_000, 20_000])
def test_equal_groups_come_out_exactly(n_groups, everywhere):
    """Groups that are alike are dealt in one go without losing a single one."""
    counts = count_groups(np.repeat(np.arange(n_groups), 3), np.zeros(3 * n_groups, dtype=np.int64), n_groups)
    dealt = deal_groups(counts, SHARES, 0, everywhere=everywhere)
    assert np.bincount(dealt).tolist() == [round(share * n_groups) for share in SHARES]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), min_size=4, max_size=60),
    st.integers(0, 99),
    st.booleans(),
)
def test_every_part_has_a_group(drawn, seed, everywhere):
    """Whatever the sizes and strata, each group is dealt, and no part is empty."""
    sizes, strata = (np.array(column, dtype=np.int64) for column in zip(*drawn, strict=True))
    counts = count_groups(np.repeat(np.arange(len(sizes)), sizes), np.repeat(strata, sizes), len(sizes))
    dealt = deal_groups(counts, SHARES, seed, everywhere=everywhere)
    assert set(dealt.tolist()) == {0, 1, 2, 3}


def test_groups_of_many_strata_are_balanced():
    """Groups that hold several classes are dealt so that each class is nearly everywhere in its share."""
    rng = np.random.default_rng(0)
    groups, strata = np.repeat(np.arange(300), 10), rng.integers(0, 8, 3_000)
    dealt = deal_groups(count_groups(groups, strata, 300), SHARES, 0)[groups]
    for stratum in range(8):
        shares = np.bincount(dealt[strata == stratum], minlength=4) / (strata == stratum).sum()
        assert np.abs(shares - SHARES).max() < 0.03
