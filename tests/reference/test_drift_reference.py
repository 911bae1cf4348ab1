"""Drift against brute force, SciPy, scikit-learn and theory."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from scipy import stats

from factories.drift import draw_side
from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.evaluate.drift.kernel import average_kernel, find_components, find_width, map_features, whiten
from phytoscope.evaluate.drift.permute import compare_blocks
from phytoscope.evaluate.drift.pool import pool_sides
from phytoscope.evaluate.drift.spending import share_of_look
from phytoscope.schema.drift import LookSummary

decomposition = pytest.importorskip("sklearn.decomposition")
pairwise = pytest.importorskip("sklearn.metrics.pairwise")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_statistic_is_the_maximum_mean_discrepancy(rng):
    """The statistic of the features is the biased MMD of Gretton 2012, equation 5, between means of groups."""
    pool = pool_sides(draw_side(rng, 12, 3), draw_side(rng, 7, 3, shift=1.0), rng, None)
    axes = whiten(pool.features)
    width = find_width(axes, np.random.default_rng(1))
    kernel = pairwise.rbf_kernel(axes, gamma=1 / width)
    new = pool.codes >= pool.n_reference
    truth = kernel[np.ix_(new, new)].mean() + kernel[np.ix_(~new, ~new)].mean() - 2 * kernel[np.ix_(new, ~new)].mean()
    columns = map_features(pool, np.random.default_rng(1))
    assert compare_blocks([columns], 12, 7, 0.05, 99, [0]).statistics[0] == pytest.approx(truth, rel=1e-3)


def test_whitening_against_scikit_learn(rng):
    """Distances between images are those of scikit-learn's whitened principal components."""
    features = (rng.normal(size=(200, 40)) * np.linspace(0.2, 3, 40)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    theirs = decomposition.PCA(32, whiten=True, svd_solver="full").fit_transform(unit)
    # Theirs divides by n - 1.
    expected = pairwise.euclidean_distances(theirs) * np.sqrt(200 / 199)
    np.testing.assert_allclose(pairwise.euclidean_distances(whiten(features)), expected, atol=0.05)


def test_p_value_against_all_ways_to_deal(rng):
    """With few groups the permutation p-value is the share of all 210 ways that are at least as far apart."""
    values = rng.normal(size=(10, 3))
    values[6:] += 0.8
    ours = compare_blocks([values], 6, 4, 0.001, 9999, [0]).p_values[0]
    apart = []
    for chosen in itertools.combinations(range(10), 4):
        is_new = np.isin(np.arange(10), chosen)
        apart.append(((values[is_new].mean(axis=0) - values[~is_new].mean(axis=0)) ** 2).sum())
    truth = np.mean(np.array(apart) >= apart[-1] - 1e-9)
    assert ours == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / 9999) + 1e-3)


def test_one_column_against_scipy(rng):
    """For one number a group the p-value is that of SciPy's permutation test of the means."""
    first, second = rng.normal(size=15), rng.normal(0.8, 1, size=9)
    ours = compare_blocks([np.concatenate([first, second])[:, None]], 15, 9, 0.0, 9999, [0]).p_values[0]
    theirs = stats.permutation_test(
        (first, second), lambda a, b: abs(a.mean() - b.mean()), permutation_type="independent",
        n_resamples=9999, alternative="greater", rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.slow
def test_p_values_are_uniform_when_nothing_has_changed():
    """The smallest adjusted p-value of a look is uniform over 400 looks (Kolmogorov-Smirnov, level 0.1 %)."""
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        report = compare_batch(draw_side(rng, 15, 3), draw_side(rng, 8, 3), DriftPlan(draws=199, seed=seed))
        found.append(min(finding.p_value for finding in report.findings))
    assert stats.kstest(found, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_promise_holds_over_repeated_looks():
    """Of 40 monitors that look 12 times at unchanged plants with one reference, 5 % may alarm: 7 would be too many."""
    plan = DriftPlan(draws=99, window=1)
    alarms = naive = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        reference, past = draw_side(rng, 12, 2), []
        for _ in range(12):
            past.append(compare_batch(reference, draw_side(rng, 6, 2), plan, past).summarize())
        alarms += any(look.fired for look in past)
        naive += any(min(look.p_values.values()) <= 0.05 for look in past)
    assert alarms <= 6
    assert naive >= 12


def test_late_looks_still_find_what_is_clear():
    """At look 100 a plain change is found: the threshold falls, but with the logarithm of the looks only."""
    rng = np.random.default_rng(0)
    past = [LookSummary(look, "", 30, 10, 0.05 * share_of_look(look), False) for look in range(1, 100)]
    report = compare_batch(draw_side(rng, 40, 3), draw_side(rng, 12, 3, shift=1.5), DriftPlan(draws=199), past)
    assert report.alpha < 1e-4
    assert report.fired


def test_whitening_finds_what_another_camera_changes():
    """A small move along a direction in which plants differ little: plain features miss it, whitened ones do not."""
    scales = np.concatenate([np.full(8, 5.0), np.full(24, 0.5)])
    moved = np.concatenate([np.zeros(8), np.full(24, 0.25)])
    ours, plain = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sides = []
        for n, shift in ((60, 0.0), (25, 1.0)):
            features = (rng.normal(size=(n, 32)) * scales + shift * moved).astype(np.float32)
            sides.append(DriftSide(features, pd.DataFrame({"group_id": np.arange(n)})))
        pool = pool_sides(*sides, rng, None)
        ours.append(compare_blocks([map_features(pool, rng)], 60, 25, 0.0, 199, [seed]).p_values[0])
        raw = find_components(average_kernel(pool.features, pool.codes, find_width(pool.features, rng)))
        plain.append(compare_blocks([raw], 60, 25, 0.0, 199, [seed]).p_values[0])
    assert np.median(ours) <= 0.01
    assert np.median(plain) > 0.05


def test_a_thousand_images_against_a_thousand_take_seconds(rng):
    """1,000 new images against 1,000 of the reference, 576 features, each its own plant: below 20 s of one core."""
    sides = [draw_side(rng, 1000, 1, width=576) for _ in range(2)]
    with threadpoolctl.threadpool_limits(1):
        begin = time.process_time()
        report = compare_batch(*sides, DriftPlan())
        seconds = time.process_time() - begin
    assert (report.n, report.n_reference, report.draws) == (1000, 1000, 1000)
    assert seconds < 20
