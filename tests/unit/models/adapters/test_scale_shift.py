"""Scale and shift after a layer against the formula."""

import pytest
import torch
from timm.layers import BatchNormAct2d, LayerNorm2d, create_conv2d
from torch import nn

from phytoscope.models.adapters.scale_shift import add_scale_and_shift

LAYERS = {
    "convolution": lambda: nn.Conv2d(6, 8, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, groups=8),
    "padded as TensorFlow does": lambda: create_conv2d(6, 8, 3, stride=2, padding="same", bias=True),
    "linear": lambda: nn.Linear(6, 8),
    "batch norm": lambda: nn.BatchNorm2d(8),
    "layer norm": lambda: nn.LayerNorm(8),
    "layer norm over channels": lambda: LayerNorm2d(8),
}


def draw_input(name: str) -> torch.Tensor:
    """Noise that the layer takes."""
    channels = 6 if name in ("convolution", "padded as TensorFlow does", "linear") else 8
    shape = (4, channels) if name in ("linear", "layer norm") else (4, channels, 9, 9)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def put_on(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives a layer a bias that is not zero, and a scale and a shift (s, t): s * layer(x) + t."""
    with torch.no_grad():
        layer.bias.copy_(torch.linspace(-1, 1, 8))
        add_scale_and_shift(nn.ModuleDict({"layer": layer}), ["layer"])
        scale, shift = torch.linspace(0.5, 2, 8), torch.linspace(1, -1, 8)
        layer.parametrizations.weight[0].scale.copy_(scale)
        # The shift is counted from the layer's own bias, so that scale and shift do not share a parameter.
        layer.parametrizations.bias[0].shift.copy_(shift + (scale - 1) * layer.parametrizations.bias.original)
    return scale, shift


@pytest.mark.parametrize("name", LAYERS)
def test_equals_the_formula(name) -> None:
    """Any s * layer(x) + t can be reached, in training mode too, where a batch norm takes the batch's statistics."""
    layer = LAYERS[name]()
    images = draw_input(name)
    scale, shift = put_on(layer)
    found = layer(images)
    plain = LAYERS[name]()
    with torch.no_grad():
        plain.weight.copy_(layer.parametrizations.weight.original)
        plain.bias.copy_(layer.parametrizations.bias.original)
    shape = (1, 8, 1, 1) if found.ndim == 4 else (1, 8)
    torch.testing.assert_close(found, plain(images) * scale.view(shape) + shift.view(shape), rtol=1e-4, atol=1e-5)


def test_stands_between_norm_and_activation() -> None:
    """In timm's norm with an activation, scale and shift come before the activation, as after a norm of its own."""
    layer = BatchNormAct2d(8, act_layer=nn.ReLU).eval()
    images = draw_input("batch norm")
    scale, shift = put_on(layer)
    plain = nn.BatchNorm2d(8).eval()
    plain.bias = nn.Parameter(layer.parametrizations.bias.original.detach())
    expected = torch.relu(plain(images) * scale.view(1, 8, 1, 1) + shift.view(1, 8, 1, 1))
    torch.testing.assert_close(layer(images), expected, rtol=1e-4, atol=1e-5)
    assert float(layer(images).detach().min()) == 0


def test_a_layer_without_bias_gets_no_shift() -> None:
    """The plain network has no place for a shift there; the scale is kept."""
    layer = nn.Conv2d(6, 8, 3, bias=False)
    add_scale_and_shift(nn.ModuleDict({"layer": layer}), ["layer"])
    assert [name for name, _ in layer.named_parameters()] == [
        "parametrizations.weight.original",
        "parametrizations.weight.0.scale",
    ]
