"""What computes the part of a network that is not trained: torch, ONNX Runtime or OpenVINO, checked against torch."""

import copy
import importlib
import logging
import queue
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.errors import ConfigError, MissingDependencyError, require
from phytoscope.models.network import PlantNetwork
from phytoscope.models.openvino_core import get_core
from phytoscope.schema.choices import Runtime
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.stream import count_cores, map_ordered

TOLERANCE = 1e-3
"""Largest difference to torch, as a share of the largest output: about what half precision rounds away."""
# Below so many images torch is done before another runtime has translated the network.
_WORTH_OPENVINO, _WORTH_ONNX = 600, 2500
_CHECKED_IMAGES = 4
# What the translators raise for a network that they do not understand; some have no common base but Exception.
_FAULTS = (RuntimeError, ImportError, AttributeError, TypeError, ValueError, KeyError, NotImplementedError)


@dataclass(frozen=True)
class Extractor:
    """Runs a network, or a part of one, on pixels.

    Attributes:
        runtime: What computes; never `auto`.
        batch_size: Images at once with which it is fastest.
        lanes: Calls that may run side by side.
        infer: Takes pixels of shape (N, S, S, 3), uint8, RGB, 0-255, and gives float32 of shape (N, ...); it may be
            called from several threads, `lanes` of them at a time.
    """

    runtime: Runtime
    batch_size: int
    lanes: int
    infer: Callable[[NDArray[np.uint8]], NDArray[np.float32]]

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Runs the network on images, a batch after the other.

        Args:
            pixels: Shape (N, S, S, 3), uint8, RGB, 0-255; N of 1 or more.

        Returns:
            Shape (N, ...), float32.
        """
        step = self.batch_size
        blocks = (pixels[first : first + step] for first in range(0, len(pixels), step))
        return np.concatenate(list(self.stream(blocks)))

    def stream(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Runs the network on batches in order, while the next ones are prepared.

        Args:
            batches: Pixels of shape (N, S, S, 3), uint8, RGB, 0-255, `batch_size` of them or fewer; read only as fast
                as the results are taken.

        Yields:
            What `infer` gives for each.
        """
        return map_ordered(self.infer, batches, self.lanes, SilentProgress())


class PooledFeatures(nn.Module):
    """The pooled features of a network as a module of their own."""

    def __init__(self, network: PlantNetwork) -> None:
        """Takes the network, which stays as it is."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Computes the features (N, feature_dim) of images (N, 3, S, S), uint8."""
        return self.network.features(images)


def build_extractor(
    module: nn.Module,
    size_px: int,
    runtime: Runtime,
    *,
    images: int | None = None,
    device: torch.device | None = None,
    threads: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Extractor:
    """Prepares a network, or a part of one, for many images.

    The numbers are those of torch: each runtime computes in 32 bits and is compared with torch on some images first.

    Args:
        module: Takes images of shape (N, 3, S, S), uint8, RGB, 0-255, and gives (N, ...); put into evaluation mode.
        size_px: Side S of the images.
        runtime: What computes. `auto` takes the first of OpenVINO, ONNX Runtime and torch that is installed, can
            translate the network and is worth the time that this takes; torch where there is a GPU.
        images: How many images it will see; None for many.
        device: Where torch computes; the processor when None.
        threads: Threads that OpenVINO or ONNX Runtime compute with, one a core when None; torch has its own setting.
        say: Receiver of a sentence when `auto` had to pass over a runtime.

    Raises:
        MissingDependencyError: The runtime that was asked for is not installed.
        ConfigError: It cannot translate the network, or gives other numbers than torch.
    """
    module.eval()
    cores = threads if threads is not None else count_cores()
    if runtime is Runtime.auto:
        if device is not None and device.type != "cpu":
            return _build_torch(module, device)
        return _choose(module, size_px, images, cores, say if say is not None else lambda _: None)
    if runtime is Runtime.torch:
        return _build_torch(module, device)
    try:
        return _BUILDERS[runtime](module, size_px, cores)
    except MissingDependencyError:
        raise
    except list_faults() as error:
        message = (
            f"trainer.runtime={runtime.value} cannot run this network ({first_line(error)}): choose "
            "trainer.runtime=torch, or auto, which tries one after the other."
        )
        raise ConfigError(message) from error


def _choose(module: nn.Module, size_px: int, images: int | None, cores: int, say: Callable[[str], None]) -> Extractor:
    for runtime, worth in ((Runtime.openvino, _WORTH_OPENVINO), (Runtime.onnxruntime, _WORTH_ONNX)):
        if images is not None and images < worth:
            continue
        try:
            return _BUILDERS[runtime](module, size_px, cores)
        except MissingDependencyError:
            continue
        except list_faults() as error:
            say(f"{runtime.value} cannot run this network ({first_line(error)}); another runtime is taken")
    return _build_torch(module, None)


def _build_torch(module: nn.Module, device: torch.device | None) -> Extractor:
    place = device if device is not None else torch.device("cpu")
    # A copy, so that the network keeps its memory format and its place.
    own = copy.deepcopy(module).to(place).to(memory_format=torch.channels_last).eval()

    def infer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            outputs: Tensor = own(torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).to(place))
            return outputs.float().cpu().numpy()

    on_cpu = place.type == "cpu"
    return Extractor(Runtime.torch, 32 if on_cpu else 128, 1, infer)


