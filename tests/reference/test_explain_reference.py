"""Heat maps against formulas and against the attention that timm itself computes."""

import cv2
import numpy as np
import pytest
import torch

from phytoscope.errors import ConfigError
from phytoscope.models.explain.class_activation import map_activations
from phytoscope.models.explain.feature_map import find_feature_map
from phytoscope.models.explain.rollout import roll_out_attention
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.schema.explanation import ExplanationMethod
from phytoscope.schema.train_config import ModelConfig


def make_network(backbone: str, size_px: int) -> PlantNetwork:
    """A network with random weights."""
    torch.manual_seed(1)
    spec = read_backbone_input(ModelConfig(backbone=backbone, input_size_px=size_px))
    network = PlantNetwork(backbone, 4, 0.0, spec).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    return network


def spread(places: np.ndarray, size_px: int) -> np.ndarray:
    """A coarse map as the grad-cam package enlarges it: negative parts cut off, brought to 0-1, then enlarged."""
    cut = np.maximum(places, 0)
    scaled = (cut - cut.min()) / (1e-7 + (cut - cut.min()).max())
    return cv2.resize(scaled.astype(np.float32), (size_px, size_px))


@pytest.mark.parametrize("method", [ExplanationMethod.grad_cam, ExplanationMethod.hires_cam])
def test_cam_of_a_mean_and_a_linear_layer(method) -> None:
    """There the map is the class activation map itself: the head's weights times the activations (arXiv 1512.04150)."""
    network = make_network("test_resnet", 128)
    images = torch.randint(0, 256, (3, 3, 128, 128), dtype=torch.uint8)
    with torch.inference_mode():
        maps = network.backbone.forward_features(network.normalise(images)).numpy()
    outputs = [2, 0, 3]
    weights = network.head.weight.numpy()[outputs]
    expected = np.stack([spread(each, 128) for each in np.einsum("nc,nchw->nhw", weights, maps)])
    found = map_activations(network, find_feature_map(network, 128), images, None, outputs, method)
    # The package enlarges before the second of two scalings, so single pixels differ by rounding only.
    np.testing.assert_allclose(found, expected / np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-7), atol=2e-3)


@pytest.mark.parametrize(("backbone", "size_px"), [("test_vit", 160), ("test_vit3", 64)])
def test_roll_out_of_the_attention_that_timm_computes(backbone, size_px) -> None:
    """The weights are those that the layers multiply with, and the product is taken from the first to the last."""
    network = make_network(backbone, size_px)
    images = torch.randint(0, 256, (2, 3, size_px, size_px), dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    for block in network.backbone.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _module, _inputs, weights: seen.append(weights))
    with torch.inference_mode():
        network(images)
    rolled = torch.eye(seen[0].shape[-1])
    for weights in seen:
        rolled = (0.5 * weights.mean(dim=1) + 0.5 * torch.eye(weights.shape[-1])) @ rolled
    prefix = network.backbone.num_prefix_tokens
    token = network.backbone.global_pool == "token"
    places = (rolled[:, 0, prefix:] if token else rolled[:, prefix:, prefix:].mean(dim=1)).numpy()
    side = round(places.shape[1] ** 0.5)
    found = roll_out_attention(network, images)
    for each, expected in zip(found, places.reshape(-1, side, side), strict=True):
        wide = cv2.resize(expected, (size_px, size_px))
        np.testing.assert_allclose(each, (wide - wide.min()) / (wide.max() - wide.min()), atol=1e-4)


def test_roll_out_needs_attention() -> None:
    """A convolutional net has none, and relative positions need more than queries and keys."""
    for backbone in ("test_resnet", "test_vit_relpos"):
        size_px = 160 if "vit" in backbone else 64
        with pytest.raises(ConfigError, match="plain vision transformer"):
            roll_out_attention(make_network(backbone, size_px), torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8))
