"""Attention roll-out: which patches the answer of a vision transformer has been gathered from."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from phytoscope.errors import ConfigError
from phytoscope.models.network import PlantNetwork


def find_attentions(network: PlantNetwork) -> list[nn.Module]:
    """The attention layers of a plain vision transformer in their order; empty for any other backbone."""
    if not hasattr(network.backbone, "num_prefix_tokens"):
        return []
    blocks: Any = getattr(network.backbone, "blocks", [])
    attentions: list[Any] = [getattr(block, "attn", None) for block in blocks]
    # With relative positions the weights follow from more than queries and keys.
    is_plain = all(type(each).__name__ == "Attention" and hasattr(each, "qkv") for each in attentions)
    return attentions if is_plain else []


def roll_out_attention(network: PlantNetwork, images: Tensor) -> NDArray[np.float32]:
    """Follows attention from the answer back to the patches (Abnar 2020, doi 10.18653/v1/2020.acl-main.385).

    The weights of all heads are averaged, half of the identity is added for the way around each layer, and the layers
    are multiplied. The same map results whatever the answer is.

    Args:
        network: In evaluation mode.
        images: Shape (N, 3, S, S), uint8, RGB, 0-255.

    Returns:
        Shape (N, S, S), float32, 0-1, 1 at the hottest pixel of each image.

    Raises:
        ConfigError: The backbone is no plain vision transformer.
    """
    attentions = find_attentions(network)
    if not attentions:
        message = (
            "attention_rollout needs a plain vision transformer (for example vit_tiny_patch16_224 or deit): choose "
            "another method for this backbone, or auto."
        )
        raise ConfigError(message)
    seen: list[Tensor] = []
    handles = [
        each.register_forward_pre_hook(lambda module, inputs: seen.append(_weigh(module, inputs[0])))
        for each in attentions
    ]
    try:
        with torch.inference_mode():
            network.features(images)
    finally:
        for handle in handles:
            handle.remove()
    rolled = torch.eye(seen[0].shape[-1]).expand_as(seen[0])
    for weights in seen:
        mixed = 0.5 * weights + 0.5 * torch.eye(weights.shape[-1])
        rolled = (mixed / mixed.sum(dim=-1, keepdim=True)) @ rolled
    backbone: Any = network.backbone
    prefix = int(backbone.num_prefix_tokens)
    from_token = prefix > 0 and getattr(backbone, "global_pool", "token") == "token"
    gathered = rolled[:, 0, prefix:] if from_token else rolled[:, prefix:, prefix:].mean(dim=1)
    side = math.isqrt(gathered.shape[1])
    places = gathered.reshape(-1, 1, side, side)
    heat = F.interpolate(places, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    heat = heat - heat.amin(dim=(1, 2), keepdim=True)
    return (heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)).float().numpy()


def _weigh(attention: Any, tokens: Tensor) -> Tensor:
    """Weights of one layer, mean over its heads, shape (N, tokens, tokens)."""
    n, count, _ = tokens.shape
    mixed = attention.qkv(tokens).reshape(n, count, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys = attention.q_norm(mixed[0]), attention.k_norm(mixed[1])
    weights: Tensor = (queries * attention.scale @ keys.transpose(-2, -1)).softmax(dim=-1).mean(dim=1)
    return weights