def _build_openvino(module: nn.Module, size_px: int, cores: int) -> Extractor:
    require("openvino")
    example = torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8)
    # Translators warn about how they work inside; what counts is checked below.
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # By its parts and not by `convert_model`, which reports each translation to its makers and runs the network
        # twice more to compare.
        decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder(
            _FromSquares(module).eval(), example_input=example, trace_kwargs={"check_trace": False}
        )
        manager = importlib.import_module("openvino.frontend").FrontEndManager()
        translator = manager.load_by_framework("pytorch")
        model = translator.convert(translator.load(decoder))
        model.reshape([-1, size_px, size_px, 3])
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            # Some processors would otherwise take bfloat16 without a word, which is off by several percent.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": cores,
        }
        compiled = get_core().compile_model(model, "CPU", settings)
    lanes = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    idle: queue.Queue[Any] = queue.Queue()
    for _ in range(lanes):
        idle.put(compiled.create_infer_request())

    def infer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        request = idle.get()
        try:
            return np.array(request.infer({0: np.ascontiguousarray(pixels)})[0], dtype=np.float32)
        finally:
            idle.put(request)

    # Eight images and what is computed of them stay in the processor's own memory; 32 take nearly twice as long each.
    return _check(Extractor(Runtime.openvino, 8, lanes, infer), module, size_px)


def _build_onnxruntime(module: nn.Module, size_px: int, cores: int) -> Extractor:
    for name in ("onnx", "onnxscript"):
        require(name)
    onnxruntime: Any = require("onnxruntime")
    example = torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _FromSquares(module).eval(),
            (example,),
            input_names=["images"],
            output_names=["outputs"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        message = "the exporter gave no program"
        raise RuntimeError(message)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def infer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        (outputs,) = session.run(["outputs"], {"images": np.ascontiguousarray(pixels)})
        return np.asarray(outputs, dtype=np.float32)

    return _check(Extractor(Runtime.onnxruntime, 16, 1, infer), module, size_px)


_BUILDERS = {Runtime.openvino: _build_openvino, Runtime.onnxruntime: _build_onnxruntime}


class _FromSquares(nn.Module):
    """Takes pixels as they lie in the cache, (N, S, S, 3)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        return self.module(pixels.permute(0, 3, 1, 2))  # type: ignore[no-any-return]


def _check(extractor: Extractor, module: nn.Module, size_px: int) -> Extractor:
    """Refuses a runtime that gives other numbers than torch, in batches of one image and of several."""
    pixels = draw_blocks(_CHECKED_IMAGES, size_px)
    with torch.inference_mode():
        expected = module(torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)).float().numpy()
    found = np.concatenate([extractor.infer(pixels[:1]), extractor.infer(pixels[1:])])
    if found.shape != expected.shape:
        message = f"it gives outputs of shape {found.shape}, torch {expected.shape}"
        raise ValueError(message)
    worst = float(np.abs(found - expected).max() / max(1e-6, float(np.abs(expected).max())))
    # Worded so that a difference that is not a number is refused too.
    if not worst <= TOLERANCE:
        message = f"its numbers differ from torch by {worst:.2g}, allowed is {TOLERANCE:g}"
        raise ValueError(message)
    return extractor


def draw_blocks(count: int, size_px: int) -> NDArray[np.uint8]:
    """Images of coloured blocks, by which runtimes are compared; the same for the same numbers.

    Args:
        count: Number of images, N.
        size_px: Their side S.

    Returns:
        Shape (N, S, S, 3), uint8, RGB, 0-255.
    """
    # Blocks of one colour: noise alone would leave a network's deeper layers nearly silent.
    side = -(-size_px // 16)
    coarse = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :size_px, :size_px]


def list_faults() -> tuple[type[Exception], ...]:
    """What runtimes and translators raise for a network that they cannot run, those of them that are installed."""
    faults: list[type[Exception]] = list(_FAULTS)
    for module in ("openvino.frontend", "onnxruntime.capi.onnxruntime_pybind11_state"):
        try:
            names = vars(importlib.import_module(module))
        except ImportError:
            continue
        faults += [item for item in names.values() if isinstance(item, type) and issubclass(item, Exception)]
    return tuple(faults)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
