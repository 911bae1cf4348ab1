"""What of an adapted network is trained, and when."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from phytoscope.models.network import PlantNetwork
from phytoscope.schema.config import AdaptConfig, AdaptKind


@dataclass(frozen=True)
class Adaptation:
    """What of the backbone of one network is trained.

    Attributes:
        config: The settings it was made from.
        trained: Names of the backbone's parameters that are trained once the frozen epochs are over.
        statistics: Names of the backbone's modules whose running statistics are learned.
    """

    config: AdaptConfig
    trained: frozenset[str]
    statistics: frozenset[str]

    def is_head_only(self, epoch: int) -> bool:
        """Whether the whole backbone stands still in an epoch, counted from 0."""
        frozen = self.config.frozen_epochs
        return not self.trained or (frozen is not None and epoch < frozen)

    def begin_epoch(self, network: PlantNetwork, epoch: int) -> None:
        """Freezes and frees parameters, and puts each module of the backbone into training or evaluation mode.

        Args:
            network: The adapted network, in training mode.
            epoch: Counted from 0.
        """
        head_only = self.is_head_only(epoch)
        for name, parameter in network.backbone.named_parameters():
            parameter.requires_grad_(not head_only and name in self.trained)
        # A backbone that stands still keeps its batch statistics too, else it would drift without being trained.
        network.backbone.train(not head_only)

    def group_parameters(
        self, network: PlantNetwork, learning_rate: float, weight_decay: float
    ) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser.

        Args:
            network: The adapted network.
            learning_rate: Of the head.
            weight_decay: Of weights; biases, norms and scales have none.
        """
        backbone_rate = learning_rate * self.config.backbone_lr_factor
        return [
            *_decay_groups(network.head, learning_rate, weight_decay),
            *_decay_groups(network.backbone, backbone_rate, weight_decay),
        ]


def adapt_network(network: PlantNetwork, config: AdaptConfig) -> Adaptation:
    """Prepares a network for training in one of the ways on offer.

    Args:
        network: A network with its pre-trained weights; modules may be added in place.
        config: Which way.
    """
    names = {name for name, _ in network.backbone.named_parameters()} if config.kind is AdaptKind.full else set()
    modules = {name for name, _ in network.backbone.named_modules()} if config.kind is AdaptKind.full else set()
    return Adaptation(config, frozenset(names), frozenset(modules))


def _decay_groups(module: nn.Module, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    return [
        {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
        {"params": vectors, "lr": learning_rate, "weight_decay": 0.0},
    ]
