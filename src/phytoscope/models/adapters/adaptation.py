"""What of an adapted network is trained, and when."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from phytoscope.models.adapters.choosing import Choice, choose_trained
from phytoscope.models.adapters.hashing import hash_backbone
from phytoscope.models.adapters.layer_groups import group_layers
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.train_config import AdaptConfig


@dataclass(frozen=True)
class Adaptation:
    """What of the backbone of one network is trained.

    Attributes:
        config: The settings it was made from.
        trained: Names of the backbone's parameters that are trained once the frozen epochs are over.
        statistics: Names of the backbone's modules whose running statistics are learned.
        active: Names of the backbone's modules that are in training mode while the backbone is trained; all others stay
            in evaluation mode.
        backbone_hash: SHA-256 of the backbone before it was adapted, as 64 hexadecimal digits.
    """

    config: AdaptConfig
    trained: frozenset[str]
    statistics: frozenset[str]
    active: frozenset[str]
    backbone_hash: str

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
        # What is not trained keeps its batch statistics too, else it would drift without being trained.
        for name, module in network.backbone.named_modules():
            module.training = not head_only and name in self.active

    def group_parameters(
        self, network: PlantNetwork, learning_rate: float, weight_decay: float
    ) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser, the head's first.

        With `layer_decay` below 1 each layer group of the backbone has a lower learning rate than the one after it; the
        last one has `backbone_lr_factor` times the head's (Howard and Ruder 2018, doi 10.18653/v1/P18-1031).

        Args:
            network: The adapted network.
            learning_rate: Of the head.
            weight_decay: Of weights; biases, norms and scales have none.

        Raises:
            ConfigError: `layer_decay` is below 1 and timm does not know the order of the layers.
        """
        config = self.config
        groups = _decay_groups(list(network.head.parameters()), learning_rate, weight_decay)
        names = [[name for name, _ in network.backbone.named_parameters()]]
        if config.layer_decay < 1:
            names = group_layers(network.backbone, coarse=False, setting=f"adapt.layer_decay={config.layer_decay:g}")
        rate = learning_rate * config.backbone_lr_factor
        parameters = dict(network.backbone.named_parameters())
        for place, group in enumerate(reversed(names)):
            trained = [parameters[name] for name in group if name in self.trained]
            groups += _decay_groups(trained, rate * config.layer_decay**place, weight_decay)
        return groups


def adapt_network(network: PlantNetwork, config: AdaptConfig) -> Adaptation:
    """Prepares a network for training in one of the ways on offer.

    A network that was just adapted gives the same answers as before.

    Args:
        network: A network with its pre-trained weights; modules may be added in place.
        config: Which way.

    Raises:
        ConfigError: A setting does not fit the kind or the backbone.
    """
    before = hash_backbone(network.backbone)
    choice: Choice = choose_trained(network.backbone, config)
    return Adaptation(config, choice.trained, choice.statistics, choice.active, before)


def _decay_groups(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = ((matrices, weight_decay), (vectors, 0.0))
    return [{"params": members, "lr": learning_rate, "weight_decay": decay} for members, decay in groups if members]
