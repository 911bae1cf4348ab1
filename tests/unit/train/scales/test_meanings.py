"""Scales before and after a training."""

import dataclasses

import numpy as np
import pytest
import torch

from factories.jobs import make_job
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.sums import read_sums
from phytoscope.models.target import fit_scale
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig
from phytoscope.train.scales.meanings import choose_scales, is_scale_open, settle_meaning
from phytoscope.train.scales.passes import compute_outputs

ROWS = 120
GROUPS = tuple(f"plant{number // 4}" for number in range(ROWS))
FEATURES = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
LINE = FEATURES @ [0.8, -0.5, 0.3, 0.0] + np.random.default_rng(1).normal(0, 0.1, ROWS)
VALUES = np.column_stack([np.exp(2 * LINE), 30 + LINE])


def choose(config, values=VALUES, groups=GROUPS):
    names = ("weight", "height")[: values.shape[1]]
    targets = tuple(TargetMeaning(name, "g", fit_scale(values[:, place], config)) for place, name in enumerate(names))
    meaning, said, asked = Meaning(targets=targets), [], []

    def features():
        asked.append(1)
        return FEATURES

    chosen = choose_scales(
        config,
        meaning,
        values,
        groups,
        bounds=[(None, None)] * len(names),
        features=features,
        seed=0,
        say=said.append,
    )
    return meaning, chosen, said, asked


def test_every_target_gets_its_own_curve() -> None:
    """The reason is kept in the scale and said in a sentence."""
    _, chosen, said, asked = choose(TaskConfig())
    assert [target.scale.transform.value for target in chosen.targets] == ["log1p", "none"]
    assert said == [target.scale.reason for target in chosen.targets]
    assert "30 training groups" in said[0]
    assert len(asked) == 1


def test_few_groups_fall_back_to_the_skewness() -> None:
    """Without a single feature computed, and said."""
    groups = tuple(f"plant{number % 4}" for number in range(ROWS))
    meaning, chosen, said, asked = choose(TaskConfig(), groups=groups)
    assert chosen == meaning
    assert chosen.targets[0].scale.transform is TargetTransform.log1p
    assert "4 training groups are too few" in said[0]
    assert asked == []


@pytest.mark.parametrize(
    "config",
    [
        TaskConfig(target_transform=TargetTransform.sqrt),
        TaskConfig(loss=RegressionLoss.quantile),
        TaskConfig(loss=RegressionLoss.tweedie),
        TaskConfig(loss=RegressionLoss.gamma, target_transform=TargetTransform.none),
    ],
)
def test_what_was_asked_for_stays(config) -> None:
    """A curve that the user named, and losses with a scale of their own, are left alone."""
    meaning, chosen, said, asked = choose(config)
    assert not is_scale_open(config)
    assert chosen == meaning
    assert said == asked == []


def test_classes_have_no_scale() -> None:
    """Nothing happens for classes."""
    meaning = Meaning(class_names=("a", "b"))
    same = choose_scales(
        TaskConfig(), meaning, np.zeros((3, 0)), ("a",) * 3, bounds=[], features=lambda: FEATURES, seed=0, say=print
    )
    assert same is meaning


def make_trained(place, **task):
    """A network whose outputs are brightness, on a curved scale, wrong by much and right on average there."""
    job, _ = make_job(place, classes=False, n=40, task=TaskConfig(**task))
    network = job.network
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    outputs = compute_outputs(network, job.val)[:, 0]
    rng = np.random.default_rng(0)
    scale = fit_scale(rng.lognormal(3, 0.8, 200), TaskConfig(target_transform=TargetTransform.log1p))
    wrong = rng.normal(0, 0.7, len(outputs))
    target = (outputs + wrong - wrong.mean()).astype(np.float32)[:, None]
    meaning = Meaning(targets=(TargetMeaning("weight", "g", scale),))
    return dataclasses.replace(job, meaning=meaning, val=dataclasses.replace(job.val, target=target))


def test_trained_scale_is_right_on_average(tmp_path) -> None:
    """Answers on validation are right on average after settling, and too small before; written and read, they stay."""
    job = make_trained(tmp_path)
    settled = settle_meaning(job)
    outputs = compute_outputs(job.network, job.val)
    true = job.meaning.targets[0].scale.restore(job.val.target[:, 0].astype(np.float64)).mean()
    assert len(settled.targets[0].scale.residuals) > 0
    before, after = job.meaning.answer(outputs).mean(), settled.answer(outputs).mean()
    assert abs(after - true) < 0.5 * abs(before - true)
    assert before < true
    np.testing.assert_array_equal(Meaning.from_dict(settled.to_dict()).answer(outputs), settled.answer(outputs))


@pytest.mark.parametrize("task", [{"unbiased": False}, {"loss": RegressionLoss.quantile}])
def test_the_median_is_kept_where_it_is_asked_for(tmp_path, task) -> None:
    """Without `unbiased`, and for quantiles, answers are brought back as they are."""
    job = make_trained(tmp_path, **task)
    assert settle_meaning(job) is job.meaning


def test_classes_are_left_alone(tmp_path) -> None:
    """Nothing happens for classes."""
    job, _ = make_job(tmp_path, classes=True)
    assert settle_meaning(job) is job.meaning


def test_sums_are_weighted_by_the_errors(tmp_path) -> None:
    """The answer that is further off on validation gives way more; the sum holds before and after."""
    job, _ = make_job(tmp_path, classes=False, n=40, task=TaskConfig(unbiased=False))
    rng = np.random.default_rng(0)
    parts = rng.uniform(1, 3, (len(job.val), 2))
    values = np.column_stack([parts.sum(axis=1), parts])
    names = ("total", "shoot", "root")
    config = TaskConfig(sums=["total = shoot + root"], target_transform=TargetTransform.none)
    scales = [fit_scale(values[:, place], config, 0.0) for place in range(3)]
    targets = tuple(TargetMeaning(name, "g", scale) for name, scale in zip(names, scales, strict=True))
    meaning = Meaning(targets=targets, sums=read_sums(config, names, values.var(axis=0).tolist()))
    scaled = np.column_stack([scale.forward(values[:, place]) for place, scale in enumerate(scales)])
    # Every output is 0, so that an answer is off by how much the target varies, with one that never does.
    scaled[:, 2] *= 1e-3
    network = job.network
    network.head = torch.nn.Linear(network.feature_dim, 3)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    val = dataclasses.replace(job.val, target=scaled.astype(np.float32))
    settled = settle_meaning(dataclasses.replace(job, meaning=meaning, val=val))
    assert settled.sums is not None
    assert settled.sums.variances[2] < 1e-4 * settled.sums.variances[1]
    assert settled.sums.variances[1] == pytest.approx(values[:, 1].var(), rel=1e-3)
    answers = settled.answer(compute_outputs(network, job.val))
    assert (answers[:, 0] == answers[:, 1] + answers[:, 2]).all()


def test_outputs_are_those_of_the_network(tmp_path) -> None:
    """In order, over several batches, and the network is in the mode it was in."""
    job, _ = make_job(tmp_path, classes=True, n=70)
    job.network.train()
    outputs = compute_outputs(job.network, job.train)
    assert job.network.training
    job.network.eval()
    images = torch.from_numpy(job.train.pixels[:]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = job.network(images).double().numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
