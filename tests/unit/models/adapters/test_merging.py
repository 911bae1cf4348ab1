"""Folding: the same answers, and nothing left of the adapter."""

import pytest
import safetensors.torch
import torch

from factories.adapters import FAMILIES, FITTING, adapt, build, disturb, draw_images, take_steps
from phytoscope.models.adapters import merge_adapters

GOAL = 1e-5


def largest_change(network, images) -> float:
    """Folds a network, and gives the largest change of its answers as a share of the largest answer."""
    with torch.inference_mode():
        network.eval()
        before, features = network(images), network.features(images)
        merge_adapters(network)
        after, merged = network(images), network.features(images)
    return max(
        float((after - before).abs().max() / before.abs().max()),
        float((merged - features).abs().max() / features.abs().max()),
    )


@pytest.mark.parametrize(("backbone", "kind"), FITTING)
def test_folding_changes_no_answer_and_leaves_nothing(backbone, kind) -> None:
    """The folded network computes the same with the parameters, modules and order of names of a plain one."""
    network = build(backbone)
    adaptation = adapt(network, kind)
    disturb(network, adaptation)
    assert largest_change(network, draw_images()) <= GOAL
    plain = build(backbone, seed=3)
    assert list(network.state_dict()) == list(plain.state_dict())
    assert [(name, type(module)) for name, module in network.named_modules()] == [
        (name, type(module)) for name, module in plain.named_modules()
    ]


@pytest.mark.parametrize("kind", ["lora", "ssf"])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_file_of_the_folded_network_fills_a_plain_one(backbone, kind, tmp_path) -> None:
    """What evaluation reads, a plain network filled from a file, answers as the adapted network did when trained."""
    network = build(backbone)
    adaptation = adapt(network, kind, **({"dropout": 0.3} if kind == "lora" else {}))
    take_steps(network, adaptation)
    images = draw_images()
    with torch.inference_mode():
        expected = network.eval()(images)
    network.train()
    merge_adapters(network)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    plain = build(backbone, seed=5)
    plain.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        found = plain(images)
    assert float((found - expected).abs().max() / expected.abs().max()) <= GOAL


@pytest.mark.parametrize("backbone", ["resnext50_32x4d", "test_convnext"])
@pytest.mark.parametrize(("kind", "targets"), [("lora", None), ("lora", "."), ("ssf", None)])
@pytest.mark.slow
def test_grouped_convolutions_fold_too(backbone, kind, targets) -> None:
    """Convolutions with groups, depthwise ones when they are named, and norms over channels fold as exactly."""
    network = build(backbone)
    adaptation = adapt(network, kind, targets=targets)
    disturb(network, adaptation)
    assert largest_change(network, draw_images()) <= GOAL


def test_folding_learned_statistics() -> None:
    """A network whose batch norms have learned the new images folds as exactly."""
    network = build("tf_mobilenetv3_small_100")
    adaptation = adapt(network, "ssf", running_statistics=True)
    take_steps(network, adaptation)
    assert largest_change(network, draw_images()) <= GOAL


def test_folding_twice_is_folding_once() -> None:
    """A plain network stays as it is, bit for bit."""
    network = build("test_resnet")
    adaptation = adapt(network, "lora")
    disturb(network, adaptation)
    merge_adapters(network)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    merge_adapters(network)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
