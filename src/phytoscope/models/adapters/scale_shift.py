"""A scale and a shift of each channel after a layer (Lian 2022, arXiv 2210.08823), as a change of its parameters."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class ChannelScale(nn.Module):
    """Scales the weights of a layer, output channel by output channel.

    Attributes:
        scale: Shape (channels,), float32, one at the start.
    """

    def __init__(self, channels: int) -> None:
        """Starts as no change.

        Args:
            channels: Output channels of the layer.
        """
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, weight: Tensor) -> Tensor:
        """Scales.

        Args:
            weight: Shape (channels, ...), float32.

        Returns:
            The same shape.
        """
        return weight * self.scale.view(-1, *[1] * (weight.ndim - 1))


class ChannelShift(nn.Module):
    """Shifts the bias of a layer.

    Attributes:
        shift: Shape (channels,), float32, zero at the start.
    """

    def __init__(self, channels: int) -> None:
        """Starts as no change.

        Args:
            channels: Output channels of the layer.
        """
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, bias: Tensor) -> Tensor:
        """Shifts.

        Args:
            bias: Shape (channels,), float32.

        Returns:
            The same shape.
        """
        return bias + self.shift


def add_scale_and_shift(backbone: nn.Module, names: list[str]) -> None:
    """Puts a scale and a shift after some layers.

    A layer without a bias gets the scale alone: the plain network has no place for a shift there, and it needs none, as
    the norm that follows such a layer shifts.

    Args:
        backbone: Changed in place.
        names: Names of its layers: convolutions, linear layers, norms.
    """
    for name in names:
        layer: Any = backbone.get_submodule(name)
        channels = int(layer.weight.shape[0])
        device = layer.weight.device
        parametrize.register_parametrization(layer, "weight", ChannelScale(channels).to(device))
        if getattr(layer, "bias", None) is not None:
            parametrize.register_parametrization(layer, "bias", ChannelShift(channels).to(device))
