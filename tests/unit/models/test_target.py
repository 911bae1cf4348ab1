"""The scale on which a number is learned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.errors import DataValidationError
from phytoscope.models.target import TargetScale, fit_target_scale, skewness
from phytoscope.schema.config import TargetTransform

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


@given(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=30))
def test_round_trip_of_log1p(values) -> None:
    """Zero included, log1p can be undone."""
    target = np.array(values)
    if np.ptp(target) < 1e-3:
        return
    scale = fit_target_scale(target, TargetTransform.log1p)
    np.testing.assert_allclose(scale.inverse(scale.forward(target)), target, rtol=1e-6, atol=1e-6 * np.ptp(target))


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_training_targets_are_standardised(transform) -> None:
    """On the rows it was fitted on, the learned scale has mean 0 and standard deviation 1."""
    scaled = fit_target_scale(SKEWED, TargetTransform(transform)).forward(SKEWED)
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_unit_does_not_matter(transform, factor) -> None:
    """Grams and kilograms give the same learned values."""
    grams = fit_target_scale(SKEWED, TargetTransform(transform)).forward(SKEWED)
    other = fit_target_scale(SKEWED * factor, TargetTransform(transform)).forward(SKEWED * factor)
    np.testing.assert_allclose(other, grams, rtol=1e-9)


@pytest.mark.parametrize(
    ("target", "expected"),
    [(SKEWED, "log1p"), (EVEN, "none"), (-SKEWED, "none"), (SKEWED - 0.2, "none"), (SKEWED - 0.1, "log1p")],
)
def test_auto_takes_log1p_for_skewed_targets_that_are_not_negative(target, expected) -> None:
    """Skewness above 1 and no negative value."""
    assert fit_target_scale(target, TargetTransform.auto).transform == expected


def test_negative_target_refuses_log1p() -> None:
    """log1p of a negative target is an error that names the remedy."""
    with pytest.raises(DataValidationError, match=r"smallest is -1: choose task\.target_transform=none"):
        fit_target_scale(EVEN - 2, TargetTransform.log1p)


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
    """`from_dict` rebuilds what `to_dict` wrote."""
    scale = fit_target_scale(SKEWED, TargetTransform.log1p, lower)
    assert TargetScale.from_dict(scale.to_dict()) == scale


def test_skewness() -> None:
    """Third standardised moment; 0 for values that never change."""
    assert skewness(np.array([0.0, 0.0, 3.0])) == pytest.approx(2**-0.5)
    assert skewness(EVEN) == pytest.approx(0)
    assert skewness(np.ones(3)) == 0
