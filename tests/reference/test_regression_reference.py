"""Curves and losses of numbers, compared with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import GammaRegressor, TweedieRegressor
from sklearn.metrics import mean_gamma_deviance, mean_pinball_loss, mean_tweedie_deviance
from sklearn.preprocessing import PowerTransformer

from phytoscope.models.losses.regression import ValueLoss
from phytoscope.models.target import fit_scale, fit_target_scale
from phytoscope.models.target_curve import bend, fit_power
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig

RNG = np.random.default_rng(0)
AMOUNTS = RNG.gamma(2, 1.5, 300)
EVENER = RNG.weibull(2, 300)


@pytest.mark.parametrize("values", [EVENER, RNG.normal(0.5, 1, 300) ** 3 / 4 + 1, -EVENER])
def test_yeo_johnson_is_scikit_learns(values) -> None:
    """Where scikit-learn's power lies between 0 and 2, power and bent values are the same."""
    reference = PowerTransformer(method="yeo-johnson").fit(values[:, None])
    power = float(reference.lambdas_[0])
    assert 0 < power < 2
    assert fit_power(values) == pytest.approx(power, abs=1e-3)
    ours = bend(values, TargetTransform.yeo_johnson, power)
    np.testing.assert_allclose((ours - ours.mean()) / ours.std(), reference.transform(values[:, None])[:, 0], rtol=1e-7)


def test_yeo_johnson_scale_is_scikit_learns() -> None:
    """The learned scale is scikit-learn's of the same numbers over their typical size."""
    scale = fit_target_scale(EVENER, TargetTransform.yeo_johnson)
    expected = PowerTransformer().fit_transform(EVENER[:, None] / np.median(EVENER))[:, 0]
    np.testing.assert_allclose(scale.forward(EVENER), expected, atol=1e-3)


def measure(scale, config, predicted) -> float:
    outputs = np.log(predicted / scale.unit_value) / scale.std
    target = torch.tensor(scale.forward(AMOUNTS), dtype=torch.float32)[:, None]
    return float(ValueLoss(config, [scale])(torch.tensor(outputs, dtype=torch.float32)[:, None], target))


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_tweedie_deviance_is_scikit_learns(power) -> None:
    """The loss is the deviance of targets and answers over the mean target, divided by the square of its factor."""
    config = TaskConfig(loss=RegressionLoss.tweedie, tweedie_power=power)
    scale = fit_scale(AMOUNTS, config)
    predicted = AMOUNTS * RNG.lognormal(0, 0.3, len(AMOUNTS))
    expected = mean_tweedie_deviance(AMOUNTS / scale.unit_value, predicted / scale.unit_value, power=power)
    assert measure(scale, config, predicted) == pytest.approx(expected / scale.std**2, rel=1e-3)


def test_gamma_deviance_is_scikit_learns() -> None:
    """The same for gamma."""
    config = TaskConfig(loss=RegressionLoss.gamma)
    scale = fit_scale(AMOUNTS, config)
    predicted = AMOUNTS * RNG.lognormal(0, 0.3, len(AMOUNTS))
    expected = mean_gamma_deviance(AMOUNTS, predicted)
    assert measure(scale, config, predicted) == pytest.approx(expected / scale.std**2, rel=1e-3)


@pytest.mark.parametrize("loss", ["gamma", "tweedie"])
def test_minimum_is_scikit_learns_regressor(loss) -> None:
    """A linear head that minimises the loss gives the answers of scikit-learn's regressor without a penalty."""
    features = RNG.normal(size=(300, 3))
    target = np.exp(features @ [0.5, -0.3, 0.2] + 1) * RNG.gamma(4, 0.25, 300)
    config = TaskConfig(loss=RegressionLoss(loss))
    scale = fit_scale(target, config)
    module = ValueLoss(config, [scale])
    head = torch.nn.Linear(3, 1)
    seen = torch.tensor(features, dtype=torch.float32)
    given = torch.tensor(scale.forward(target), dtype=torch.float32)[:, None]
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def step():
        optimizer.zero_grad()
        value = module(head(seen), given)
        value.backward()
        return value

    optimizer.step(step)
    answers = scale.inverse(head(seen)[:, 0].detach().double().numpy())
    reference = GammaRegressor(alpha=0) if loss == "gamma" else TweedieRegressor(power=1.5, alpha=0, link="log")
    np.testing.assert_allclose(answers, reference.fit(features, target).predict(features), rtol=5e-3)


@pytest.mark.parametrize("quantile", [0.1, 0.8])
def test_pinball_loss_is_scikit_learns(quantile) -> None:
    """On a straight scale the loss is the pinball loss in standard deviations."""
    config = TaskConfig(loss=RegressionLoss.quantile, quantile=quantile, target_transform=TargetTransform.none)
    scale = fit_scale(AMOUNTS, config)
    predicted = AMOUNTS + RNG.normal(size=len(AMOUNTS))
    ours = ValueLoss(config, [scale])(
        torch.tensor(scale.forward(predicted))[:, None], torch.tensor(scale.forward(AMOUNTS))[:, None]
    )
    expected = mean_pinball_loss(AMOUNTS, predicted, alpha=quantile)
    assert float(ours) * scale.std == pytest.approx(expected, rel=1e-5)
