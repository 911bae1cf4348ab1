"""The model package: one folder that holds all that inference needs, and can prove itself."""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError, ImageReadError, MissingDependencyError, PackageError
from phytoscope.models.covariates import list_values
from phytoscope.predict.card import write_card
from phytoscope.predict.onnx import export_onnx
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.trust_files import TRUST_NAME, read_trust, write_trust
from phytoscope.schema.artifact import hash_content, hash_file, read_json, write_folder_atomic, write_json
from phytoscope.schema.choices import OnnxExport
from phytoscope.schema.package import PACKAGE_FORMAT, ModelDescription
from phytoscope.schema.report import EvaluationReport
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import Photo
from phytoscope.trust.novelty import NoveltyReference
from phytoscope.trust.observed import Observed
from phytoscope.trust.trust import Trust

DESCRIPTION_NAME = "package.json"
WEIGHTS_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"
CARD_NAME = "MODEL_CARD.md"
GOLDEN_NAME = "golden.json"
_GOLDEN_FOLDER = "golden"
_PLAIN_NAME = re.compile(r"\w[\w.-]{0,63}")
_NEEDED = (WEIGHTS_NAME, GOLDEN_NAME)
# Another processor rounds differently; a wrong class name, scale or weight is off by far more.
GOLDEN_TOLERANCE = 1e-3
NOVELTY_TOLERANCE = 1e-2
# A received package must not switch off the guard against images that fill the memory.
_MOST_MEGAPIXELS = 1000.0


def save_package(
    predictor: Predictor,
    golden: Sequence[Path],
    folder: Path,
    *,
    onnx: OnnxExport,
    limitations: Sequence[str],
    known: Sequence[Mapping[str, Any]] = (),
    report: EvaluationReport | None = None,
    further: Sequence[Callable[[Path], None]] = (),
) -> list[str]:
    """Writes a package, atomically; once it has reproduced its golden answers, an older one in its place is replaced.

    Args:
        predictor: The model.
        golden: Images kept with their answers.
        folder: Where the package shall stand.
        onnx: Whether to write an ONNX file.
        limitations: Sentences for the model card.
        known: Covariates of each golden image under the user's names; nothing is known when left out.
        report: What was measured, for the model card.
        further: Each writes further parts into the folder that it is given.

    Returns:
        Remarks for the user, for example that no ONNX file was written and why.

    Raises:
        ArtifactError: A golden image cannot be read any more.
        MissingDependencyError: `onnx` is `always` and the export extra is not installed.
        PackageError: The package does not reproduce its golden answers, or `onnx` is `always` and the network cannot be
            exported.
        StorageError: The place cannot be written.
    """
    remarks: list[str] = []
    with write_folder_atomic(folder) as temporary:
        state = {name: value.contiguous() for name, value in predictor.network.state_dict().items()}
        safetensors.torch.save_file(state, temporary / WEIGHTS_NAME)
        _write_golden(predictor, golden, known or [{} for _ in golden], temporary)
        remarks += _write_onnx(predictor, temporary / ONNX_NAME, onnx)
        if predictor.trust is not None:
            write_trust(temporary, predictor.trust, predictor.novelty)
        write_card(temporary / CARD_NAME, predictor.description, limitations, report=report, trust=predictor.trust)
        for write in further:
            write(temporary)
        parts = {path.relative_to(temporary).as_posix(): hash_file(path) for path in _files(temporary)}
        model = predictor.description.to_dict()
        content = {"format": PACKAGE_FORMAT, "model": model, "model_sha256": hash_content(model), "sha256": parts}
        write_json(temporary / DESCRIPTION_NAME, content)
        _refuse(_replay(load_package(temporary), temporary, parts), folder)
    return remarks


