"""The bare network of a package for other programs, with a page that says what goes in and what comes out."""

import json
from pathlib import Path

from phytoscope.errors import PackageError
from phytoscope.predict.engines.build import read_graph
from phytoscope.predict.engines.names import COVARIATES_NAME, FEATURES_NAME, INPUT_NAME, OUTPUT_NAME
from phytoscope.predict.engines.openvino_engine import read_openvino
from phytoscope.predict.export.openvino import write_openvino
from phytoscope.predict.package import load_files
from phytoscope.predict.package_files import ONNX_NAME, open_files
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import write_folder_atomic
from phytoscope.schema.table import Task

README_NAME = "README.md"


def write_bare(package: Path, folder: Path, *, openvino: bool) -> list[Path]:
    """Writes the network of a package as ONNX, or as OpenVINO stores it, and a README.

    Nothing judges its answers there: no calibration, no sets or intervals, no verdict. `README.md` says so.

    Args:
        package: Folder of the package, or a `.phyto` file.
        folder: Where; it must not hold files.
        openvino: Whether to write OpenVINO's form.

    Returns:
        The files.

    Raises:
        MissingDependencyError: A library for it is not installed.
        PackageError: The package is damaged, the network cannot be written, or the folder holds files.
        StorageError: The folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{str(folder)!r} exists and is not an empty folder: choose another --output."
        raise PackageError(message)
    files = open_files(package)
    predictor = load_files(files)
    graph = read_graph(predictor, files)
    with write_folder_atomic(folder) as temporary:
        if openvino:
            names = [path.name for path in write_openvino(read_openvino(graph), temporary / "model.xml")]
        else:
            (temporary / ONNX_NAME).write_bytes(graph)
            names = [ONNX_NAME]
        (temporary / README_NAME).write_text(word_bare(predictor, names[0], channels_last=openvino), encoding="utf-8")
    return [folder / name for name in (*names, README_NAME)]


def word_bare(predictor: Predictor, name: str, *, channels_last: bool) -> str:
    """What another program must know of the network, in Markdown.

    Args:
        predictor: The model.
        name: Name of the file.
        channels_last: Whether it takes pixels as they lie in memory, (N, S, S, 3).
    """
    about, side = predictor.description, predictor.preprocess.size_px
    shape = f"(N, {side}, {side}, 3)" if channels_last else f"(N, 3, {side}, {side})"
    lines = [
        f"# {name}: the network of the model {about.model_id}",
        "",
        "| | name | type | shape | what |",
        "|---|---|---|---|---|",
        f"| in | `{INPUT_NAME}` | uint8 | {shape} | RGB, 0-255; mean and deviation are part of the network |",
    ]
    if predictor.meaning.covariates is not None:
        columns = ", ".join(predictor.meaning.covariates.names)
        lines.append(
            f"| in | `{COVARIATES_NAME}` | float32 | (N, {predictor.meaning.covariate_dim}) | {columns}, encoded as "
            "below |"
        )
    lines += [
        f"| out | `{OUTPUT_NAME}` | float32 | (N, {predictor.meaning.outputs}) | {_word_outputs(predictor)} |",
        f"| out | `{FEATURES_NAME}` | float32 | (N, F) | pooled features |",
        "",
        "Pictures become squares in this way; another way of resizing gives other answers:",
        "",
        "```json",
        json.dumps(about.preprocess, indent=2),
        "```",
        "",
    ]
    if about.covariates is not None:
        lines += ["Columns beside the picture:", "", "```json", json.dumps(about.covariates, indent=2), "```", ""]
    lines += [
        (
            "This is the bare network. Calibration, sets or intervals, limits of novelty and verdicts are in the "
            "package: an answer of this file alone does not say how far it can be believed."
        ),
        "",
    ]
    return "\n".join(lines)


def _word_outputs(predictor: Predictor) -> str:
    about = predictor.description
    if about.members:
        return "outputs of every network of the ensemble, one after the other; answers are averaged after decoding"
    if about.task is Task.classification:
        names = ", ".join(about.class_names)
        return f"logits; softmax gives probabilities, not calibrated, of: {names}"
    scales = json.dumps({about.target_name: about.target_scale, **{t["name"]: t["scale"] for t in about.more_targets}})
    return f"numbers on learned scales, to be turned back: {scales}"
