"""Folds adapters into the layers beside them, so that the trained network costs no more than the backbone."""

from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from phytoscope.models.network import PlantNetwork


def merge_adapters(network: PlantNetwork) -> None:
    """Folds every adapter into its layer; afterwards the network has the parameters of a plain one.

    Args:
        network: An adapted network, in evaluation mode or not; changed in place. One without adapters stays as it is.
    """
    for module in [found for found in network.backbone.modules() if parametrize.is_parametrized(found)]:
        was_training = module.training
        # What an adapter drops at random while it is trained must not be left out for good.
        module.eval()
        for name in _list_adapted(module):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        module.train(was_training)
        # Folding puts a parameter behind the others; the plain network has the weight before the bias.
        for name in ("weight", "bias"):
            if name in module._parameters:  # noqa: SLF001 (torch has no public way to order them)
                module.register_parameter(name, module._parameters.pop(name))  # noqa: SLF001


def _list_adapted(module: nn.Module) -> list[str]:
    parametrizations: Any = module.parametrizations
    return list(parametrizations)
