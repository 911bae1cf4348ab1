"""The last layer of a backbone that still knows where in the picture things are."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from phytoscope.errors import ConfigError
from phytoscope.models.network import PlantNetwork

_LEAST_SIDE = 4
_PROBES = 2
_DEPENDS = 0.25


class Layout(StrEnum):
    """Where a layer keeps its places: (N, C, h, w), (N, h, w, C) or (N, tokens, C)."""

    channels_first = "channels_first"
    channels_last = "channels_last"
    tokens = "tokens"


@dataclass(frozen=True)
class FeatureMap:
    """A layer of a network whose output is a map.

    Attributes:
        name: Name of the layer below the network.
        layout: Where it keeps its places.
        side: Side of the map in places.
        prefix: Tokens before those of the picture, such as the class token.
    """

    name: str
    layout: Layout
    side: int
    prefix: int = 0

    def arrange(self, outputs: Tensor) -> Tensor:
        """Brings the output of the layer to one form.

        Args:
            outputs: What the layer gives for N images.

        Returns:
            Shape (N, C, h, w).
        """
        if self.layout is Layout.channels_first:
            return outputs
        if self.layout is Layout.channels_last:
            return outputs.permute(0, 3, 1, 2)
        places = outputs[:, self.prefix :]
        return places.reshape(len(places), self.side, self.side, -1).permute(0, 3, 1, 2)


def find_feature_map(network: PlantNetwork, size_px: int) -> FeatureMap:
    """Finds the last map that the answer depends on, by running the network on noise.

    The last map of a transformer that answers from its class token is not its last layer: there, what the other tokens
    hold has no part in the answer any more. Maps of fewer than 4 places a side say little and are passed over where
    there are others.

    Args:
        network: In evaluation mode, its parameters need no gradient.
        size_px: Side S of the images.

    Raises:
        ConfigError: The network has no map of at least 2 places a side.
    """
    prefix = int(getattr(network.backbone, "num_prefix_tokens", 0) or 0)
    width = int(getattr(network.backbone, "num_features", network.feature_dim))
    seen: list[tuple[FeatureMap, Tensor]] = []
    calls: dict[str, int] = {}

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            found = _describe(name, outputs, prefix, width)
            if found is not None:
                seen.append((found, outputs))

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    try:
        with torch.enable_grad():
            generator = torch.Generator().manual_seed(0)
            noise = torch.rand(_PROBES, 3, size_px, size_px, generator=generator) * 255
            features = network.features(noise.requires_grad_())
            direction = torch.randn(features.shape, generator=generator)
            outputs = [outputs for _, outputs in seen]
            gradients = torch.autograd.grad((features * direction).sum(), outputs, allow_unused=True) if outputs else ()
    finally:
        for handle in handles:
            handle.remove()
    # A layer that is called several times would leave several maps, and it would not be known which one counts.
    usable = [
        found
        for (found, _), gradient in zip(seen, gradients, strict=True)
        if calls[found.name] == 1 and _depends(found, gradient)
    ]
    for least in (_LEAST_SIDE, 2):
        large = [found for found in usable if found.side >= least]
        if large:
            return large[-1]
    message = (
        f"the network keeps no map of a picture of {size_px} px that an explanation could be drawn from: use a larger "
        "model.input_size_px or another backbone."
    )
    raise ConfigError(message)


def _describe(name: str, outputs: Any, prefix: int, width: int) -> FeatureMap | None:
    if not isinstance(outputs, Tensor) or not outputs.requires_grad or len(outputs) != _PROBES:
        return None
    found = _find_layout(name, outputs, prefix, width)
    return found if found is not None and found.side >= 2 else None


def _find_layout(name: str, outputs: Tensor, prefix: int, width: int) -> FeatureMap | None:
    if outputs.ndim == 4 and outputs.shape[2] == outputs.shape[3]:
        return FeatureMap(name, Layout.channels_first, int(outputs.shape[2]))
    if outputs.ndim == 4 and outputs.shape[1] == outputs.shape[2]:
        return FeatureMap(name, Layout.channels_last, int(outputs.shape[1]))
    # Queries and keys lie in tokens too, but are wider and are not what an answer is read from.
    if outputs.ndim == 3 and outputs.shape[2] == width:
        side = math.isqrt(max(0, outputs.shape[1] - prefix))
        if side * side == outputs.shape[1] - prefix:
            return FeatureMap(name, Layout.tokens, side, prefix)
    return None


def _depends(found: FeatureMap, gradient: Tensor | None) -> bool:
    if gradient is None:
        return False
    moved = found.arrange(gradient).abs().amax(dim=1) > 0
    return bool(moved.float().mean() > _DEPENDS)
