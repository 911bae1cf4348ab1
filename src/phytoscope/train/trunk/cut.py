"""Where a network is cut: below stands what is never changed, above what is trained."""

from dataclasses import dataclass

from torch import Tensor, nn

from phytoscope.errors import ConfigError
from phytoscope.models.adapters import Adaptation
from phytoscope.models.adapters.stages import BackboneElement, find_first_trained, split_backbone
from phytoscope.models.network import PlantNetwork


@dataclass(frozen=True)
class TrunkCut:
    """A backbone in two parts.

    Attributes:
        trunk: Elements that are never changed, in order.
        tail: Elements from the first one with something to train on; empty when only the head is trained.
    """

    trunk: tuple[BackboneElement, ...]
    tail: tuple[BackboneElement, ...]

    @property
    def name(self) -> str:
        """Name of the last element below the cut."""
        return self.trunk[-1].name


class TrunkNetwork(nn.Module):
    """The part of a network below the cut, as a module of its own that takes pixels.

    Its buffers `mean` and `std` have the shape (1, 3, 1, 1), on the 0-1 scale.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: PlantNetwork, cut: TrunkCut) -> None:
        """Takes the network that was cut.

        Args:
            network: Shared, not copied.
            cut: Where it was cut.
        """
        super().__init__()
        self.register_buffer("mean", network.mean, persistent=False)
        self.register_buffer("std", network.std, persistent=False)
        self.elements = nn.Sequential(*(element.module for element in cut.trunk))

    def forward(self, images: Tensor) -> Tensor:
        """Computes the activations at the cut.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.

        Returns:
            Shape (N, C, H, W), (N, tokens, width) or (N, feature_dim), float32.
        """
        activations: Tensor = self.elements((images.to(self.mean.dtype) / 255 - self.mean) / self.std)
        return activations


def find_cut(network: PlantNetwork, adaptation: Adaptation) -> TrunkCut:
    """Cuts a network below the first element that is trained.

    Args:
        network: The adapted network.
        adaptation: What of it is trained.

    Raises:
        ConfigError: Training begins in the first element, or the order of execution in this backbone is not known.
    """
    elements = split_backbone(network.backbone)
    first = find_first_trained(network, adaptation)
    if first == 0:
        message = (
            f"trainer.mode=trunk: adapt={adaptation.config.kind.value} trains the backbone from its first layer on, so "
            "nothing of it can be computed once; use trainer.mode=plain, or adapt=last_stages."
        )
        raise ConfigError(message)
    return TrunkCut(tuple(elements[:first]), tuple(elements[first:]))
