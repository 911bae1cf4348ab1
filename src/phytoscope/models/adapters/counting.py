"""How much of a network is trained, and what it takes to store it."""

from dataclasses import dataclass

from phytoscope.models.adapters.adaptation import Adaptation
from phytoscope.models.adapters.files import collect_trained
from phytoscope.models.network import PlantNetwork


@dataclass(frozen=True)
class TrainedCount:
    """How much of a network is trained.

    Attributes:
        backbone: Trained numbers inside the backbone, those of adapters included.
        head: Trained numbers of the head.
        plain: Parameters of the network without adapters, all of backbone and head.
        file_bytes: Size of the tensors in an adapter file, the head's and learned statistics included.
    """

    backbone: int
    head: int
    plain: int
    file_bytes: int

    @property
    def share(self) -> float:
        """Trained numbers, head included, as a share of the plain network's, 0-1."""
        return (self.backbone + self.head) / self.plain


def count_trained(network: PlantNetwork, adaptation: Adaptation) -> TrainedCount:
    """Counts what is trained.

    Args:
        network: The adapted network.
        adaptation: What of it is trained.
    """
    parameters = {name: value.numel() for name, value in network.backbone.named_parameters()}
    added = [name for name in parameters if ".parametrizations." in name and not name.endswith(".original")]
    head = sum(value.numel() for value in network.head.parameters())
    tensors = collect_trained(network, adaptation)
    return TrainedCount(
        backbone=sum(parameters[name] for name in adaptation.trained),
        head=head,
        plain=sum(parameters.values()) - sum(parameters[name] for name in added) + head,
        file_bytes=sum(value.numel() * value.element_size() for value in tensors.values()),
    )
