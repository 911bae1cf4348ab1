"""The network of a package, and whether it fits the weights before memory is taken for it."""

import math
from collections.abc import Mapping
from typing import Final

import torch

from phytoscope.errors import ConfigError, PackageError
from phytoscope.models.ensemble import EnsembleMeaning, NetworkEnsemble
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import BackboneInput, PlantNetwork
from phytoscope.predict.description import read_meaning
from phytoscope.schema.package import ModelDescription
from phytoscope.transforms.preprocess import Preprocess

# Far above what any description that fits its weights needs, and far below what fills a memory.
_SPARE: Final = 2
_FREE: Final = 5_000_000


def build_empty_network(
    description: ModelDescription, preprocess: Preprocess, meaning: Meaning
) -> PlantNetwork | NetworkEnsemble:
    """Builds the network that a description tells of, with weights that mean nothing yet.

    Args:
        description: What the model is.
        preprocess: How its images are prepared.
        meaning: What goes in beside the image, and what comes out.

    Raises:
        ConfigError: timm knows no such backbone, or it cannot be built for this size.
    """
    spec = BackboneInput(
        preprocess.size_px, preprocess.mean, preprocess.std, preprocess.interpolation, preprocess.crop_pct
    )
    members = meaning.members if isinstance(meaning, EnsembleMeaning) else (meaning,)
    networks = [PlantNetwork(description.backbone, each.outputs, 0.0, spec, each.covariate_dim) for each in members]
    return NetworkEnsemble(networks) if isinstance(meaning, EnsembleMeaning) else networks[0]


def refuse_oversize(description: ModelDescription, shapes: Mapping[str, torch.Size]) -> None:
    """Refuses a description whose network would be far larger than the weights that came with it.

    A received package may name the largest network that there is, or a million classes, beside a small file of weights.

    Args:
        description: What the model is.
        shapes: Shape of each tensor of the weights.

    Raises:
        PackageError: The network is far larger.
        KeyError: A part of the description is missing.
        TypeError: A part of the description is not what it should be.
        ValueError: A part of the description is out of range.
    """
    meaning, preprocess = read_meaning(description), Preprocess.from_dict(description.preprocess)
    given = sum(math.prod(shape) for shape in shapes.values())
    try:
        # Tensors on this device have a shape and no numbers.
        with torch.device("meta"):
            network = build_empty_network(description, preprocess, meaning)
    except (ConfigError, NotImplementedError, RuntimeError):
        # A few networks read numbers while they are built; they are compared with their weights when these are loaded.
        return
    needed = sum(value.numel() for value in network.state_dict().values())
    if needed > _FREE + _SPARE * given:
        message = (
            f"the network {description.backbone!r} that the package describes has {needed:,} weights, but {given:,} "
            "came with it: do not use it; get the package from a source you trust."
        )
        raise PackageError(message)
