"""The part of a network above the cut, as a network of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.models.adapters.stages import run_elements
from phytoscope.models.network import PlantNetwork
from phytoscope.train.trunk.cut import TrunkCut

_MAPS, _TOKENS = 4, 3


class TailNetwork(PlantNetwork):
    """Answers from activations instead of images.

    It shares all parameters with the network that was cut, under the same names, so that its checkpoints are that
    network's.
    """

    def __init__(self, network: PlantNetwork, cut: TrunkCut, dimensions: int) -> None:
        """Takes the network that was cut.

        Args:
            network: Shared, not copied.
            cut: Where it was cut.
            dimensions: Of the activations at the cut, the batch included: 4 for maps, 3 for tokens, 2 for features.
        """
        # Everything is shared, so nothing is built: both are one network with two ways through it.
        self.__dict__.update(network.__dict__)
        # In a tuple, or the modules of the tail would stand in the checkpoint twice.
        self._tail = cut.tail
        self._dimensions = dimensions

    def features(self, images: Tensor) -> Tensor:
        """Computes the pooled features.

        Args:
            images: Activations as `to_squares` laid them out, moved to shape (N, C, H, W) as batches of images are;
                float16.

        Returns:
            Shape (N, feature_dim), float32.
        """
        activations = images.to(self.head.weight.dtype)
        if self._dimensions == _TOKENS:
            activations = activations.flatten(2).transpose(1, 2)
        elif self._dimensions < _TOKENS:
            activations = activations.flatten(1)
        return run_elements(list(self._tail), activations)


def to_squares(activations: Tensor) -> NDArray[Any]:
    """Lays activations out as squares of pixels are laid out, so that batches of both are made in the same way.

    Args:
        activations: Shape (N, C, H, W), (N, tokens, width) or (N, features).

    Returns:
        Shape (N, H, W, C), (N, 1, tokens, width) or (N, 1, 1, features), float32.
    """
    if activations.ndim == _MAPS:
        return np.ascontiguousarray(activations.permute(0, 2, 3, 1).float().cpu().numpy())
    array = activations.float().cpu().numpy()
    return array[:, None] if activations.ndim == _TOKENS else array[:, None, None]
