"""Backbones with their heads."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform

from phytoscope.errors import ConfigError
from phytoscope.models.network import BackboneInput, PlantNetwork, build_network, read_backbone_input
from phytoscope.schema.train_config import ModelConfig

KINDS = ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"]


def build(backbone: str, outputs: int = 3, **settings) -> PlantNetwork:
    """A network with random weights, in evaluation mode."""
    network, _ = build_network(ModelConfig(backbone=backbone, weights="random", **settings), outputs)
    return network.eval()


@pytest.mark.parametrize("backbone", KINDS)
@pytest.mark.parametrize("size_px", [64, 96])
def test_shapes(backbone, size_px) -> None:
    """Every kind of backbone takes images of the size that was asked for and gives features and answers."""
    network = build(backbone, input_size_px=size_px)
    images = torch.zeros(2, 3, size_px, size_px, dtype=torch.uint8)
    assert network.features(images).shape == (2, network.feature_dim)
    assert network(images).shape == (2, 3)


@pytest.mark.parametrize("backbone", [*KINDS, "mobilenetv3_small_050"])
def test_pixels_are_prepared_as_timm_does(backbone) -> None:
    """uint8 pixels are normalised inside the network exactly as timm's own transform does outside."""
    network = build(backbone)
    spec = read_backbone_input(ModelConfig(backbone=backbone))
    pixels = np.random.default_rng(0).integers(0, 256, (spec.size_px, spec.size_px, 3), dtype=np.uint8)
    transform = create_transform(
        (3, spec.size_px, spec.size_px),
        is_training=False,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=1.0,
    )
    with torch.inference_mode():
        expected = network.backbone(transform(Image.fromarray(pixels))[None])
        found = network.features(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "backbone", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "mobilenetv3_small_100"]
)
def test_input_is_the_backbone_s_own(backbone) -> None:
    """Mean, deviation, size, filter and crop are those that timm's own configuration of the backbone gives."""
    expected = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(backbone).to_dict())
    found = read_backbone_input(ModelConfig(backbone=backbone))
    assert found == BackboneInput(
        expected["input_size"][-1], expected["mean"], expected["std"], expected["interpolation"], expected["crop_pct"]
    )


def test_first_answers_are_all_the_same() -> None:
    """The head starts at zero, so that its first steps do not shake a pre-trained backbone."""
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(build("test_resnet")(images), torch.zeros(4, 3))


def test_dropout_rests_in_evaluation() -> None:
    """Features are dropped while training only."""
    network = build("test_resnet", dropout=0.9)
    torch.nn.init.ones_(network.head.weight)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(network(images), network(images))
    network.dropout.train()
    assert not torch.equal(network(images), network(images))


def test_mean_and_deviation_are_not_weights() -> None:
    """They come from the description of the model, not from its weights."""
    assert not {"mean", "std"} & set(build("test_resnet").state_dict())


@pytest.mark.parametrize("name", ["resnet81", "no_such_thing", ""])
def test_unknown_backbone_is_refused_with_a_suggestion(name) -> None:
    """A name that timm does not know is an error that names near ones."""
    with pytest.raises(ConfigError, match=rf"model\.backbone='{name}': timm knows no such model"):
        build(name)


def test_suggestion_is_near() -> None:
    """The nearest names are offered."""
    with pytest.raises(ConfigError, match=r"did you mean .*'resnet18'"):
        read_backbone_input(ModelConfig(backbone="resnet-18"))


def test_case_of_the_name_does_not_matter() -> None:
    """A name in capitals is found."""
    assert read_backbone_input(ModelConfig(backbone="ResNet18")).size_px == 224
