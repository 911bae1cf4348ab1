"""Builds the engine of a package on a runtime, and lets it prove that it gives the numbers of torch."""

import importlib.metadata
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from phytoscope.errors import ConfigError, MissingDependencyError, PackageError, StorageError
from phytoscope.models.runtime import first_line, list_faults
from phytoscope.predict.engines.check import check_engine
from phytoscope.predict.engines.contained import check_contained
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.names import ForeignGraphError
from phytoscope.predict.engines.onnx_engine import build_onnx_engine
from phytoscope.predict.engines.openvino_engine import build_openvino_engine, read_openvino
from phytoscope.predict.engines.torch_engine import build_torch_engine
from phytoscope.predict.export.onnx import export_onnx
from phytoscope.predict.package_files import ONNX_NAME, WEIGHTS_NAME, PackageFiles
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import find_user_cache, hash_content, write_atomic
from phytoscope.schema.choices import Precision, Runtime

INT8_GRAPH: Final = "int8/model.xml"
INT8_WEIGHTS: Final = "int8/model.bin"
_LIBRARIES: Final = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "phytoscope")


def build_engine(predictor: Predictor, files: PackageFiles, runtime: Runtime, cores: int) -> Engine:
    """Builds an engine in 32 bits and compares it with torch.

    Args:
        predictor: The model of the package.
        files: The package.
        runtime: What shall compute; not `auto`.
        cores: Threads to compute with; torch has its own setting.

    Raises:
        MissingDependencyError: The runtime is not installed.
        PackageError: The ONNX file of the package is damaged, or it holds none and none can be made.
        ValueError: The numbers differ from those of torch.
        Exception: Whatever a runtime raises for a network that it cannot run; see `list_faults`.
    """
    reference = build_torch_engine(predictor.network)
    if runtime is Runtime.torch:
        return reference
    build = _BUILDERS[runtime]
    try:
        engine = build(read_graph(predictor, files), predictor.preprocess.size_px, cores)
    except ForeignGraphError:
        # A package of format 1: its network gives no features, by which novelty is measured.
        engine = build(_translate(predictor, files), predictor.preprocess.size_px, cores)
    return check_engine(engine, reference, predictor.preprocess.size_px, predictor.meaning.covariate_dim)


def build_int8_engine(predictor: Predictor, files: PackageFiles, runtime: Runtime, cores: int) -> Engine:
    """Builds the engine in 8 bits, which OpenVINO runs.

    Its numbers are its own; the golden answers that the package keeps for it are what it is compared with.

    Args:
        predictor: The model of the package.
        files: The package.
        runtime: `auto` or `openvino`.
        cores: Threads to compute with.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        ConfigError: Another runtime is asked for.
        PackageError: The package holds no network in 8 bits, or it is damaged.
    """
    if runtime not in (Runtime.auto, Runtime.openvino):
        message = f"precision=int8 is computed by OpenVINO, not by {runtime.value}: choose runtime=openvino or auto."
        raise ConfigError(message)
    if INT8_GRAPH not in files.names:
        message = (
            f"the package {str(files.path)!r} holds no network in 8 bits: `phytoscope export RUN package.int8=always` "
            "makes one; or use precision=float32."
        )
        raise PackageError(message)
    graph, weights = files.read(INT8_GRAPH), files.read(INT8_WEIGHTS)
    try:
        model = read_openvino(graph, weights)
        return build_openvino_engine(model, predictor.preprocess.size_px, cores, Precision.int8)
    except MissingDependencyError:
        raise
    except list_faults() as error:
        message = (
            f"OpenVINO cannot run the network in 8 bits of {str(files.path)!r} ({first_line(error)}): use "
            "precision=float32, or copy the package again."
        )
        raise PackageError(message) from error


def read_graph(predictor: Predictor, files: PackageFiles) -> bytes:
    """The network of a package as ONNX: the file in it, else one that is made now and kept in the user's cache.

    Raises:
        MissingDependencyError: The package holds none, and the export extra is not installed.
        PackageError: The file is damaged or names other files, or none can be made.
    """
    if ONNX_NAME not in files.names:
        return _translate(predictor, files)
    graph = files.read(ONNX_NAME)
    check_contained(graph)
    return graph


def list_versions() -> dict[str, str]:
    """Versions of what an engine depends on: name -> version, those that are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _translate(predictor: Predictor, files: PackageFiles) -> bytes:
    key = hash_content([files.sha256[WEIGHTS_NAME], files.content["model"], list_versions()])[:32]
    kept = find_user_cache() / "engines" / f"{key}.onnx"
    if kept.is_file():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, ONNX_NAME)
        export_onnx(predictor, path)
        graph = path.read_bytes()
    try:
        with write_atomic(kept) as temporary:
            temporary.write_bytes(graph)
    except StorageError:
        # It is only slower without.
        return graph
    return graph


def _build_openvino(graph: bytes, size_px: int, cores: int) -> Engine:
    return build_openvino_engine(read_openvino(graph), size_px, cores)


def _build_onnxruntime(graph: bytes, _size_px: int, cores: int) -> Engine:
    return build_onnx_engine(graph, cores)


_BUILDERS: Final[dict[Runtime, Callable[[bytes, int, int], Engine]]] = {
    Runtime.openvino: _build_openvino,
    Runtime.onnxruntime: _build_onnxruntime,
}
