"""A low-rank update of the weights of a layer (Hu 2021, arXiv 2106.09685), for convolutions of any kind too."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """Adds alpha / rank times the product of two thin matrices to the weights of a layer.

    The weights are changed, not the layer's forward pass: padding, stride, groups and whatever else a layer does stay
    its own, and the folded network computes the same numbers. A k x k convolution is taken as a matrix with one row an
    output channel; one with groups too, so that all groups share the rank.

    Attributes:
        down: Shape (rank, inputs x k x k of one group), float32, drawn as a linear layer's weights are.
        up: Shape (outputs, rank), float32, zero at the start: the update begins as nothing.
    """

    def __init__(self, weight: Tensor, *, rank: int, alpha: float, dropout: float = 0.0) -> None:
        """Draws the matrices.

        Args:
            weight: The layer's weights, shape (outputs, inputs, ...), float32.
            rank: Of the update; no more than the weights have is used.
            alpha: The update counts alpha / rank times.
            dropout: Share of the input channels that the update does not see in a step of training, 0-1.
        """
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        used = min(rank, outputs, inputs)
        self.down = nn.Parameter(weight.new_empty(used, inputs))
        self.up = nn.Parameter(weight.new_zeros(outputs, used))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self._channels = int(weight.shape[1])
        self._scale = alpha / rank
        self._dropout = dropout

    def forward(self, weight: Tensor) -> Tensor:
        """Adds the update.

        Args:
            weight: Shape (outputs, inputs, ...), float32.

        Returns:
            The same shape.
        """
        down: Tensor = self.down
        if self.training and self._dropout > 0:
            kept = torch.rand(self._channels, device=down.device) >= self._dropout
            mask = kept.to(down.dtype).repeat_interleave(down.shape[1] // self._channels)
            down = down * mask / (1 - self._dropout)
        return weight + self._scale * (self.up @ down).view_as(weight)


def add_low_rank(backbone: nn.Module, names: list[str], *, rank: int, alpha: float, dropout: float) -> None:
    """Puts a low-rank update on some layers.

    Args:
        backbone: Changed in place.
        names: Names of its layers.
        rank: Of each update.
        alpha: Each update counts alpha / rank times.
        dropout: Share of the input channels that an update does not see in a step of training, 0-1.
    """
    for name in names:
        layer: Any = backbone.get_submodule(name)
        update = LowRankUpdate(layer.weight.detach(), rank=rank, alpha=alpha, dropout=dropout)
        parametrize.register_parametrization(layer, "weight", update)
