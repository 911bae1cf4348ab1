"""The network in 8 bits, made from the network in 32 with the ranges that some images show."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import PackageError, require
from phytoscope.models.openvino_core import keep_signal_stack
from phytoscope.models.runtime import first_line, list_faults

_BATCH: Final = 8
_TELEMETRY_SWITCH: Final = "NNCF_CI"

Score = Callable[[NDArray[np.float64], NDArray[np.int64]], float]


@dataclass(frozen=True)
class NetworkInputs:
    """Images as the network takes them.

    Attributes:
        squares: Shape (N, S, S, 3), uint8, RGB, 0-255.
        covariates: Shape (N, covariate_dim), float32; None when the network sees the image alone.
    """

    squares: NDArray[np.uint8]
    covariates: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.squares)

    def take(self, places: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Inputs of M of the images, in the order of the network's inputs: shapes (M, S, S, 3) and (M, covariate_dim).

        Args:
            places: Places of the images, shape (M,).
        """
        images: list[NDArray[Any]] = [np.ascontiguousarray(self.squares[places])]
        return images if self.covariates is None else [*images, np.ascontiguousarray(self.covariates[places])]


@dataclass(frozen=True)
class Control:
    """How accuracy is watched while the network is made smaller.

    Attributes:
        images: Images whose truth is known, none of them for testing.
        score: From outputs of shape (N, outputs), float64, and the places of their images, to a number that is larger
            when the answers are better.
        max_drop: How much smaller the number may become.
    """

    images: NetworkInputs
    score: Score
    max_drop: float


def quantize_plainly(model: Any, calibration: NetworkInputs, *, careful: bool = False) -> Any:
    """Brings weights and activations to 8 bits (NNCF; Jacob 2018, arXiv 1712.05877).

    Args:
        model: What `read_openvino` gave; it stays as it is.
        calibration: Images that show the ranges of the activations.
        careful: Ranges that need not lie around 0, and the shift of every layer is measured and undone one after the
            other, as in Nagel 2019 (arXiv 1906.04721); slower to make, often nearer to 32 bits.

    Raises:
        MissingDependencyError: NNCF or OpenVINO is not installed.
        PackageError: It cannot be done for this network.
    """
    nncf = _import_nncf()
    preset = nncf.QuantizationPreset.MIXED if careful else nncf.QuantizationPreset.PERFORMANCE
    with _explained(), _silence(), keep_signal_stack():
        return nncf.quantize(
            model,
            _list_inputs(nncf, calibration),
            preset=preset,
            subset_size=len(calibration),
            fast_bias_correction=not careful,
        )


def quantize_controlled(model: Any, calibration: NetworkInputs, control: Control) -> Any:
    """The same, and layers that cost most accuracy are given their 32 bits back until the rest is good enough.

    Args:
        model: What `read_openvino` gave; it stays as it is.
        calibration: Images that show the ranges of the activations.
        control: How accuracy is watched.

    Raises:
        MissingDependencyError: NNCF or OpenVINO is not installed.
        PackageError: It cannot be done for this network.
    """
    nncf = _import_nncf()
    batches = [places.astype(np.int64) for places in np.array_split(np.arange(len(control.images)), _count(control))]

    def validate(compiled: Any, items: Iterable[NDArray[np.int64]]) -> tuple[float, None]:
        parts = list(items)
        outputs = [np.array(compiled(control.images.take(places))[0], dtype=np.float64) for places in parts]
        return control.score(np.concatenate(outputs), np.concatenate(parts)), None

    with _explained(), _silence(), keep_signal_stack():
        return nncf.quantize_with_accuracy_control(
            model,
            _list_inputs(nncf, calibration),
            nncf.Dataset(batches, control.images.take),
            validate,
            max_drop=control.max_drop,
            drop_type=nncf.DropType.ABSOLUTE,
            subset_size=len(calibration),
        )


def _count(control: Control) -> int:
    return max(1, len(control.images) // _BATCH)


def _list_inputs(nncf: Any, images: NetworkInputs) -> Any:
    return nncf.Dataset([np.array([place]) for place in range(len(images))], images.take)


def _import_nncf() -> Any:
    require("openvino")
    known = os.environ.get(_TELEMETRY_SWITCH)
    # It reports each use to its makers, unless it is told so before it is imported.
    os.environ[_TELEMETRY_SWITCH] = "1"
    try:
        with _silence():
            nncf = require("nncf")
    finally:
        if known is None:
            del os.environ[_TELEMETRY_SWITCH]
        else:
            os.environ[_TELEMETRY_SWITCH] = known
    nncf.set_log_level(logging.ERROR)
    return nncf


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps progress bars and warnings about its own insides off the terminal."""
    # It looks for a GPU, and tells when it has found none.
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (*list_faults(), *_list_own_faults()) as error:
        message = (
            f"the network cannot be brought to 8 bits ({type(error).__name__}: {first_line(error)}): set "
            "package.int8=never, or install another version of nncf."
        )
        raise PackageError(message) from error


def _list_own_faults() -> tuple[type[Exception], ...]:
    # NNCF's own errors have no common base but Exception.
    names = vars(require("nncf").errors)
    return tuple(item for item in names.values() if isinstance(item, type) and issubclass(item, Exception))
