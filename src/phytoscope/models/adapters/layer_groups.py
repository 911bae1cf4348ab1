"""Stages and layers of a backbone in their order from the input to the head, as timm groups them."""

import re
from typing import Any

from timm.models import group_parameters
from torch import nn

from phytoscope.errors import ConfigError


def group_layers(backbone: nn.Module, *, coarse: bool, setting: str) -> list[list[str]]:
    """Groups the parameters of a backbone.

    Args:
        backbone: A timm model without its classifier, adapted or not.
        coarse: Whether whole stages are wanted instead of single blocks.
        setting: What needs it, for the error.

    Returns:
        Names of the parameters of each group, from the input to the head. The first group is the stem; what comes after
        the last stage belongs to the last group.

    Raises:
        ConfigError: timm does not group this backbone.
    """
    facts: Any = backbone
    if not hasattr(facts, "group_matcher"):
        message = (
            f"{setting} needs to know the order of the layers, and timm does not tell it for a backbone of the class "
            f"{type(backbone).__name__}: leave the setting out, or choose another model.backbone."
        )
        raise ConfigError(message)
    matcher: Any = facts.group_matcher(coarse=coarse)
    place_of: dict[str, int] = group_parameters(backbone, matcher, reverse=True)
    groups: list[list[str]] = [[] for _ in range(max(place_of.values()) + 1)]
    for name, _ in backbone.named_parameters():
        groups[place_of[name]].append(name)
    # timm puts what no pattern fits, the layers behind the last stage, into a group of its own at the end.
    if isinstance(matcher, dict) and len(groups) > 1 and not any(_fits(name, matcher) for name in groups[-1]):
        rest = groups.pop()
        groups[-1] += rest
    return groups


def _fits(name: str, matcher: dict[str, Any]) -> bool:
    entries = [entry for entry in matcher.values() if entry is not None]
    patterns = [
        pattern for entry in entries for pattern in ([entry] if isinstance(entry, str) else [part[0] for part in entry])
    ]
    return any(re.match(pattern, name) for pattern in patterns)
