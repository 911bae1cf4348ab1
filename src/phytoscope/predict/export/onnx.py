"""ONNX: the same network for other runtimes, refused when it does not give the same numbers."""

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.errors import MissingDependencyError, PackageError, require
from phytoscope.models.ensemble import NetworkEnsemble
from phytoscope.models.network import PlantNetwork
from phytoscope.predict.engines.names import COVARIATES_NAME, FEATURES_NAME, INPUT_NAME, OUTPUT_NAME
from phytoscope.predict.predictor import Predictor

_TOLERANCE = 1e-4
_CHECKED_BATCHES = (1, 2, 7)
# What the exporter raises for a network it cannot translate, and for versions of its packages that do not fit.
_FAULTS = (RuntimeError, ImportError, AttributeError, TypeError, ValueError, KeyError)


class Look(nn.Module):
    """A network that gives its outputs and the features that they come from."""

    def __init__(self, network: PlantNetwork | NetworkEnsemble) -> None:
        """Takes the network, which stays as it is."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes outputs (N, outputs) and features (N, F) of images (N, 3, S, S), uint8; see `PlantNetwork.look`."""
        return self.network.look(images, covariates)


def export_onnx(predictor: Predictor, path: Path) -> float:
    """Writes the network as one ONNX file with a dynamic batch, and compares it with torch.

    Its input `images` is uint8, shape (N, 3, S, S), RGB, 0-255; its output `outputs` is what `Predictor.finish` takes,
    and `features`, float32, shape (N, F), is what novelty is measured by (of an ensemble, those of its first network).
    A model that sees more than the image has a second input `covariates`, float32, shape (N, covariate_dim), as the
    encoder in `package.json` gives them.

    Args:
        predictor: The model.
        path: File to write.

    Returns:
        The largest difference to torch on batches of 1, 2 and 7 random images, as a share of the largest output (or
        feature) where that is above 1.

    Raises:
        MissingDependencyError: The export extra is not installed.
        PackageError: The network cannot be exported, or the difference is larger than 1e-4.
    """
    faults: tuple[type[Exception], ...] = _FAULTS
    try:
        for module in ("onnx", "onnxscript", "onnxruntime"):
            require(module)
        faults += _runtime_faults()
        _write(predictor, path)
        worst = _compare(predictor, path)
    except MissingDependencyError:
        raise
    except faults as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        message = (
            f"the network {predictor.description.backbone!r} cannot be written as ONNX ({type(error).__name__}: "
            f"{reason}); set package.onnx=never, or install other versions of onnx, onnxscript and onnxruntime."
        )
        raise PackageError(message) from error
    # Worded so that a difference that is not a number is refused too.
    if not worst <= _TOLERANCE:
        message = (
            f"the ONNX file differs from the network by {worst:.2g} (allowed {_TOLERANCE:g}); set package.onnx=never "
            "and report it."
        )
        raise PackageError(message)
    return worst


def _runtime_faults() -> tuple[type[Exception], ...]:
    # The runtime's own errors have no common base but Exception.
    names = vars(importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state"))
    return tuple(item for item in names.values() if isinstance(item, type) and issubclass(item, Exception))


def _write(predictor: Predictor, path: Path) -> None:
    example = draw_inputs(predictor, 2)
    batch = torch.export.Dim("batch")
    try:
        # The exporter reports its optimiser passes as warnings and log records nobody can act on.
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                Look(predictor.network.to(memory_format=torch.contiguous_format)).eval(),
                tuple(map(torch.from_numpy, example.values())),
                str(path),
                input_names=list(example),
                output_names=[OUTPUT_NAME, FEATURES_NAME],
                dynamic_shapes=tuple({0: batch} for _ in example),
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    finally:
        predictor.network.to(memory_format=torch.channels_last)


def _compare(predictor: Predictor, path: Path) -> float:
    session = require("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences = []
    for count in _CHECKED_BATCHES:
        inputs = draw_inputs(predictor, count)
        with torch.inference_mode():
            expected = predictor.network.look(*map(torch.from_numpy, inputs.values()))
        found = session.run([OUTPUT_NAME, FEATURES_NAME], inputs)
        differences += [measure_difference(ours, theirs.numpy()) for ours, theirs in zip(found, expected, strict=True)]
    return float(np.max(differences))


def measure_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference of two arrays of one shape, as a share of the largest of the second where that is above 1."""
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def draw_inputs(predictor: Predictor, count: int) -> dict[str, NDArray[Any]]:
    """Random inputs by the names of the graph's inputs, the same for the same count.

    Args:
        predictor: The model.
        count: Images N.

    Returns:
        Images of shape (N, 3, S, S), uint8, and where the model sees more, covariates of shape (N, covariate_dim),
        float32.
    """
    size, covariate_dim = predictor.preprocess.size_px, predictor.meaning.covariate_dim
    rng = np.random.default_rng(count)
    inputs: dict[str, NDArray[Any]] = {INPUT_NAME: rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)}
    if covariate_dim > 0:
        inputs[COVARIATES_NAME] = rng.normal(size=(count, covariate_dim)).astype(np.float32)
    return inputs
