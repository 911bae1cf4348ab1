"""Losses of numbers, on any scale of target."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phytoscope.models.losses.regression import ValueLoss
from phytoscope.models.target import fit_scale
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig

AMOUNTS = np.array([0.5, 1.0, 2.0, 4.0, 7.5])
LINKED = ("gamma", "tweedie")


def measure(loss, target, outputs, **settings_of):
    config = TaskConfig(loss=RegressionLoss(loss), **settings_of)
    scale = fit_scale(target, config)
    given_target = torch.tensor(scale.forward(target), dtype=torch.float32)[:, None]
    said = torch.tensor(outputs, dtype=torch.float32)[:, None].requires_grad_()
    found = ValueLoss(config, [scale])(said, given_target)
    found.backward()
    return float(found.detach()), said.grad.numpy(), scale


def draw_targets():
    """Targets of every size: with zeros, of tiny variance, with one far outlier."""
    size = st.floats(-9, 12).map(lambda power: 10.0**power)
    shape = st.sampled_from(["plain", "zeros", "tiny", "outlier"])
    return st.tuples(size, shape, st.integers(0, 10_000))


def build_target(size, shape, seed, *, negative):
    values = np.random.default_rng(seed).lognormal(size=12) * size
    if shape == "zeros":
        values[:3] = 0
    elif shape == "tiny":
        values = size * (1 + 1e-9 * values / size)
    elif shape == "outlier":
        values[0] = 1e6 * values[1:].max()
    return values - np.median(values) if negative else values


@pytest.mark.parametrize("loss", list(RegressionLoss))
@pytest.mark.parametrize("transform", list(TargetTransform))
@given(drawn=draw_targets(), pushed=st.floats(-1e4, 1e4))
@settings(max_examples=25, deadline=None)
def test_every_number_stays_finite(loss, transform, drawn, pushed) -> None:
    """Forward, inverse, loss and gradient are finite for targets of 1e-9 to 1e12, zeros and far outliers included."""
    size, shape, seed = drawn
    if loss in LINKED and transform not in ("auto", "none"):
        return
    if loss == "gamma" and shape == "zeros":
        shape = "plain"
    negative = transform in ("none", "yeo_johnson") and loss not in LINKED and seed % 2 == 1
    target = build_target(size, shape, seed, negative=negative)
    outputs = np.linspace(-1, 1, len(target)) * abs(pushed)
    value, gradient, scale = measure(loss, target, outputs, target_transform=transform)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(scale.forward(target)).all()
    answers = scale.inverse(outputs)
    assert np.isfinite(answers).all()
    assert negative or transform not in ("log1p", "sqrt") or (answers >= 0).all()


@pytest.mark.parametrize("loss", LINKED)
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_unit_does_not_change_a_deviance(loss, factor) -> None:
    """Grams and tonnes give the same loss and the same gradient."""
    outputs = np.linspace(-1, 1, len(AMOUNTS))
    value, gradient, _ = measure(loss, AMOUNTS, outputs)
    other, other_gradient, _ = measure(loss, AMOUNTS * factor, outputs)
    assert other == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(other_gradient, gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", ["mse", *LINKED])
def test_a_constant_answer_costs_about_one(loss) -> None:
    """Losses start at about 1 for every target, so that no target drowns another."""
    rng = np.random.default_rng(0)
    for spread in (0.01, 0.3):
        target = rng.lognormal(3, spread, 500)
        value, _, _ = measure(loss, target, np.zeros(500), target_transform=TargetTransform.none)
        assert value == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize("loss", LINKED)
def test_truth_costs_nothing(loss) -> None:
    """The deviance of the truth is 0, zeros included, and its gradient vanishes."""
    target = AMOUNTS if loss == "gamma" else np.array([*AMOUNTS, 0.0])
    config = TaskConfig(loss=RegressionLoss(loss))
    scale = fit_scale(target, config)
    outputs = np.log(np.maximum(target / scale.unit_value, 1e-8)) / scale.std
    value, gradient, _ = measure(loss, target, outputs)
    assert value == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(gradient, 0, atol=1e-3)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantile_loss_finds_the_quantile(quantile) -> None:
    """The constant of smallest loss is the quantile of the targets."""
    target = np.random.default_rng(1).lognormal(size=401)
    config = TaskConfig(loss=RegressionLoss.quantile, quantile=quantile, target_transform=TargetTransform.log1p)
    scale = fit_scale(target, config)
    given_target = torch.tensor(scale.forward(target), dtype=torch.float32)[:, None]
    tried = np.linspace(-2, 3, 501)
    loss = ValueLoss(config, [scale])
    costs = [float(loss(torch.full_like(given_target, value), given_target)) for value in tried]
    found = scale.inverse(np.array([tried[int(np.argmin(costs))]]))[0]
    assert found == pytest.approx(np.quantile(target, quantile), rel=0.03)


@pytest.mark.parametrize("loss", list(RegressionLoss))
def test_missing_numbers_do_not_count(loss) -> None:
    """A number that is missing changes neither loss nor gradient, and a batch without any moves nothing."""
    target = torch.tensor([[1.0, torch.nan], [2.0, 0.5]])
    outputs = torch.tensor([[0.5, 99.0], [1.0, 0.25]], requires_grad=True)
    scales = [fit_scale(AMOUNTS, TaskConfig(loss=loss))] * 2
    module = ValueLoss(TaskConfig(loss=loss), scales)
    value = module(outputs, target)
    other = outputs.detach().clone()
    other[0, 1] = -5.0
    assert float(value.detach()) == float(module(other, target))
    value.backward()
    assert outputs.grad[0, 1] == 0
    empty = module(outputs, torch.full((2, 2), torch.nan))
    empty.backward()
    assert float(empty.detach()) == 0
