"""The low-rank update against what a second path of two layers beside the first one computes."""

import pytest
import torch
from timm.layers import create_conv2d
from torch import nn
from torch.nn import functional

from phytoscope.models.adapters.low_rank import LowRankUpdate, add_low_rank

LAYERS = {
    "pointwise": lambda: nn.Conv2d(12, 20, 1),
    "regular, stride 2": lambda: nn.Conv2d(12, 20, 3, stride=2, padding=1, bias=False),
    "dilated": lambda: nn.Conv2d(12, 20, 3, dilation=2, padding=2),
    "two groups": lambda: nn.Conv2d(12, 20, 3, groups=2, padding=1),
    "depthwise": lambda: nn.Conv2d(12, 12, 5, groups=12, padding=2, bias=False),
    "padded as TensorFlow does": lambda: create_conv2d(12, 20, 3, stride=2, padding="same"),
    "linear": lambda: nn.Linear(12, 20),
}


def draw_input(layer: nn.Module) -> torch.Tensor:
    """Noise that the layer takes; an odd size, so that padding matters."""
    shape = (3, 12) if isinstance(layer, nn.Linear) else (3, 12, 15, 15)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def put_on(layer: nn.Module, **settings) -> LowRankUpdate:
    """Puts an update with random matrices on a layer."""
    holder = nn.ModuleDict({"layer": layer})
    add_low_rank(holder, ["layer"], **{"rank": 4, "alpha": 6.0, "dropout": 0.0, **settings})
    update = layer.parametrizations.weight[0]
    torch.nn.init.normal_(update.up, std=0.3)
    return update


@pytest.mark.parametrize("name", LAYERS)
def test_begins_as_nothing(name) -> None:
    """A layer with a fresh update gives exactly what it gave without it."""
    layer = LAYERS[name]()
    images = draw_input(layer)
    before = layer(images)
    add_low_rank(nn.ModuleDict({"layer": layer}), ["layer"], rank=4, alpha=6.0, dropout=0.0)
    assert torch.equal(layer(images), before)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("two groups", "depthwise")])
def test_equals_two_layers_beside_the_first(name) -> None:
    """y = layer(x) + alpha / rank * up(down(x)), where down is a layer of the same kind with `rank` outputs."""
    layer = LAYERS[name]()
    images = draw_input(layer)
    plain = layer(images)
    update = put_on(layer)
    if name == "linear":
        beside = functional.linear(functional.linear(images, update.down), update.up)
    else:
        down = LAYERS[name]()
        down.weight, down.bias = nn.Parameter(update.down.view(4, *layer.weight.shape[1:])), None
        beside = functional.conv2d(down(images), update.up.view(20, 4, 1, 1))
    torch.testing.assert_close(layer(images), plain + 1.5 * beside, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["two groups", "depthwise"])
def test_groups_share_the_rank(name) -> None:
    """For a convolution with groups, output channel o is changed by sum_r up[o, r] * down[r] as its kernel."""
    layer = LAYERS[name]()
    images = draw_input(layer)
    update = put_on(layer)
    with torch.no_grad():
        found = layer(images)
        kernel = layer.parametrizations.weight.original.clone()
        for output in range(len(kernel)):
            for place in range(4):
                kernel[output] += 1.5 * update.up[output, place] * update.down[place].view(kernel[0].shape)
        plain = LAYERS[name]()
        plain.weight.copy_(kernel)
        plain.bias = layer.bias
        torch.testing.assert_close(found, plain(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rank", "expected"), [(1, 1), (8, 8), (500, 9)])
def test_no_more_rank_than_the_weights_have(rank, expected) -> None:
    """More rank than the weights have rows or columns would be trained for nothing."""
    update = LowRankUpdate(nn.Conv2d(12, 12, 3, groups=12).weight, rank=rank, alpha=1.0)
    assert update.down.shape == (expected, 9)
    assert update.up.shape == (12, expected)


def test_dropout_hides_whole_input_channels_while_training() -> None:
    """In training a channel is seen by the update whole or not at all, right on average; in evaluation always whole."""
    layer = nn.Conv2d(12, 20, 3)
    update = put_on(layer, dropout=0.25)
    with torch.no_grad():
        own = layer.parametrizations.weight.original
        layer.eval()
        whole = layer.weight - own
        layer.train()
        torch.manual_seed(0)
        draws = torch.stack([layer.weight - own for _ in range(2000)])
    seen = draws.abs().amax(dim=(1, 3, 4)) > 1e-6
    assert update.training
    assert float(seen.float().mean()) == pytest.approx(0.75, abs=0.01)
    hidden = draws.abs().amax(dim=1)[~seen]
    assert float(hidden.max()) < 1e-6
    torch.testing.assert_close(draws.mean(0), whole, rtol=0, atol=0.06 * float(whole.abs().max()))
