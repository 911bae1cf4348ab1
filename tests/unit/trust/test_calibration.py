"""Temperature and vector scaling."""

import json

import numpy as np
import pytest

from phytoscope.evaluate.classification import compute_brier, compute_ece, compute_nll
from phytoscope.schema.choices import CalibrationKind
from phytoscope.trust.calibration import Calibration, fit_calibration
from phytoscope.trust.observed import Labelled, Observed
from tests.factories.clustered_classes import draw_classes, soften

KINDS = [CalibrationKind.temperature, CalibrationKind.vector]


def label(probs, truth, groups=None) -> Labelled:
    probs = np.asarray(probs, dtype=np.float64)
    groups = np.arange(len(probs)) if groups is None else groups
    return Labelled(Observed(probs, np.full(len(probs), np.nan)), np.asarray(truth), np.asarray(groups, dtype=object))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_worse_on_the_calibration_rows(kind, seed) -> None:
    """Log loss, Brier score and calibration error are never worse after fitting, and log loss is better."""
    rows = draw_classes(np.random.default_rng(seed), 400, temperature=2.0)
    fitted, _ = fit_calibration(kind, rows)
    before, truth = rows.observed.answers, rows.truth
    after = fitted.apply(before)
    assert compute_nll(truth, after) < compute_nll(truth, before)
    assert compute_brier(truth, after) <= compute_brier(truth, before)
    assert compute_ece(truth, after.argmax(1), after) <= compute_ece(truth, before.argmax(1), before) + 1e-3


def test_honest_probabilities_are_left_nearly_alone() -> None:
    """Where nothing is wrong, the temperature is close to 1."""
    fitted, _ = fit_calibration(CalibrationKind.temperature, draw_classes(np.random.default_rng(5), 4000))
    assert 1.0 / fitted.scale[0] == pytest.approx(1.0, abs=0.1)


def test_temperature_keeps_the_order_of_the_classes() -> None:
    """One temperature for all never changes which class is named first, and rows still sum to 1."""
    probs = draw_classes(np.random.default_rng(1), 200).observed.answers
    for scale in (0.1, 0.5, 3.0):
        after = Calibration(CalibrationKind.temperature, (scale,)).apply(probs)
        np.testing.assert_array_equal(np.argsort(after, axis=1), np.argsort(probs, axis=1))
        np.testing.assert_allclose(after.sum(axis=1), 1.0)


def test_temperature_is_one_over_the_scale() -> None:
    """The temperature is told for temperature scaling only."""
    assert Calibration(CalibrationKind.temperature, (0.5,)).temperature == 2.0
    assert Calibration().temperature is None
    assert Calibration(CalibrationKind.vector, (1.0, 1.0), (0.0, 0.0)).temperature is None


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(CalibrationKind.temperature, (1.0,))])
def test_scale_of_one_changes_nothing(calibration) -> None:
    """No scaling, or one by 1, gives the probabilities back, zeros included."""
    probs = np.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(calibration.apply(probs), probs, atol=1e-15)


def test_rows_that_are_no_numbers_stay_none() -> None:
    """A row with NaN or infinity gives NaN without a warning, and leaves its neighbours alone."""
    probs = np.array([[np.nan, 0.5], [np.inf, 0.5], [0.2, 0.8]])
    after = Calibration(CalibrationKind.temperature, (0.5,)).apply(probs)
    assert np.isnan(after[:2]).all()
    np.testing.assert_allclose(after[2], [1 / 3, 2 / 3])


