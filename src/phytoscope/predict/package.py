"""The model package: one folder that holds all that inference needs, and can prove itself."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from phytoscope.errors import ArtifactError, MissingDependencyError, PackageError
from phytoscope.predict.card import write_card
from phytoscope.predict.onnx import export_onnx
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import hash_file, read_json, write_folder_atomic, write_json
from phytoscope.schema.config import OnnxExport
from phytoscope.schema.package import PACKAGE_FORMAT, ModelDescription

DESCRIPTION_NAME = "package.json"
WEIGHTS_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"
CARD_NAME = "MODEL_CARD.md"
GOLDEN_NAME = "golden.json"
_GOLDEN_FOLDER = "golden"
_NEEDED = (WEIGHTS_NAME, GOLDEN_NAME)
# Another processor rounds differently; a wrong class name, scale or weight is off by far more.
GOLDEN_TOLERANCE = 1e-3


def save_package(
    predictor: Predictor, golden: Sequence[Path], folder: Path, *, onnx: OnnxExport, limitations: Sequence[str]
) -> list[str]:
    """Writes a package, atomically; an older one in the same place is replaced.

    Args:
        predictor: The model.
        golden: Images kept with their answers.
        folder: Where the package shall stand.
        onnx: Whether to write an ONNX file.
        limitations: Sentences for the model card.

    Returns:
        Remarks for the user, for example that no ONNX file was written and why.

    Raises:
        MissingDependencyError: `onnx` is `always` and the export extra is not installed.
        PackageError: The ONNX file does not reproduce the network.
        StorageError: The place cannot be written.
    """
    remarks: list[str] = []
    with write_folder_atomic(folder) as temporary:
        state = {name: value.contiguous() for name, value in predictor.network.state_dict().items()}
        safetensors.torch.save_file(state, temporary / WEIGHTS_NAME)
        _write_golden(predictor, golden, temporary)
        if onnx is not OnnxExport.never:
            try:
                export_onnx(predictor, temporary / ONNX_NAME)
            except MissingDependencyError as error:
                if onnx is OnnxExport.always:
                    raise
                remarks.append(f"no ONNX file: {error}")
        write_card(temporary / CARD_NAME, predictor.description, limitations)
        parts = {path.relative_to(temporary).as_posix(): hash_file(path) for path in _files(temporary)}
        content = {"format": PACKAGE_FORMAT, "model": predictor.description.to_dict(), "sha256": parts}
        write_json(temporary / DESCRIPTION_NAME, content)
    return remarks


def load_package(folder: Path) -> Predictor:
    """Loads a package and checks every part against its hash.

    Raises:
        PackageError: It is not a package, of an unknown format, or a part is missing or damaged.
    """
    content = _read_description(folder)
    parts: dict[str, str] = content["sha256"]
    for name, expected in {**dict.fromkeys(_NEEDED, ""), **parts}.items():
        part = folder / name
        if not part.is_file():
            message = f"the package {str(folder)!r} is not complete: {name!r} is missing; copy it again."
            raise PackageError(message)
        if hash_file(part) != expected:
            message = f"the package {str(folder)!r} is damaged: {name!r} is not what it was; copy it again."
            raise PackageError(message)
    description = ModelDescription.from_dict(content["model"])
    try:
        return Predictor(description, safetensors.torch.load_file(folder / WEIGHTS_NAME))
    except (RuntimeError, safetensors.SafetensorError) as error:
        message = f"the weights of {str(folder)!r} do not fit {description.backbone!r}: {str(error).splitlines()[0]}"
        raise PackageError(message) from error
    except (KeyError, TypeError, ValueError) as error:
        message = f"{DESCRIPTION_NAME} of the package {str(folder)!r} cannot be used ({error}): copy the package again."
        raise PackageError(message) from error


def verify_package(folder: Path) -> float:
    """Loads a package and lets it answer its golden images.

    Returns:
        The largest difference to the kept answers, as a share of the spread of the answers (regression) or absolute
        (probabilities).

    Raises:
        PackageError: It cannot be loaded, or an answer differs by more than the tolerance.
    """
    predictor = load_package(folder)
    rows: list[dict[str, Any]] = read_json(folder / GOLDEN_NAME)
    worst = 0.0
    for row in rows:
        answer = predictor.predict_pixels(predictor.prepare(folder / row["image"])[None])[0]
        kept = np.array(row["answer"])
        scale = max(1.0, float(np.abs(kept).max()))
        worst = max(worst, float(np.abs(answer - kept).max()) / scale)
    if worst > GOLDEN_TOLERANCE:
        message = (
            f"the package {str(folder)!r} does not reproduce its golden answers (difference {worst:.2g}, allowed "
            f"{GOLDEN_TOLERANCE:g}): do not use it here; check the versions of torch and timm."
        )
        raise PackageError(message)
    return worst


def _read_description(folder: Path) -> dict[str, Any]:
    if not (folder / DESCRIPTION_NAME).is_file():
        hint = (
            f" Did you mean {str(folder / 'package')!r}?" if (folder / "package" / DESCRIPTION_NAME).is_file() else ""
        )
        message = f"{str(folder)!r} is not a model package: it holds no {DESCRIPTION_NAME}.{hint}"
        raise PackageError(message)
    try:
        content = read_json(folder / DESCRIPTION_NAME)
    except ArtifactError as error:
        message = f"the package {str(folder)!r} is damaged: {error}"
        raise PackageError(message) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != PACKAGE_FORMAT:
        message = f"the package {str(folder)!r} has format {found!r}; this version reads format {PACKAGE_FORMAT}."
        raise PackageError(message)
    if not isinstance(content.get("sha256"), dict) or not isinstance(content.get("model"), dict):
        message = f"the package {str(folder)!r} is damaged: {DESCRIPTION_NAME} is not complete; copy it again."
        raise PackageError(message)
    return dict(content)


def _write_golden(predictor: Predictor, golden: Sequence[Path], folder: Path) -> None:
    (folder / _GOLDEN_FOLDER).mkdir()
    rows = []
    for number, path in enumerate(golden):
        name = f"{_GOLDEN_FOLDER}/{number}{path.suffix.lower()}"
        shutil.copyfile(path, folder / name)
        answer = predictor.predict_pixels(predictor.prepare(folder / name)[None])[0]
        rows.append({"image": name, "answer": answer.tolist()})
    write_json(folder / GOLDEN_NAME, rows)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """Hash of a network's parameters, tensors of any shape by name: 16 hexadecimal digits, the model's id."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