def load_package(folder: Path) -> Predictor:
    """Loads a package and checks every part against its hash.

    Raises:
        PackageError: It is not a package, of an unknown format, a part is missing or damaged, or it names a file
            outside of its folder.
    """
    content = _read_description(folder)
    _check_parts(folder, content["sha256"])
    description = ModelDescription.from_dict(content["model"])
    trust, novelty = _read_trust(folder, content["sha256"])
    try:
        state = safetensors.torch.load_file(folder / WEIGHTS_NAME)
        predictor = Predictor(_limit(description), state, trust=trust, novelty=novelty)
    except (RuntimeError, safetensors.SafetensorError) as error:
        message = f"the weights of {str(folder)!r} do not fit {description.backbone!r}: {str(error).splitlines()[0]}"
        raise PackageError(message) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        message = f"{DESCRIPTION_NAME} of the package {str(folder)!r} cannot be used ({error}): copy the package again."
        raise PackageError(message) from error
    # Class names in another order would answer wrongly without any other sign.
    if content.get("model_sha256") != hash_content(content["model"]):
        message = f"{DESCRIPTION_NAME} of the package {str(folder)!r} is not what it was: copy the package again."
        raise PackageError(message)
    return predictor


def _read_trust(folder: Path, parts: Collection[str]) -> tuple[Trust | None, NoveltyReference | None]:
    # Packages of earlier versions judge nothing.
    if TRUST_NAME not in parts:
        return None, None
    try:
        return read_trust(folder)
    except ArtifactError as error:
        message = f"the package {str(folder)!r} cannot judge its answers ({error}): copy the package again."
        raise PackageError(message) from error


def verify_package(folder: Path) -> float:
    """Loads a package and lets it answer its golden images.

    Returns:
        The largest difference to the kept answers, as a share of the largest of them where that is above 1 (numbers)
        or absolute (probabilities); that of their novelty counts a tenth.

    Raises:
        PackageError: It cannot be loaded, or an answer differs by more than the tolerance.
    """
    difference = _replay(load_package(folder), folder, _read_description(folder)["sha256"])
    _refuse(difference, folder)
    return difference


def _refuse(difference: float, folder: Path) -> None:
    # Worded so that a difference that is not a number is refused too.
    if not difference <= GOLDEN_TOLERANCE:
        message = (
            f"the package {str(folder)!r} does not reproduce its golden answers (difference {difference:.2g}, allowed "
            f"{GOLDEN_TOLERANCE:g}): do not use it here; check the versions of torch and timm."
        )
        raise PackageError(message)


