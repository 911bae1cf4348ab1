"""Intervals agree with drawing whole groups by hand, and hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from factories.clusters import draw_classes, draw_values
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, find_bounds
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.value_sums import prepare_value_rows

DRAWS = 1000


def draw_by_hand(groups, measure, seed=1):
    """Draw groups with all their images, one after the other, and measure each draw: name -> values."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = []
    for _ in range(DRAWS):
        rows = np.concatenate([members[place] for place in rng.integers(0, len(members), len(members))])
        found.append({metric.name: metric.value for metric in measure(rows)})
    return {name: np.array([draw[name] for draw in found], dtype=float) for name in found[0]}


def assert_same_distribution(ours, by_hand):
    """Means, spreads and quantiles agree within the noise of 1000 draws each."""
    spread = by_hand.std()
    assert ours.mean() == pytest.approx(by_hand.mean(), abs=0.18 * spread)
    assert ours.std() == pytest.approx(spread, rel=0.12)
    assert stats.ks_2samp(ours, by_hand).pvalue > 1e-4


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "balanced_accuracy", "top3_accuracy", "nll", "brier"])
def test_draws_of_class_metrics_are_those_of_whole_groups(name):
    """Sums weighted by counts are what resampled rows give, plants of different sizes included."""
    groups, true, predicted, probs = draw_classes(n_classes=5, alpha=3.0)
    kept = np.random.default_rng(3).random(len(groups)) < 0.6
    groups, true, predicted, probs = groups[kept], true[kept], predicted[kept], probs[kept]
    sampler, rows = GroupSampler(groups, BootstrapPlan(DRAWS)), prepare_class_rows(true, predicted, probs)
    ours = sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())[name].drawn
    by_hand = draw_by_hand(groups, lambda rows: measure_classification(true[rows], predicted[rows], probs[rows]))
    assert_same_distribution(ours, by_hand[name])


@pytest.mark.parametrize("name", ["r2", "rmse", "mae", "bias", "median_ae", "mape", "pearson_r"])
def test_draws_of_value_metrics_are_those_of_whole_groups(name):
    """The median too, although it is no function of a few sums."""
    groups, target, preds = draw_values()
    sampler, rows = GroupSampler(groups, BootstrapPlan(DRAWS)), prepare_value_rows(target, preds)
    ours = sampler.replicate(rows.sum_units(sampler, median=True)).map(rows.build_measure())[name].drawn
    by_hand = draw_by_hand(groups, lambda rows: measure_regression(target[rows], preds[rows], "g"))
    assert_same_distribution(ours, by_hand[name])


def measure_coverage(draw, prepare, name, truth, *, share, by_image, n=200):
    """Share of drawn data sets whose 95 % interval holds the truth."""
    held = 0
    for seed in range(n):
        groups, *answers = draw(seed=seed)
        units = np.arange(len(groups)) if by_image else groups
        sampler, rows = GroupSampler(units, BootstrapPlan(300, seed=seed)), prepare(*answers)
        found = sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())[name]
        low, high = find_bounds(found, sampler.n_groups, 0.95, share=share)
        held += bool(low <= truth <= high)
    return held / n


def draw_few_values(seed):
    return draw_values(n_groups=15, per_group=6, seed=seed)


def draw_few_classes(seed):
    return draw_classes(n_groups=15, per_group=6, alpha=4.0, seed=seed)


def test_intervals_by_group_hold_the_truth_and_those_by_image_do_not():
    """95 % are promised; drawing images instead of plants keeps only half of that for values."""
    held = {
        by_image: measure_coverage(draw_few_values, prepare_value_rows, "bias", 0.0, share=False, by_image=by_image)
        for by_image in (False, True)
    }
    # 200 data sets: three standard deviations of a true 95 % are 4.6 points.
    assert held[False] >= 0.904
    assert held[True] < 0.75


def test_intervals_of_accuracy_hold_the_truth():
    """Accuracy over plants of unequal difficulty, where draws of images fall short."""
    held = {
        by_image: measure_coverage(draw_few_classes, prepare_class_rows, "accuracy", 0.8, share=True, by_image=by_image)
        for by_image in (False, True)
    }
    assert held[False] >= 0.904
    assert held[True] < held[False] - 0.05
