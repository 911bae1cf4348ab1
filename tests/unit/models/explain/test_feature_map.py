"""The last map of a backbone is found whatever the backbone is, and only where the answer depends on it."""

import pytest
import torch

from phytoscope.errors import ConfigError
from phytoscope.models.explain.class_activation import CLASS_OF_METHOD, map_activations
from phytoscope.models.explain.feature_map import FeatureMap, Layout, find_feature_map
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.schema.explanation import ExplanationMethod
from phytoscope.schema.train_config import ModelConfig


def make_network(backbone: str, size_px: int, outputs: int = 3) -> PlantNetwork:
    """A network with random weights."""
    torch.manual_seed(0)
    spec = read_backbone_input(ModelConfig(backbone=backbone, input_size_px=size_px))
    network = PlantNetwork(backbone, outputs, 0.0, spec).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    return network


@pytest.mark.parametrize(
    ("backbone", "size_px", "layout", "side"),
    [
        ("test_resnet", 128, Layout.channels_first, 4),
        ("test_efficientnet", 128, Layout.channels_first, 4),
        ("test_convnext", 128, Layout.channels_first, 4),
        ("test_mambaout", 128, Layout.channels_last, 4),
        ("test_vit", 160, Layout.tokens, 10),
        ("test_vit3", 64, Layout.tokens, 4),
        ("test_vit_relpos", 160, Layout.tokens, 10),
        ("test_coatnet", 64, Layout.channels_first, 4),
    ],
)
def test_map_of_every_kind_of_backbone(backbone, size_px, layout, side) -> None:
    """Convolutional nets, transformers and what is between them keep a map, and it can be drawn from."""
    network = make_network(backbone, size_px)
    found = find_feature_map(network, size_px)
    assert (found.layout, found.side) == (layout, side)
    images = torch.randint(0, 256, (2, 3, size_px, size_px), dtype=torch.uint8)
    heat = map_activations(network, found, images, None, [0, 2], ExplanationMethod.layer_cam)
    assert heat.shape == (2, size_px, size_px)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_map_is_the_last_one() -> None:
    """A ResNet is read after its last stage, a transformer that answers from its class token before its last mixing."""
    assert find_feature_map(make_network("test_resnet", 128), 128).name == "backbone.layer4"
    assert find_feature_map(make_network("test_vit", 160), 160).name == "backbone.blocks.5.norm1"


def test_tiny_maps_are_passed_over() -> None:
    """A map of four places in all says little: an earlier one is taken."""
    found = find_feature_map(make_network("test_resnet", 64), 64)
    assert (found.name, found.side) == ("backbone.layer3", 4)


def test_network_without_a_map_is_refused() -> None:
    """A network that reduces its picture to single numbers at once cannot be explained."""
    network = make_network("test_resnet", 32)
    network.backbone = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(ConfigError, match="keeps no map of a picture of 32 px"):
        find_feature_map(network, 32)


def test_tokens_are_arranged_by_row() -> None:
    """Token k of the picture lies in row k // side, column k % side; tokens before the picture's are left out."""
    tokens = torch.arange(2 * 10 * 3).reshape(2, 10, 3)
    arranged = FeatureMap("x", Layout.tokens, 3, prefix=1).arrange(tokens)
    assert arranged.shape == (2, 3, 3, 3)
    assert arranged[1, :, 2, 1].tolist() == tokens[1, 1 + 2 * 3 + 1].tolist()


@pytest.mark.parametrize("method", CLASS_OF_METHOD)
def test_network_stays_as_it_is(method) -> None:
    """No hook stays behind, and no parameter receives a gradient."""
    network = make_network("test_resnet", 64)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    map_activations(network, find_feature_map(network, 64), images, None, [1], method)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(each.grad is None for each in network.parameters())
