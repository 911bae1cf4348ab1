"""The network in ONNX Runtime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import require
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.names import COVARIATES_NAME, FEATURES_NAME, INPUT_NAME, OUTPUT_NAME, check_names
from phytoscope.schema.choices import Precision, Runtime

_BATCH = 8


def build_onnx_engine(graph: bytes, cores: int) -> Engine:
    """Runs an ONNX file of a package in ONNX Runtime on the processor.

    Args:
        graph: Content of the file; see `export_onnx` for its inputs and outputs.
        cores: Threads to compute with.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        Exception: Whatever it raises for a graph that it cannot run; see `list_faults`.
        ForeignGraphError: It has other inputs or outputs.
    """
    onnxruntime: Any = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    # Errors are raised; its own warnings are about what it did inside.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    check_names([item.name for item in session.get_inputs()], [item.name for item in session.get_outputs()])

    def look(
        pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        inputs: dict[str, NDArray[Any]] = {INPUT_NAME: np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))}
        if covariates is not None:
            inputs[COVARIATES_NAME] = np.ascontiguousarray(covariates)
        outputs, features = session.run([OUTPUT_NAME, FEATURES_NAME], inputs)
        return outputs.astype(np.float64), features

    return Engine(Runtime.onnxruntime, Precision.float32, _BATCH, 1, look)
