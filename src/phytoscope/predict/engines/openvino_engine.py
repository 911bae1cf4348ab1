"""The network in OpenVINO, in 32 bits or 8."""

import queue
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import require
from phytoscope.models.openvino_core import get_core
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.names import COVARIATES_NAME, INPUT_NAME, ForeignGraphError, check_names
from phytoscope.schema.choices import Precision, Runtime

_BATCH = 8


def read_openvino(graph: bytes, weights: bytes = b"") -> Any:
    """Reads a network for OpenVINO; it takes squares as they lie in memory, shape (N, S, S, 3).

    Args:
        graph: Content of an ONNX file, or of the XML file that OpenVINO wrote of one.
        weights: Content of the file beside that XML file.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        RuntimeError: It cannot read it.
        ForeignGraphError: It has other inputs or outputs.
    """
    openvino: Any = require("openvino")
    # Otherwise it would be read as whatever it is, and other formats may name files of this machine.
    if weights and not graph.lstrip().startswith(b"<"):
        message = "it is no XML file of OpenVINO"
        raise ForeignGraphError(message)
    core = get_core()
    model = core.read_model(graph, weights) if weights else core.read_model(graph)
    check_names(*([item.get_any_name() for item in items] for items in (model.inputs, model.outputs)))
    if weights:
        return model
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input(INPUT_NAME).tensor().set_layout(openvino.Layout("NHWC"))
    steps.input(INPUT_NAME).model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def build_openvino_engine(model: Any, size_px: int, cores: int, precision: Precision = Precision.float32) -> Engine:
    """Runs a network in OpenVINO on the processor, one image a request, several requests side by side.

    A request of one fixed size is the fastest form of most networks, and an image gets the same numbers whichever
    images it comes with. An image that comes alone is computed by all cores together.

    Args:
        model: What `read_openvino` gave.
        size_px: Side S of the images.
        cores: Threads to compute with.
        precision: Which numbers the network was written with.

    Raises:
        RuntimeError: It cannot run the network.
    """
    model = model.clone()
    dims = {item.get_any_name(): item.get_partial_shape() for item in model.inputs}
    shapes = {name: [1, size_px, size_px, 3] for name in dims if name == INPUT_NAME}
    shapes |= {name: [1, dims[name][1].get_length()] for name in dims if name == COVARIATES_NAME}
    model.reshape(shapes)
    lanes = _Requests(_compile(model, "THROUGHPUT", cores))
    alone = _Requests(_compile(model, "LATENCY", cores)) if lanes.count > 1 else lanes

    def look(
        pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        requests = alone if len(pixels) == 1 and lanes.are_idle() and alone.are_idle() else lanes
        outputs, features = requests.run(np.ascontiguousarray(pixels), covariates)
        return outputs.astype(np.float64), features

    return Engine(Runtime.openvino, precision, _BATCH * lanes.count, lanes.count, look)


def _compile(model: Any, hint: str, cores: int) -> Any:
    settings = {
        "PERFORMANCE_HINT": hint,
        # Some processors would otherwise take bfloat16 without a word, which is off by several percent.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": cores,
    }
    return get_core().compile_model(model, "CPU", settings)


class _Requests:
    """Requests to one compiled network, shared by threads."""

    def __init__(self, compiled: Any) -> None:
        self.count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.count):
            self._free.put(compiled.create_infer_request())

    def are_idle(self) -> bool:
        """Whether nobody computes with them now."""
        return self._free.qsize() == self.count

    def run(
        self, pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Computes outputs and features of images, with all requests that are free, and with one at least."""
        mine = self._take(len(pixels))
        results: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        started: deque[Any] = deque()
        try:
            for place in range(len(pixels)):
                if len(started) == len(mine):
                    results.append(_collect(started.popleft()))
                inputs: list[NDArray[Any]] = [pixels[place : place + 1]]
                if covariates is not None:
                    inputs.append(np.ascontiguousarray(covariates[place : place + 1]))
                request = mine[place % len(mine)]
                request.start_async(inputs, share_inputs=True)
                started.append(request)
            while started:
                results.append(_collect(started.popleft()))
        finally:
            # After a fault the others are still at work, and nobody else may have them before they are done.
            for request in started:
                request.wait()
            for request in mine:
                self._free.put(request)
        outputs, features = zip(*results, strict=True)
        return np.concatenate(outputs), np.concatenate(features)

    def _take(self, most: int) -> list[Any]:
        mine = [self._free.get()]
        while len(mine) < most:
            try:
                mine.append(self._free.get_nowait())
            except queue.Empty:
                break
        return mine


def _collect(request: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    request.wait()
    outputs, features = request.output_tensors
    return outputs.data.copy(), features.data.copy()
