"""The scale on which a number is learned."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.models.target import TargetScale, fit_linked_scale, fit_scale, fit_target_scale, skewness
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig

SKEWED = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 9.0])
EVEN = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@given(st.lists(numbers, min_size=2, max_size=30), st.sampled_from(["none", "auto"]))
def test_round_trip(values, transform) -> None:
    """What `forward` changes, `inverse` restores."""
    target = np.array(values)
    if np.ptp(target) < 1e-3:
        return
    scale = fit_target_scale(target, TargetTransform(transform))
    np.testing.assert_allclose(scale.inverse(scale.forward(target)), target, rtol=1e-6, atol=1e-6 * np.ptp(target))


@pytest.mark.parametrize("transform", ["log1p", "sqrt", "yeo_johnson"])
@given(values=st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=30))
def test_round_trip_of_curves(transform, values) -> None:
    """Zero included, every curve can be undone."""
    target = np.array(values)
    if np.ptp(target) < 1e-3:
        return
    scale = fit_target_scale(target, TargetTransform(transform))
    np.testing.assert_allclose(scale.restore(scale.forward(target)), target, rtol=1e-6, atol=1e-6 * np.ptp(target))
    np.testing.assert_allclose(scale.inverse(scale.forward(target)), target, rtol=1e-6, atol=1e-6 * np.ptp(target))


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt", "yeo_johnson"])
def test_training_targets_are_standardised(transform) -> None:
    """On the rows it was fitted on, the learned scale has mean 0 and standard deviation 1."""
    scaled = fit_target_scale(SKEWED, TargetTransform(transform)).forward(SKEWED)
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt", "yeo_johnson"])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_unit_does_not_matter(transform, factor) -> None:
    """Grams and kilograms give the same learned values."""
    grams = fit_target_scale(SKEWED, TargetTransform(transform)).forward(SKEWED)
    other = fit_target_scale(SKEWED * factor, TargetTransform(transform)).forward(SKEWED * factor)
    np.testing.assert_allclose(other, grams, rtol=1e-6)


@pytest.mark.parametrize(
    ("target", "expected"),
    [(SKEWED, "log1p"), (EVEN, "none"), (-SKEWED, "none"), (SKEWED - 0.2, "none"), (SKEWED - 0.1, "log1p")],
)
def test_auto_takes_log1p_for_skewed_targets_that_are_not_negative(target, expected) -> None:
    """Skewness above 1 and no negative value."""
    assert fit_target_scale(target, TargetTransform.auto).transform == expected


@pytest.mark.parametrize("transform", ["log1p", "sqrt"])
def test_negative_target_refuses_curves_for_amounts(transform) -> None:
    """A curve for amounts on a negative target is an error that names the remedy."""
    with pytest.raises(DataValidationError, match=r"smallest is -1: choose task\.target_transform=none or yeo_johnson"):
        fit_target_scale(EVEN - 2, TargetTransform(transform))


def test_stray_negative_value_stays_a_number() -> None:
    """A negative value in validation does no harm to a scale that was fitted on amounts."""
    for transform in ("log1p", "sqrt"):
        scale = fit_target_scale(SKEWED, TargetTransform(transform))
        strays = np.array([-5.0, -1e9])
        np.testing.assert_allclose(scale.restore(scale.forward(strays)), strays)


@pytest.mark.parametrize("transform", list(TargetTransform))
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_target_is_refused(transform, value) -> None:
    """There is nothing to learn from a target that never changes, 0 included."""
    with pytest.raises(DataValidationError, match=f"the target is {value:g} in every training row"):
        fit_target_scale(np.full(5, value), transform)


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize(("lower", "expected"), [(0.0, 0.0), (0.25, 0.25)])
def test_answer_is_not_below_what_is_possible(transform, lower, expected) -> None:
    """The lower bound holds, also when it is 0."""
    scale = fit_target_scale(SKEWED, TargetTransform(transform), lower)
    assert scale.inverse(np.array([-100.0, 0.0]))[0] == expected


def test_without_bound_an_answer_may_be_negative() -> None:
    """None means that any value is possible."""
    assert fit_target_scale(EVEN, TargetTransform.none).inverse(np.array([-100.0]))[0] < 0


def test_bound_is_not_applied_to_targets() -> None:
    """Only answers are bounded."""
    scale = TargetScale(TargetTransform.none, 1.0, 0.0, 1.0, lower=2.0)
    assert scale.forward(np.array([1.0]))[0] == 1.0


@pytest.mark.parametrize("lower", [None, 0.0])
def test_scale_survives_being_written(lower) -> None:
    """`from_dict` rebuilds what `to_dict` wrote, through JSON."""
    scale = dataclasses.replace(fit_target_scale(SKEWED, TargetTransform.yeo_johnson, lower), residuals=(0.25, -0.5))
    assert TargetScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


def test_scale_of_an_older_release_is_read() -> None:
    """Before there were curves with powers, links and residuals, a scale had five values."""
    content = {"transform": "log1p", "unit_value": 2.0, "mean": 0.5, "std": 0.25, "lower": 0.0}
    scale = TargetScale.from_dict(content)
    assert scale.inverse(np.array([1.0]))[0] == pytest.approx(2 * np.expm1(0.75))


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt", "yeo_johnson"])
def test_answers_stay_near_the_training_targets(transform) -> None:
    """Two ranges beyond either end is as far as an answer goes, and never beyond what was declared possible."""
    scale = fit_target_scale(EVEN, TargetTransform(transform))
    low, high = scale.inverse(np.array([-1e300, 1e300]))
    assert high == pytest.approx(5 + 2 * 4)
    assert low == pytest.approx(0 if transform in ("log1p", "sqrt") else 1 - 2 * 4)
    declared = fit_target_scale(EVEN, TargetTransform(transform), 0.5, 6.0)
    assert declared.inverse(np.array([-1e300, 1e300])).tolist() == pytest.approx([0.5, 6.0])


def test_missing_targets_are_left_out() -> None:
    """Rows that lack the number neither shift the scale nor get one."""
    with_gaps = fit_target_scale(np.array([*SKEWED, np.nan]), TargetTransform.sqrt)
    assert with_gaps == fit_target_scale(SKEWED, TargetTransform.sqrt)
    assert np.isnan(with_gaps.forward(np.array([np.nan]))[0])
    with pytest.raises(DataValidationError, match="no training row has a number"):
        fit_target_scale(np.full(3, np.nan), TargetTransform.none)


def test_smearing_is_a_mean_over_residuals() -> None:
    """An answer is the mean over what it would be with each residual added."""
    scale = dataclasses.replace(fit_target_scale(SKEWED, TargetTransform.sqrt), residuals=(-0.5, 0.75))
    plain = dataclasses.replace(scale, residuals=())
    expected = (plain.inverse(np.array([0.5])) + plain.inverse(np.array([1.75]))) / 2
    np.testing.assert_allclose(scale.inverse(np.array([1.0])), expected)


@pytest.mark.parametrize("loss", ["gamma", "tweedie"])
def test_linked_scale_answers_in_logarithms(loss) -> None:
    """Output 0 is the mean of the training targets, and restoring a target gives it back."""
    scale = fit_linked_scale(EVEN, TaskConfig(loss=RegressionLoss(loss)))
    np.testing.assert_allclose(scale.inverse(np.array([0.0])), EVEN.mean())
    np.testing.assert_allclose(scale.restore(scale.forward(EVEN)), EVEN)
    np.testing.assert_allclose(scale.inverse(np.log(EVEN / EVEN.mean()) / scale.std), EVEN)


@pytest.mark.parametrize(
    ("loss", "target", "match"),
    [
        ("gamma", EVEN - 1, "targets above 0, but the smallest is 0: choose task.loss=tweedie"),
        ("gamma", EVEN - 2, "smallest is -1: choose task.loss=huber"),
        ("tweedie", EVEN - 2, "targets 0 or above, but the smallest is -1: choose task.loss=huber"),
    ],
)
def test_linked_loss_refuses_what_it_cannot_take(loss, target, match) -> None:
    """Zeros with gamma and negative targets with both are errors that name the remedy."""
    with pytest.raises(ConfigError, match=match):
        fit_scale(target, TaskConfig(loss=RegressionLoss(loss)))


def test_linked_loss_refuses_a_curve() -> None:
    """A curve that would not be used is refused instead of ignored."""
    config = TaskConfig(loss=RegressionLoss.tweedie, target_transform=TargetTransform.sqrt)
    with pytest.raises(ConfigError, match="target_transform=sqrt cannot apply"):
        fit_scale(EVEN, config)


def test_skewness() -> None:
    """Third standardised moment; 0 for values that never change."""
    assert skewness(np.array([0.0, 0.0, 3.0])) == pytest.approx(2**-0.5)
    assert skewness(EVEN) == pytest.approx(0)
    assert skewness(np.ones(3)) == 0
