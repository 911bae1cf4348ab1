"""Packages that hold their network in 8 bits as well."""

from pathlib import Path

import numpy as np

from factories.packages import make_package
from phytoscope.predict.engines.build import INT8_GRAPH
from phytoscope.predict.engines.equip import INT8_FOLDER
from phytoscope.predict.engines.openvino_engine import build_openvino_engine, read_openvino
from phytoscope.predict.export.int8 import NetworkInputs, quantize_plainly
from phytoscope.predict.export.openvino import write_openvino
from phytoscope.predict.package import load_package, save_package, seal_package
from phytoscope.predict.package_files import GOLDEN_NAME, ONNX_NAME, open_files
from phytoscope.predict.package_golden import answer_golden
from phytoscope.predict.trust_files import write_trust
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import OnnxExport, Precision


def add_int8(folder: Path) -> Path:
    """Writes a package with one form in 8 bits, which is judged as the whole one is; gives its place."""
    plain = make_package(folder / "plain")
    package = folder / "package"
    photos = sorted((folder / "photos").iterdir())
    save_package(plain, photos, package, onnx=OnnxExport.always, limitations=[])
    files = open_files(package)
    squares = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    model = quantize_plainly(read_openvino(files.read(ONNX_NAME)), NetworkInputs(squares))
    write_openvino(model, package / INT8_GRAPH)
    small = load_package(package)
    small.use(build_openvino_engine(model, 32, 1, Precision.int8))
    write_trust(package / INT8_FOLDER, plain.trust, plain.novelty)
    write_json(package / INT8_FOLDER / GOLDEN_NAME, answer_golden(small, files))
    seal_package(package, small.description, {"int8": {"parts": [INT8_GRAPH]}})
    return package
