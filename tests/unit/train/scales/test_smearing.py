"""The way back from a curved scale that is right on average."""

import dataclasses

import numpy as np
import pytest

from phytoscope.models.target import fit_linked_scale, fit_target_scale
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig
from phytoscope.train.scales.smearing import SMALLEST_GROUPS, fit_residuals, thin_residuals


def draw(seed, rows, spread=0.7):
    """Lognormal amounts and what a perfect network says of their median on the learned scale."""
    rng = np.random.default_rng(seed)
    line = rng.normal(2, 0.8, rows)
    target = np.exp(line + rng.normal(0, spread, rows))
    return line, target


def name_groups(rows, size=2):
    return tuple(f"plant{number // size}" for number in range(rows))


@pytest.mark.parametrize("transform", ["log1p", "sqrt", "yeo_johnson"])
def test_answers_are_right_on_average(transform) -> None:
    """On new rows the mean answer is the mean truth within 3 %; brought back without smearing it is far below."""
    scale = fit_target_scale(draw(0, 500)[1], TargetTransform(transform), 0.0)

    def answer(seed, rows):
        rng = np.random.default_rng(seed)
        outputs = rng.normal(0.8, 0.6, rows)
        return outputs, scale.restore(outputs + rng.normal(0, 0.6, rows))

    outputs, target = answer(1, 2000)
    smeared = fit_residuals(scale, outputs, target, name_groups(2000))
    outputs, target = answer(2, 20_000)
    assert smeared.inverse(outputs).mean() == pytest.approx(target.mean(), rel=0.03)
    naive = scale.inverse(outputs)
    assert naive.mean() < 0.96 * target.mean()
    assert ((smeared.inverse(outputs) - target) ** 2).mean() < ((naive - target) ** 2).mean()


@pytest.mark.parametrize("rows", [16, 40])
def test_few_groups_do_no_harm(rows) -> None:
    """Over many small validation sets the squared error on new rows does not rise on average."""
    line, target = draw(3, 2000)
    scale = fit_target_scale(target, TargetTransform.log1p, 0.0)
    slope, start = np.polyfit(line, scale.forward(target), 1)
    new_line, new_target = draw(4, 5000)
    naive = ((scale.inverse(slope * new_line + start) - new_target) ** 2).mean()
    after = []
    for seed in range(100):
        val_line, val_target = draw(100 + seed, rows)
        back = fit_residuals(scale, slope * val_line + start, val_target, name_groups(rows))
        after.append(((back.inverse(slope * new_line + start) - new_target) ** 2).mean())
    assert np.mean(after) <= naive


def test_a_straight_scale_is_hardly_moved_by_chance() -> None:
    """Validation rows that are off by chance shift answers less than their mean says; a real offset is taken over."""
    rng = np.random.default_rng(5)
    target = rng.normal(50, 10, 400)
    scale = fit_target_scale(target, TargetTransform.none)
    moved, full = [], []
    for _ in range(200):
        val = rng.normal(50, 10, 20)
        outputs = scale.forward(val) - rng.normal(0, 0.5, 20)
        back = fit_residuals(scale, outputs, val, name_groups(20))
        moved.append(sum(back.residuals) ** 2)
        full.append((scale.forward(val) - outputs).mean() ** 2)
    assert np.mean(moved) < 0.7 * np.mean(full)
    val = rng.normal(50, 10, 200)
    off = fit_residuals(scale, scale.forward(val) - 0.5 + rng.normal(0, 0.1, 200), val, name_groups(200))
    assert off.inverse(np.array([0.0]))[0] == pytest.approx(target.mean() + 0.5 * target.std(), rel=0.01)


def test_too_few_groups_leave_the_scale_alone() -> None:
    """Many rows of a few plants say little about other plants."""
    line, target = draw(6, 500)
    scale = fit_target_scale(target, TargetTransform.log1p)
    groups = tuple(f"plant{number % (SMALLEST_GROUPS - 1)}" for number in range(500))
    assert fit_residuals(scale, scale.forward(np.exp(line)), target, groups) == scale


def test_harmful_smearing_is_left_out() -> None:
    """Where small plants are wrong by much and large ones by nothing, the plain way back stays."""
    rng = np.random.default_rng(7)
    line = np.linspace(-1, 5, 600)
    target = np.exp(line + np.where(line < 1, rng.normal(0, 1.0, 600), 0))
    scale = fit_target_scale(target, TargetTransform.log1p)
    outputs = scale.forward(np.exp(line))
    assert fit_residuals(scale, outputs, target, name_groups(600)) == scale


def test_missing_targets_are_left_out() -> None:
    """Rows without the number change nothing."""
    line, target = draw(8, 300)
    scale = fit_target_scale(target, TargetTransform.log1p)
    outputs = scale.forward(np.exp(line))
    known = fit_residuals(scale, outputs[:200], target[:200], name_groups(200))
    target[200:] = np.nan
    assert fit_residuals(scale, outputs, target, name_groups(300)) == known
    assert len(known.residuals) > 0


def test_a_linked_scale_needs_no_smearing() -> None:
    """Gamma and tweedie learn the mean itself."""
    target = draw(9, 100)[1]
    scale = fit_linked_scale(target, TaskConfig(loss=RegressionLoss.gamma))
    assert fit_residuals(scale, np.zeros(100), target, name_groups(100)) == scale


@pytest.mark.parametrize("rows", [1, 2, 7, 33, 1000])
def test_thinned_residuals_keep_mean_and_spread(rows) -> None:
    """A few quantiles have the mean and the spread of all residuals."""
    wrong = np.random.default_rng(rows).gamma(2, 1, rows)
    scale = dataclasses.replace(fit_target_scale(np.arange(9.0), TargetTransform.log1p), residuals=())
    found = np.array(thin_residuals(scale, wrong).residuals)
    assert len(found) <= 33
    assert found.mean() == pytest.approx(wrong.mean())
    assert found.std() == pytest.approx(wrong.std())