def test_zero_for_the_truth_does_not_break_the_fit() -> None:
    """A probability of exactly 0 for the true class costs much, but not everything."""
    rng = np.random.default_rng(2)
    probs = soften(rng.normal(size=(100, 3)) * 6.0)
    probs[probs < 1e-3] = 0.0
    probs /= probs.sum(axis=1, keepdims=True)
    truth = rng.integers(0, 3, 100)
    fitted, _ = fit_calibration(CalibrationKind.temperature, label(probs, truth))
    assert np.isfinite(fitted.scale[0])
    assert fitted.temperature > 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_are_not_fitted_on(kind) -> None:
    """With fewer than 30 rows, or one class, probabilities stay as they are and a remark says why."""
    few = draw_classes(np.random.default_rng(0), 29, temperature=3.0)
    one = label(np.tile([0.7, 0.3], (60, 1)), np.zeros(60, dtype=np.int64))
    empty = label(np.empty((0, 3)), np.empty(0, dtype=np.int64))
    for rows in (few, one, empty):
        fitted, remarks = fit_calibration(kind, rows)
        assert fitted == Calibration()
        assert len(remarks) == 1
        assert f"{len(rows)} images" in remarks[0]


def test_none_is_none() -> None:
    """Who wants no calibration gets none, without a remark."""
    rows = draw_classes(np.random.default_rng(0), 100, temperature=3.0)
    assert fit_calibration(CalibrationKind.none, rows) == (Calibration(), [])


@pytest.mark.parametrize("groups", [40, 400])
def test_split_without_a_mistake_leaves_some_doubt(groups) -> None:
    """A split without a mistake does not make the model sure of everything: about one mistake in G + 1 is left."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, groups)
    probs = np.full((groups, 3), 0.1)
    probs[np.arange(groups), truth] = 0.8
    fitted, _ = fit_calibration(CalibrationKind.temperature, label(probs, truth))
    sure = fitted.apply(probs).max(axis=1)
    assert 0.8 < sure.max() <= 1.0 - 1.0 / (groups + 1.0) + 1e-6


def test_large_group_does_not_pull_the_temperature() -> None:
    """A leaf photographed many times counts as one leaf."""
    rows = draw_classes(np.random.default_rng(3), 100, temperature=2.0)
    alone, _ = fit_calibration(CalibrationKind.temperature, rows)
    wrong = int(np.flatnonzero(rows.observed.answers.argmax(1) != rows.truth)[0])
    places = np.concatenate([np.arange(100), np.full(300, wrong)])
    many = label(rows.observed.answers[places], rows.truth[places], rows.groups[places])
    assert fit_calibration(CalibrationKind.temperature, many)[0].scale == pytest.approx(alone.scale, rel=1e-3)


def test_vector_mends_what_a_temperature_cannot() -> None:
    """A class that the network names too readily is held back."""
    rng = np.random.default_rng(4)
    honest = draw_classes(rng, 3000, 3, lean=2.0)
    shifted = soften(np.log(honest.observed.answers) + np.array([1.5, 0.0, 0.0]))
    rows = label(shifted, honest.truth, honest.groups)
    vector, remarks = fit_calibration(CalibrationKind.vector, rows)
    temperature, _ = fit_calibration(CalibrationKind.temperature, rows)
    assert remarks == []
    assert vector.kind is CalibrationKind.vector
    assert vector.bias[0] - max(vector.bias[1:]) == pytest.approx(-1.5, abs=0.3)
    gain = compute_nll(honest.truth, temperature.apply(shifted)) - compute_nll(honest.truth, vector.apply(shifted))
    assert gain > 0.05


def test_vector_stays_by_the_temperature_where_rows_are_few() -> None:
    """On few rows the vector is no worse for new images than the temperature by more than a little."""
    losses = {kind: [] for kind in KINDS}
    new = draw_classes(np.random.default_rng(99), 3000, temperature=2.0)
    for seed in range(6):
        rows = draw_classes(np.random.default_rng(seed), 40, temperature=2.0)
        for kind in KINDS:
            fitted, _ = fit_calibration(kind, rows)
            losses[kind].append(compute_nll(new.truth, fitted.apply(new.observed.answers)))
    means = [float(np.mean(losses[kind])) for kind in KINDS]
    assert means[1] <= means[0] + 0.03
    assert means[0] < compute_nll(new.truth, new.observed.answers)


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_survives_json(kind) -> None:
    """What is written to JSON comes back as the same calibration."""
    fitted, _ = fit_calibration(kind, draw_classes(np.random.default_rng(0), 200, temperature=2.0))
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
