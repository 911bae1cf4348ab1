"""The fitted head is the minimum of what it says it minimises."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch.nn import functional

from phytoscope.errors import TrainingError
from phytoscope.models.losses.regression import ValueLoss
from phytoscope.schema.choices import RegressionLoss
from phytoscope.schema.train_config import TaskConfig
from phytoscope.train.features.axes import fit_axes
from phytoscope.train.features.solver import HeadSolver


def draw(n=120, dim=30, seed=0):
    """Correlated inputs of very different scales, one that never changes and one that is the sum of two others."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) * np.logspace(-1, 1, dim) + 3
    inputs[:, 4] = 7.0
    inputs[:, 5] = inputs[:, 6] + inputs[:, 7]
    return inputs.astype(np.float32), rng


def standardise(inputs):
    std = inputs.std(axis=0)
    return (inputs - inputs.mean(axis=0)) / np.where(std > 1e-3, std, 1)


def solve(inputs, target, loss, outputs, strengths):
    seen = torch.from_numpy(inputs)
    axes = fit_axes(seen)
    solver = HeadSolver(axes, axes.turn(seen), target, loss, outputs)
    for strength in strengths:
        solver.solve(strength)
    weight, bias = axes.fold(solver.head.weight, solver.head.bias)
    return (seen @ weight.T + bias).numpy()


@pytest.mark.parametrize("strength", [10.0, 0.01])
def test_squared_loss_is_ridge_regression(strength):
    """The answers of scikit-learn's ridge, for a strong and a weak penalty, and for two targets at once."""
    inputs, rng = draw()
    target = np.stack([inputs[:, 0] * 0.3 + rng.normal(size=120), inputs[:, 9] * 5], axis=1).astype(np.float32)
    target = standardise(target).astype(np.float32)
    loss = ValueLoss(TaskConfig(loss=RegressionLoss.mse))
    found = solve(inputs, torch.from_numpy(target), loss, 2, [strength])
    # Ours: mean over rows and targets of squares + strength / 2 x weights; scikit-learn: sum of squares + alpha.
    ridge = Ridge(alpha=strength / 2 * 120 * 2, solver="svd").fit(standardise(inputs.astype(np.float64)), target)
    expected = ridge.predict(standardise(inputs.astype(np.float64)))
    assert np.abs(found - expected).max() < 0.01


def test_missing_numbers_do_not_count():
    """A target that half of the rows lack is learned from the other half."""
    inputs, _ = draw(dim=10)
    target = standardise(inputs[:, :2].astype(np.float64) @ np.array([[1.0, 0.2], [0.1, 1.0]])).astype(np.float32)
    missing = target.copy()
    missing[::2, 1] = np.nan
    loss = ValueLoss(TaskConfig(loss=RegressionLoss.mse))
    found = solve(inputs, torch.from_numpy(missing), loss, 2, [1.0, 1e-4])
    assert np.isfinite(found).all()
    assert np.abs(found - target).max() < 0.1


def test_cross_entropy_is_logistic_regression():
    """The answers of scikit-learn's logistic regression, reached over a path of strengths."""
    inputs, rng = draw()
    labels = (standardise(inputs)[:, :3] + rng.normal(size=(120, 3)) * 0.5).argmax(axis=1)
    found = solve(inputs, torch.from_numpy(labels), functional.cross_entropy, 3, [1.0, 0.1])
    model = LogisticRegression(C=1 / (0.1 * 120), max_iter=5000, tol=1e-8).fit(standardise(inputs), labels)
    expected = model.predict_proba(standardise(inputs))
    assert np.abs(torch.from_numpy(found).softmax(dim=1).numpy() - expected).max() < 0.01


def test_more_inputs_than_rows():
    """Directions in which no row differs from another get no weight."""
    inputs, rng = draw(n=8, dim=30)
    target = torch.from_numpy(rng.normal(size=(8, 1)).astype(np.float32))
    axes = fit_axes(torch.from_numpy(inputs))
    assert axes.rotation.shape[1] <= 8
    found = solve(inputs, target, ValueLoss(TaskConfig(loss=RegressionLoss.mse)), 1, [1e-4])
    assert np.abs(found - target.numpy()).max() < 0.2


def test_a_loss_that_is_not_finite_is_said():
    """Instead of a head full of NaN."""
    inputs, _ = draw(n=8)
    with pytest.raises(TrainingError, match="the loss of the head became nan"):
        solve(inputs, torch.zeros(8, 1), lambda outputs, _: (outputs * float("nan")).sum(), 1, [1.0])
