"""Intervals of numbers: coverage as the theory has it, and the same numbers as MAPIE and scikit-learn."""

import dataclasses

import numpy as np
import pytest
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from scipy.stats import binom
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import QuantileRegressor

from factories.clustered_numbers import draw_plants
from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.interval_shapes import find_margins, fit_quantile
from phytoscope.trust.intervals import fit_intervals
from phytoscope.trust.quantile import group_quantile

COVERAGE = 0.9
FIXED = [IntervalKind.constant, IntervalKind.scaled, IntervalKind.cqr]


def fit(calibration, val, kind, coverage=COVERAGE):
    rule, _ = fit_intervals(calibration, val, target=0, coverage=coverage, kind=kind, lowest=None, seed=0)
    return rule


def hold(rule, rows):
    lower, upper = rule.bound(rows.observed, 0)
    return (lower <= rows.truth[:, 0]) & (rows.truth[:, 0] <= upper)


@pytest.mark.parametrize("kind", FIXED)
@pytest.mark.parametrize("errors", ["even", "answer", "novelty", "skewed"])
def test_coverage_for_new_plants(kind, errors) -> None:
    """Over many draws of plants, one image of one new plant is held as often as promised, within binomial limits."""
    draws, n_plants = 800, 25
    shape = fit(draw_plants(10_000, n_plants), draw_plants(10_001, 12, errors=errors), kind)
    held = 0
    for seed in range(draws):
        rows = draw_plants(seed, n_plants, images=4, errors=errors)
        margins = find_margins(shape.fitted, kind, rows.observed, 0)
        scores = margins.score((rows.truth - rows.observed.answers)[:, 0])
        quantile, promised = group_quantile(scores, rows.groups, COVERAGE)
        assert promised == COVERAGE
        rule = dataclasses.replace(shape, quantile=quantile)
        held += int(hold(rule, draw_plants(20_000 + seed, 1, images=1, errors=errors))[0])
    # Not below what is promised, and not above by more than the one plant that the theory allows.
    assert held >= binom.ppf(0.001, draws, COVERAGE)
    assert held <= binom.ppf(0.999, draws, COVERAGE + 1 / (n_plants + 1))


def test_images_taken_for_plants_hold_less() -> None:
    """From five plants of 20 images, a quantile over images promises 90 % and holds clearly less; ours says 5/6."""
    ours, naive = [], []
    for seed in range(300):
        rows, new = draw_plants(seed, 5, images=20, shared=0.95), draw_plants(5000 + seed, 20, images=1, shared=0.95)
        rule = fit(rows, rows, IntervalKind.constant)
        assert rule.promised == pytest.approx(5 / 6)
        ours.append(hold(rule, new).mean())
        errors = np.abs(rows.truth - rows.observed.answers)[:, 0]
        width = np.sort(errors)[int(np.ceil((len(errors) + 1) * COVERAGE)) - 1]
        naive.append((np.abs(new.truth - new.observed.answers)[:, 0] <= width).mean())
    spread = np.std(naive, ddof=1) / np.sqrt(len(naive))
    assert np.mean(ours) > 5 / 6 - 3 * spread
    assert np.mean(naive) < COVERAGE - 3 * spread


@pytest.mark.parametrize("kind", [IntervalKind.scaled, IntervalKind.cqr])
def test_same_rows_for_both_hold_too(kind) -> None:
    """Where few plants give both shape and stretch, as after a cross-validation, new plants are still held."""
    draws, held, flattered = 30, [], []
    for seed in range(draws):
        rows, new = draw_plants(seed, 12, errors="answer"), draw_plants(30_000 + seed, 100, images=1, errors="answer")
        ours = fit(rows, rows, kind)
        held.append(hold(ours, new).mean())
        # The same shape, stretched by the rows it was fitted on.
        margins = find_margins(ours.fitted, kind, rows.observed, 0)
        quantile, _ = group_quantile(margins.score((rows.truth - rows.observed.answers)[:, 0]), rows.groups, COVERAGE)
        flattered.append(hold(dataclasses.replace(ours, quantile=quantile), new).mean())
    assert np.mean(held) > COVERAGE - 3 * np.std(held, ddof=1) / np.sqrt(draws)
    assert np.mean(held) > np.mean(flattered) + 0.01


@pytest.mark.parametrize("kind", [IntervalKind.scaled, IntervalKind.auto])
def test_narrower_where_errors_grow(kind) -> None:
    """Where errors grow with the answer, intervals are narrower on average and hold large and small plants alike."""
    rows, val, new = (draw_plants(seed, 60, errors="answer") for seed in (0, 1, 2))
    constant, ours = fit(rows, val, IntervalKind.constant), fit(rows, val, kind)
    width = np.mean(np.subtract(*ours.bound(new.observed, 0)[::-1]))
    assert width < 0.95 * 2 * constant.quantile
    large = new.observed.answers[:, 0] > 1.5
    assert hold(constant, new)[large].mean() < hold(ours, new)[large].mean()
    assert abs(hold(ours, new)[large].mean() - hold(ours, new)[~large].mean()) < 0.12


