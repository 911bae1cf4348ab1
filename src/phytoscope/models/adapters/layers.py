"""Which layers of a backbone an adapter can be put on, and what kind of layer each one is."""

import re

from torch import nn

from phytoscope.errors import ConfigError

WeightLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
"""Layers that multiply by a matrix of weights."""


def is_norm(module: nn.Module) -> bool:
    """Whether a module normalises and then scales each channel.

    timm has norms of its own that share no class with those of torch, so the name of the class decides.
    """
    weight = getattr(module, "weight", None)
    return "norm" in type(module).__name__.lower() and isinstance(weight, nn.Parameter) and weight.ndim == 1


def is_squeeze_excite(module: nn.Module) -> bool:
    """Whether a module is a squeeze-and-excite block (Hu 2018, doi 10.1109/CVPR.2018.00745) of timm."""
    return re.match(r"(Squeeze_?Excite|(Effective)?Se_?Module)", type(module).__name__, re.IGNORECASE) is not None


def is_depthwise(module: nn.Module) -> bool:
    """Whether a module is a convolution that sees one channel at a time."""
    return isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and 1 < module.groups == module.in_channels


def keeps_statistics(module: nn.Module) -> bool:
    """Whether a module has a running mean and variance."""
    return getattr(module, "running_mean", None) is not None and getattr(module, "running_var", None) is not None


def find_low_rank_layers(backbone: nn.Module, targets: str | None) -> list[str]:
    """Names of the layers that a low-rank update is put on.

    Args:
        backbone: A timm model without its classifier.
        targets: Regular expression that the names must contain; when None, all convolutions and linear layers but the
            depthwise convolutions, whose few weights have hardly any rank to save.

    Raises:
        ConfigError: The expression is none, or fits no layer.
    """
    layers = {name: module for name, module in backbone.named_modules() if isinstance(module, WeightLayer)}
    if targets is not None:
        return _match(list(layers), targets)
    return [name for name, layer in layers.items() if not is_depthwise(layer)]


def find_scaled_layers(backbone: nn.Module, targets: str | None) -> list[str]:
    """Names of the layers that a scale and a shift are put after.

    Args:
        backbone: A timm model without its classifier.
        targets: Regular expression that the names must contain; when None, all convolutions, linear layers and norms.

    Raises:
        ConfigError: The expression is none, or fits no layer.
    """
    fitting = [name for name, module in backbone.named_modules() if isinstance(module, WeightLayer) or is_norm(module)]
    return fitting if targets is None else _match(fitting, targets)


def _match(names: list[str], targets: str) -> list[str]:
    try:
        pattern = re.compile(targets)
    except re.error as error:
        message = f"adapt.targets={targets!r} is no regular expression ({error}): write for example 'blocks.[45]'."
        raise ConfigError(message) from error
    found = [name for name in names if pattern.search(name)]
    if not found:
        shown = ", ".join([*names[:3], "...", *names[-2:]] if len(names) > 5 else names)
        message = (
            f"adapt.targets={targets!r} fits none of the {len(names)} layers of the backbone that can be adapted "
            f"({shown}): change the expression, or leave it out to adapt all that fit."
        )
        raise ConfigError(message)
    return found
