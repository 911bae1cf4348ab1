"""Adapter files: only what was trained, a few kilobytes, with the name and hash of the backbone it belongs to."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from phytoscope.errors import WeightsError
from phytoscope.models.adapters.adaptation import Adaptation, adapt_network
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.train_config import AdaptConfig

_FORMAT = "phytoscope-adapter-1"
_HEAD = "head."
_READ_BY = {
    "rank": (AdaptKind.lora,),
    "alpha": (AdaptKind.lora,),
    "targets": (AdaptKind.lora, AdaptKind.ssf),
    "stages": (AdaptKind.last_stages,),
    "running_statistics": (AdaptKind.bitfit, AdaptKind.norm, AdaptKind.se, AdaptKind.lora, AdaptKind.ssf),
}
"""Settings that decide what a file holds and what its numbers mean, and the kinds that read them."""


@dataclass(frozen=True)
class AdapterFile:
    """What an adapter file holds.

    Attributes:
        backbone: timm name of the backbone.
        backbone_hash: SHA-256 of the backbone before it was adapted.
        config: The settings it was trained with.
        answers: Names of the outputs, in their order.
        covariate_dim: Numbers that are seen beside the image.
        tensors: Name in the adapted network -> tensor of the parameter's shape, float32: trained parameters, learned
            statistics, head.
    """

    backbone: str
    backbone_hash: str
    config: AdaptConfig
    answers: tuple[str, ...]
    covariate_dim: int
    tensors: dict[str, Tensor]


def collect_trained(network: PlantNetwork, adaptation: Adaptation) -> dict[str, Tensor]:
    """Collects what training changes in a network.

    Args:
        network: The adapted network, not yet folded.
        adaptation: What of it is trained.

    Returns:
        Name in the network -> tensor of the parameter's shape on the CPU: trained parameters, learned statistics, head.
    """
    kept = {f"backbone.{name}" for name in adaptation.trained}
    for module in adaptation.statistics:
        kept |= {f"backbone.{module}.{name}" for name, _ in network.backbone.get_submodule(module).named_buffers()}
    return {
        name: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
        if name in kept or name.startswith(_HEAD)
    }


def save_adapter(
    network: PlantNetwork, adaptation: Adaptation, path: Path, *, backbone: str, answers: Sequence[str]
) -> None:
    """Writes what was trained, to be put onto the same backbone again.

    Args:
        network: The trained network, not yet folded.
        adaptation: What of it was trained.
        path: File to write.
        backbone: timm name of its backbone.
        answers: Names of the outputs, in their order.

    Raises:
        StorageError: The place cannot be written.
    """
    settings = {key: getattr(value, "value", value) for key, value in dataclasses.asdict(adaptation.config).items()}
    # Where this training began is a path of one computer and says nothing about what the file holds.
    settings.pop("start_from")
    about = {
        "backbone": backbone,
        "backbone_hash": adaptation.backbone_hash,
        "adapt": settings,
        "answers": list(answers),
        "covariate_dim": network.covariate_dim,
    }
    tensors = collect_trained(network, adaptation)
    with write_atomic(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"format": _FORMAT, "about": json.dumps(about)})


def read_adapter(path: Path) -> AdapterFile:
    """Reads an adapter file.

    Raises:
        WeightsError: The file is missing or damaged, or is no adapter file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        if metadata.get("format") != _FORMAT:
            message = f"{str(path)!r} is no adapter file: it does not carry the mark {_FORMAT!r}."
            raise WeightsError(message)
        about: dict[str, Any] = json.loads(metadata["about"])
        settings = {**about["adapt"], "kind": AdaptKind(about["adapt"]["kind"])}
        return AdapterFile(
            str(about["backbone"]),
            str(about["backbone_hash"]),
            AdaptConfig(**settings),
            tuple(about["answers"]),
            int(about["covariate_dim"]),
            tensors,
        )
    except WeightsError:
        raise
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        message = f"{str(path)!r} cannot be read as an adapter file ({error}): train the adapter again."
        raise WeightsError(message) from error


def load_adapter(
    network: PlantNetwork, adaptation: Adaptation, path: Path, *, backbone: str, answers: Sequence[str]
) -> bool:
    """Fills an adapted network from an adapter file.

    The head is taken too when the file answers the same question; otherwise it stays as it is.

    Args:
        network: A network with the pre-trained weights, adapted; changed in place.
        adaptation: How it is adapted.
        path: The file.
        backbone: timm name of its backbone.
        answers: Names of the network's outputs, in their order.

    Returns:
        Whether the head was taken.

    Raises:
        WeightsError: The file is damaged, or belongs to another backbone, to other pre-trained weights or to other
            settings of `adapt`.
    """
    file = read_adapter(path)
    _check_fit(file, adaptation, backbone, path)
    same_question = file.answers == tuple(answers) and file.covariate_dim == network.covariate_dim
    tensors = {name: value for name, value in file.tensors.items() if same_question or not name.startswith(_HEAD)}
    expected = {
        name: value.shape
        for name, value in collect_trained(network, adaptation).items()
        if same_question or not name.startswith(_HEAD)
    }
    if expected != {name: value.shape for name, value in tensors.items()}:
        message = f"{str(path)!r} does not hold the tensors that its settings promise: train the adapter again."
        raise WeightsError(message)
    network.load_state_dict(tensors, strict=False)
    return same_question


def attach_adapter(network: PlantNetwork, path: Path, *, backbone: str) -> Adaptation:
    """Adapts a network as an adapter file says, and fills it from the file, the head too.

    Args:
        network: A plain network with the pre-trained weights and as many outputs as the file has; changed in place.
        path: The file.
        backbone: timm name of its backbone.

    Returns:
        How it is adapted now.

    Raises:
        WeightsError: The file is damaged, or belongs to another backbone, to other pre-trained weights or to another
            number of outputs or covariates.
        ConfigError: The settings in the file do not fit the backbone.
    """
    file = read_adapter(path)
    wanted = (len(file.answers), file.covariate_dim)
    found = (network.head.out_features, network.covariate_dim)
    if wanted != found:
        message = (
            f"{str(path)!r} is made for {wanted[0]} outputs and {wanted[1]} covariates; this network has {found[0]} "
            f"and {found[1]}: build it with as many."
        )
        raise WeightsError(message)
    adaptation = adapt_network(network, file.config)
    load_adapter(network, adaptation, path, backbone=backbone, answers=file.answers)
    return adaptation


def _check_fit(file: AdapterFile, adaptation: Adaptation, backbone: str, path: Path) -> None:
    own = adaptation.config
    differing = [
        f"adapt.{key}={getattr(own, key)} instead of {getattr(file.config, key)}"
        for key, kinds in _READ_BY.items()
        if own.kind in kinds and getattr(own, key) != getattr(file.config, key)
    ]
    if own.kind is not file.config.kind:
        differing = [f"adapt.kind={own.kind.value} instead of {file.config.kind.value}"]
    faults = []
    if backbone != file.backbone:
        faults.append(f"it was trained on the backbone {file.backbone!r}, not on {backbone!r}")
    if adaptation.backbone_hash != file.backbone_hash:
        faults.append(
            f"its pre-trained weights have the hash {file.backbone_hash}, those here {adaptation.backbone_hash}"
        )
    if differing:
        faults.append(f"the settings differ: {', '.join(differing)}")
    if faults:
        message = (
            f"the adapter {str(path)!r} does not fit: {'; '.join(faults)}. Give the model.backbone, model.weights and "
            "adapt settings that it was trained with."
        )
        raise WeightsError(message)
