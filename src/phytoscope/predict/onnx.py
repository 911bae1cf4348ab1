"""ONNX: the same network for other runtimes, refused when it does not give the same numbers."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch

from phytoscope.errors import PackageError, require
from phytoscope.predict.predictor import Predictor

INPUT_NAME, OUTPUT_NAME = "images", "outputs"
_TOLERANCE = 1e-4
_CHECKED_BATCHES = (1, 2, 7)


def export_onnx(predictor: Predictor, path: Path) -> float:
    """Writes the network as one ONNX file with a dynamic batch, and compares it with torch.

    Its input `images` is uint8, shape (N, 3, S, S), RGB, 0-255; its output `outputs` is what `Predictor.finish` takes.

    Args:
        predictor: The model.
        path: File to write.

    Returns:
        The largest difference to torch on batches of 1, 2 and 7 random images.

    Raises:
        MissingDependencyError: The export extra is not installed.
        PackageError: The difference is larger than 1e-4.
    """
    require("onnx")
    require("onnxscript")
    runtime = require("onnxruntime")
    size = predictor.preprocess.size_px
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    # The exporter reports its optimiser passes as warnings and log records nobody can act on.
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            predictor.network.to(memory_format=torch.contiguous_format),
            (example,),
            str(path),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    predictor.network.to(memory_format=torch.channels_last)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for count in _CHECKED_BATCHES:
        images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
        with torch.inference_mode():
            expected = predictor.network(torch.from_numpy(images)).numpy()
        (found,) = session.run([OUTPUT_NAME], {INPUT_NAME: images})
        worst = max(worst, float(np.abs(found - expected).max()))
    if worst > _TOLERANCE:
        message = (
            f"the ONNX file differs from the network by {worst:.2g} (allowed {_TOLERANCE:g}); set package.onnx=never "
            "and report it."
        )
        raise PackageError(message)
    return worst