def test_not_wider_where_errors_are_even() -> None:
    """Where errors are the same everywhere, `auto` is on average not wider than constant by more than 3 %."""
    ratios = []
    for seed in range(12):
        rows, val = draw_plants(seed, 25), draw_plants(1000 + seed, 15)
        ours = fit(rows, val, IntervalKind.auto)
        width = np.mean(np.subtract(*ours.bound(rows.observed, 0)[::-1]))
        ratios.append(width / (2 * fit(rows, val, IntervalKind.constant).quantile))
    assert np.mean(ratios) < 1.03


class Given(RegressorMixin, BaseEstimator):
    """A regressor that gives one column of what it is asked about."""

    def __init__(self, column=0) -> None:
        self.column = column

    def fit(self, x, y):
        self.is_fitted = True
        return self

    def predict(self, x):
        return np.asarray(x)[:, self.column]


def lay_out(rows, fitted, kind) -> np.ndarray:
    # Columns: answer, lower and upper quantile of the truth, expected error.
    answers = rows.observed.answers[:, 0]
    margins = find_margins(fitted, kind, rows.observed, 0)
    return np.column_stack([answers, answers + margins.below, answers + margins.above, margins.unit])


@pytest.fixture
def single() -> list:
    """Calibration, val and new rows with one image a plant, which is what MAPIE knows."""
    return [draw_plants(seed, count, images=1, errors="answer") for seed, count in ((0, 101), (1, 90), (2, 50))]


def test_constant_is_mapies(single) -> None:
    """With one image a plant, constant intervals are those of MAPIE's split conformal regressor."""
    rows, val, new = single
    rule = fit(rows, val, IntervalKind.constant)
    mapie = SplitConformalRegressor(Given().fit(None, None), confidence_level=COVERAGE, prefit=True)
    mapie.conformalize(lay_out(rows, None, rule.kind), rows.truth[:, 0])
    _, ends = mapie.predict_interval(lay_out(new, None, rule.kind))
    np.testing.assert_allclose(np.column_stack(rule.bound(new.observed, 0)), ends[:, :, 0], rtol=1e-6)


def test_scaled_is_mapies(single) -> None:
    """With one image a plant and our expected errors, scaled intervals are MAPIE's with normalised residuals."""
    rows, val, new = single
    rule = fit(rows, val, IntervalKind.scaled)
    score = ResidualNormalisedScore(residual_estimator=Given(3).fit(None, None), prefit=True)
    mapie = SplitConformalRegressor(
        Given().fit(None, None), confidence_level=COVERAGE, conformity_score=score, prefit=True
    )
    mapie.conformalize(lay_out(rows, rule.fitted, rule.kind), rows.truth[:, 0])
    _, ends = mapie.predict_interval(lay_out(new, rule.fitted, rule.kind))
    np.testing.assert_allclose(np.column_stack(rule.bound(new.observed, 0)), ends[:, :, 0], rtol=1e-6)


def test_cqr_is_mapies(single) -> None:
    """With one image a plant and our quantiles, cqr is MAPIE's with a symmetric correction."""
    rows, val, new = single
    rule = fit(rows, val, IntervalKind.cqr)
    parts = [Given(column).fit(None, None) for column in (1, 2, 0)]
    mapie = ConformalizedQuantileRegressor(parts, confidence_level=COVERAGE, prefit=True)
    mapie.conformalize(lay_out(rows, rule.fitted, rule.kind), rows.truth[:, 0])
    _, ends = mapie.predict_interval(lay_out(new, rule.fitted, rule.kind), symmetric_correction=True)
    lower, upper = rule.bound(new.observed, 0)
    answers = new.observed.answers[:, 0]
    # Ours reach to the answer at least.
    np.testing.assert_allclose(lower, np.minimum(ends[:, 0, 0], answers), rtol=1e-6)
    np.testing.assert_allclose(upper, np.maximum(ends[:, 1, 0], answers), rtol=1e-6)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.95])
def test_quantile_regression_is_scikit_learns(level) -> None:
    """Without a sign to keep, coefficients are those of scikit-learn's quantile regression."""
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(200, 2)), rng.uniform(0.2, 1, 200)
    values = 1 + x @ [0.5, -1] + (1 + 0.5 * np.abs(x[:, 0])) * rng.standard_normal(200)
    expected = QuantileRegressor(quantile=level, alpha=0).fit(x, values, sample_weight=weights)
    design = np.column_stack([np.ones(200), x])
    ours = fit_quantile(design, values, level, weights, np.zeros(3, dtype=bool))
    np.testing.assert_allclose(ours, [expected.intercept_, *expected.coef_], atol=1e-6)
    kept = fit_quantile(design, values, level, weights, np.array([False, False, True]))
    assert kept[2] == pytest.approx(0, abs=1e-9)
