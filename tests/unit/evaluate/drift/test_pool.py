"""Both sides are put together so that nothing but a change tells them apart."""

import numpy as np
import pytest

from factories.drift import draw_side
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.evaluate.drift import DriftPlan, DriftSide, join_sides
from phytoscope.evaluate.drift.pool import match_sizes, pool_sides


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_groups_become_equally_large_and_none_is_lost(rng):
    """Ten photographs a plant here and one or two there become one or two on both sides."""
    first, second = np.repeat(np.arange(4), 10), np.repeat(np.arange(8), [1, 1, 1, 1, 2, 2, 2, 2])
    kept = match_sizes(first, second, rng)
    sizes = [np.sort(np.bincount(codes[rows])) for codes, rows in zip((first, second), kept, strict=True)]
    assert sizes[0].tolist() == [1, 1, 2, 2]
    assert sizes[1].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert all((np.diff(rows) > 0).all() for rows in kept)


def test_equal_sizes_lose_no_photograph(rng):
    """Where both sides photograph alike, all is kept."""
    codes = np.repeat(np.arange(6), [1, 2, 3, 1, 2, 3])
    first, second = match_sizes(codes, codes[::-1].copy(), rng)
    assert len(first) == len(second) == len(codes)


def test_kept_photographs_are_drawn_by_chance(rng):
    """Not always the first photograph of a plant is kept: a series may begin in the morning."""
    codes, single = np.repeat(np.arange(200), 4), np.arange(200)
    kept, _ = match_sizes(codes, single, rng)
    assert np.bincount(kept % 4, minlength=4).min() > 25


def test_pool_averages_groups_and_leaves_gaps_out(rng):
    """A mean of a group is over the values it has; a group without one has none."""
    pool = pool_sides(draw_side(rng, 3, 2), draw_side(rng, 2, 2), rng, None)
    values = np.array([1.0, 3.0, np.nan, 5.0, np.nan, np.nan, 7.0, 7.0, 0.0, 2.0])[:, None]
    np.testing.assert_array_equal(pool.average(values)[:, 0], [2.0, 5.0, np.nan, 7.0, 1.0])
    assert (pool.n_reference, pool.n_new, pool.n_groups) == (3, 2, 5)


def test_at_most_so_many_images_in_whole_groups(rng):
    """Fifty of a hundred images are ten whole plants, but for the last one."""
    pool = pool_sides(draw_side(rng, 20, 5), draw_side(rng, 4, 5), rng, 52)
    sizes = np.bincount(pool.codes)[: pool.n_reference]
    assert sizes.sum() == 52
    assert np.sort(sizes).tolist() == [2] + [5] * 10


def test_a_plant_on_both_sides_is_two_groups(rng):
    """The same name on both sides does not mix old and new photographs."""
    side = draw_side(rng, 5, 2)
    assert pool_sides(side, side, rng, None).n_groups == 10


def test_a_plant_of_several_looks_is_one_group(rng):
    """Looks that are joined keep a plant together that was photographed at each."""
    side = draw_side(rng, 5, 2)
    assert join_sides([side, side]).n_groups == 5


def test_sides_that_cannot_be_compared_are_refused(rng):
    """Rows that do not match, no image, features that are not finite, missing groups, and another model's features."""
    side = draw_side(rng, 4, 2)
    with pytest.raises(DataValidationError, match="7"):
        DriftSide(side.features[:7], side.table)
    with pytest.raises(DataValidationError, match="at least one"):
        DriftSide(side.features[:0], side.table[:0])
    with pytest.raises(DataValidationError, match="of 1 images are not finite"):
        DriftSide(np.where(np.arange(8)[:, None] == 3, np.nan, side.features), side.table)
    with pytest.raises(DataValidationError, match="group_id"):
        DriftSide(side.features, side.table.drop(columns="group_id"))
    with pytest.raises(DataValidationError, match=r"\[7, 8\]"):
        join_sides([side, DriftSide(side.features[:, :7], side.table)])


@pytest.mark.parametrize("wrong", [{"false_alarm": 0.0}, {"draws": 98}, {"window": 0}, {"max_images": 1}, {"seed": -1}])
def test_impossible_plans_are_refused(wrong):
    """A plan out of range names the value and what is allowed."""
    with pytest.raises(ConfigError, match=f"{next(iter(wrong.values()))}.*allowed are"):
        DriftPlan(**wrong)
