"""Groups are drawn, deterministically and whole, and undefined numbers get no interval."""

import numpy as np
import pytest

from factories.clusters import draw_classes, draw_values
from phytoscope.errors import ConfigError
from phytoscope.evaluate import bootstrap
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, Replicates, find_bounds, is_clear
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.value_sums import prepare_value_rows


def replicate(groups, target, preds, plan):
    sampler, rows = GroupSampler(groups, plan), prepare_value_rows(target, preds)
    return sampler, sampler.replicate(rows.sum_units(sampler, median=True)).map(rows.build_measure())


@pytest.mark.parametrize("changes", [{"draws": -1}, {"confidence": 0.0}, {"confidence": 1.0}, {"seed": -1}])
def test_impossible_plans_are_refused(changes):
    """A level of 1 would ask for everything."""
    with pytest.raises(ConfigError, match="bootstrap is"):
        BootstrapPlan(**changes)


def test_seed_zero_is_a_seed():
    """The same seed gives the same draws, another one others."""
    groups, target, preds = draw_values()
    draws = [replicate(groups, target, preds, BootstrapPlan(50, seed=seed))[1]["mae"].drawn for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_draws_do_not_depend_on_the_order_of_rows():
    """A shuffled table has the same intervals."""
    groups, target, preds = draw_values()
    order = np.random.default_rng(1).permutation(len(groups))
    first = replicate(groups, target, preds, BootstrapPlan(50))[1]["rmse"].drawn
    second = replicate(groups[order], target[order], preds[order], BootstrapPlan(50))[1]["rmse"].drawn
    assert np.allclose(first, second, rtol=1e-12)


def test_each_draw_has_as_many_groups_as_there_are():
    """The sums of counts say so, whether groups are merged or not."""
    for n_groups in (7, bootstrap.MAX_UNITS + 1):
        sampler = GroupSampler(np.arange(n_groups), BootstrapPlan(20))
        ones = np.bincount(sampler.units, minlength=sampler.n_units).astype(float)[:, None]
        found = sampler.replicate(ones)
        assert found.whole[0, 0] == n_groups
        assert found.drawn.mean() == pytest.approx(n_groups, rel=0.02)
        assert len(found.without) == sampler.n_units <= bootstrap.MAX_UNITS


def test_merged_groups_spread_as_groups_do(monkeypatch):
    """Fewer units than groups give the same standard error."""
    groups, target, preds = draw_values(n_groups=2000, per_group=2)
    whole = replicate(groups, target, preds, BootstrapPlan(1000))[1]["mae"].drawn.std()
    monkeypatch.setattr(bootstrap, "MAX_UNITS", 500)
    sampler, merged = replicate(groups, target, preds, BootstrapPlan(1000))
    assert (sampler.n_units, sampler.n_groups) == (500, 2000)
    assert merged["mae"].drawn.std() == pytest.approx(whole, rel=0.12)


def test_one_group_has_no_interval():
    """Nothing is known of other plants, not even where all images are right."""
    groups, true, predicted, probs = draw_classes(n_groups=1, alpha=1e6)
    sampler = GroupSampler(groups, BootstrapPlan(50))
    rows = prepare_class_rows(true, predicted, probs)
    found = sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())
    low, high = find_bounds(found["accuracy"], 1, 0.95, share=True)
    assert np.isnan(low)
    assert np.isnan(high)


def test_without_a_mistake_the_range_does_not_end_at_itself():
    """All right on 20 plants leaves room: the exact bound of Clopper and Pearson."""
    ones = Replicates(np.ones(1), np.ones(100), np.ones(20))
    low, high = find_bounds(ones, 20, 0.95, share=True)
    assert (float(low), float(high)) == pytest.approx((0.025 ** (1 / 20), 1.0))
    zeros = Replicates(np.zeros(1), np.zeros(100), np.zeros(20))
    low, high = find_bounds(zeros, 20, 0.95, share=True)
    assert (float(low), float(high)) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))


def test_numbers_that_are_mostly_undefined_have_no_interval():
    """A class that hardly any draw holds says nothing; a few draws without it do no harm."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.5, 0.1, (400, 2))
    drawn[:300, 0] = np.nan
    drawn[:10, 1] = np.nan
    values = Replicates(np.array([[0.5, 0.5]]), drawn, rng.normal(0.5, 0.01, (30, 2)))
    low, high = find_bounds(values, 30, 0.95)
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] == pytest.approx(0.3, abs=0.06)
    assert high[1] == pytest.approx(0.7, abs=0.06)


def test_no_draws_no_intervals():
    """Zero draws are a wish, not an error."""
    groups, target, preds = draw_values()
    _, found = replicate(groups, target, preds, BootstrapPlan(0))
    assert all(np.isnan(find_bounds(value, 20, 0.95)).all() for value in found.values())


def test_clear_differences_exceed_chance():
    """Ten standard errors are clear, one is not, and one group proves nothing."""
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.normal(mean, 0.1, 500) for mean in (1.0, 0.1, 1.0)], axis=1)
    gap = Replicates(np.array([[1.0, 0.1, 1.0]]), drawn, np.zeros((5, 3)))
    assert is_clear(gap, np.array([20, 20, 1]), 0.05).tolist() == [True, False, False]