def _replay(predictor: Predictor, folder: Path, names: Collection[str]) -> float:
    differences = [0.0]
    try:
        rows = read_json(folder / GOLDEN_NAME)
        if not isinstance(rows, list) or not rows:
            message = "it is not a list of images with answers"
            raise ValueError(message)
        for row in rows:
            name, kept = row["image"], np.array(row["answer"], dtype=np.float64)
            if name not in names:
                message = f"the image {name!r} is not among the parts of the package"
                raise ValueError(message)
            if kept.shape != (predictor.description.outputs,):
                message = f"an answer has shape {kept.shape}, expected {(predictor.description.outputs,)}"
                raise ValueError(message)
            covariates, _ = predictor.encode(row.get("covariates", {}))
            observed = _observe(predictor, predictor.prepare_photo(folder / name), covariates)
            differences.append(_measure_difference(observed.answers[0], kept))
            # Packages of earlier versions hold no judged answers.
            if predictor.trust is not None and "judged" in row:
                differences += _compare_judged(observed, predictor.trust, row["judged"])
    except (ArtifactError, RecursionError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        message = f"{GOLDEN_NAME} of the package {str(folder)!r} cannot be used ({error}): copy the package again."
        raise PackageError(message) from error
    return float(np.max(differences))


def _observe(predictor: Predictor, photo: Photo, covariates: NDArray[np.float32] | None) -> Observed:
    sizes = np.array([(photo.width_px, photo.height_px)], dtype=np.int64)
    return predictor.observe(photo.square[None], covariates, sizes)


def _measure_difference(found: NDArray[np.float64], kept: NDArray[np.float64]) -> float:
    """Largest difference of two answers, as a share of their size where that is above 1."""
    return float(np.abs(found - kept).max() / max(1.0, float(np.abs(kept).max())))


def _compare_judged(observed: Observed, trust: Trust, kept: Mapping[str, Any]) -> list[float]:
    """How far calibrated answer and novelty are from the kept ones, in the measure of the golden answers."""
    answer = np.array(kept["answer"], dtype=np.float64)
    differences = [_measure_difference(trust.judge(observed).answers[0], answer)]
    if kept["novelty"] is not None:
        # A distance between features that are nearly alike is less certain than an answer.
        off = _measure_difference(observed.novelty, np.array([kept["novelty"]], dtype=np.float64))
        differences.append(off * GOLDEN_TOLERANCE / NOVELTY_TOLERANCE)
    return differences


def _check_parts(folder: Path, parts: dict[str, str]) -> None:
    for name in parts:
        if not _is_inside(folder, name):
            message = (
                f"the package {str(folder)!r} names the file {name!r}, which is not a plain path inside its folder: "
                "do not use it; get the package from a source you trust."
            )
            raise PackageError(message)
    for name, expected in {**dict.fromkeys(_NEEDED, ""), **parts}.items():
        part = folder / name
        if not part.is_file():
            message = f"the package {str(folder)!r} is not complete: {name!r} is missing; copy it again."
            raise PackageError(message)
        try:
            found = hash_file(part)
        except OSError as error:
            message = f"the package {str(folder)!r}: {name!r} cannot be read ({error.strerror or error})."
            raise PackageError(message) from error
        if found != expected:
            message = f"the package {str(folder)!r} is damaged: {name!r} is not what it was; copy it again."
            raise PackageError(message)


def _is_inside(folder: Path, name: str) -> bool:
    # A colon is a drive or a stream on Windows; both slashes start an absolute path there.
    if not name or name.startswith("/") or any(mark in name for mark in ("..", "\\", ":")):
        return False
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        # Links that lead in a circle, or a name that no file can have.
        return False


def _limit(description: ModelDescription) -> ModelDescription:
    allowed = description.preprocess.get("max_megapixels", 0.0)
    # Worded so that a limit that is not a number, which would let everything pass, is replaced too.
    if allowed <= _MOST_MEGAPIXELS:
        return description
    return dataclasses.replace(description, preprocess={**description.preprocess, "max_megapixels": _MOST_MEGAPIXELS})


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
    model_id = str(content["model"].get("model_id", ""))
    # Folders are named after it.
    if not _PLAIN_NAME.fullmatch(model_id):
        message = (
            f"the package {str(folder)!r} calls its model {model_id!r}, which is no plain name: do not use it; get the "
            "package from a source you trust."
        )
        raise PackageError(message)
    return dict(content)


def _write_golden(
    predictor: Predictor, golden: Sequence[Path], known: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    (folder / _GOLDEN_FOLDER).mkdir()
    encoder = predictor.meaning.covariates
    rows = []
    for number, (path, values) in enumerate(zip(golden, known, strict=True)):
        name = f"{_GOLDEN_FOLDER}/{number}{path.suffix.lower()}"
        try:
            content = read_bytes(path)
            photo = predictor.prepare_photo(content, str(path))
        except ImageReadError as error:
            message = f"the image {str(path)!r} is not what it was ({error.reason}): run prepare again."
            raise ArtifactError(message) from error
        (folder / name).write_bytes(content)
        kept = {} if encoder is None else list_values(values, encoder.names)
        observed = _observe(predictor, photo, predictor.encode(kept)[0])
        row: dict[str, Any] = {"image": name, "answer": observed.answers[0].tolist()}
        if predictor.trust is not None:
            novelty = float(observed.novelty[0])
            judged = predictor.trust.judge(observed).answers[0].tolist()
            row["judged"] = {"answer": judged, "novelty": None if np.isnan(novelty) else novelty}
        rows.append(row if encoder is None else {**row, "covariates": kept})
    write_json(folder / GOLDEN_NAME, rows)


def _write_onnx(predictor: Predictor, path: Path, onnx: OnnxExport) -> list[str]:
    if onnx is OnnxExport.never:
        return []
    try:
        export_onnx(predictor, path)
    except (MissingDependencyError, PackageError) as error:
        if onnx is OnnxExport.always:
            raise
        path.unlink(missing_ok=True)
        return [f"no ONNX file: {error}"]
    return []


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """Hash of a network's parameters, tensors of any shape by name: 16 hexadecimal digits, the model's id."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
