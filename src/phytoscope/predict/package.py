"""The model package: one folder or file that holds all that inference needs, and can prove itself."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch

from phytoscope.errors import MissingDependencyError, PackageError
from phytoscope.predict.card import write_card
from phytoscope.predict.engines.equip import equip_predictor
from phytoscope.predict.export.onnx import export_onnx
from phytoscope.predict.package_files import (
    CARD_NAME,
    DESCRIPTION_NAME,
    GOLDEN_NAME,
    ONNX_NAME,
    WEIGHTS_NAME,
    PackageFiles,
    open_files,
)
from phytoscope.predict.package_golden import GOLDEN_TOLERANCE, NOVELTY_TOLERANCE, replay_golden, write_golden
from phytoscope.predict.package_network import refuse_oversize
from phytoscope.predict.package_source import find_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.trust_files import read_package_trust, write_trust
from phytoscope.schema.artifact import hash_file, write_folder_atomic, write_json
from phytoscope.schema.choices import OnnxExport, Precision, Runtime
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.package_format import write_content
from phytoscope.schema.report import EvaluationReport

__all__ = [
    "CARD_NAME",
    "DESCRIPTION_NAME",
    "GOLDEN_NAME",
    "GOLDEN_TOLERANCE",
    "NOVELTY_TOLERANCE",
    "ONNX_NAME",
    "WEIGHTS_NAME",
    "load_files",
    "load_package",
    "load_source",
    "refuse_difference",
    "replay_golden",
    "save_package",
    "seal_package",
    "state_hash",
    "verify_package",
]

_NEEDED: Final = (WEIGHTS_NAME, GOLDEN_NAME)
# A received package must not switch off the guard against images that fill the memory.
_MOST_MEGAPIXELS: Final = 1000.0
_MOST_SIZE_PX: Final = 4096
# What hostile or damaged values raise while a network is made of them.
_FAULTS: Final = (
    AttributeError,
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


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
        write_golden(predictor, golden, known or [{} for _ in golden], temporary)
        remarks += _write_onnx(predictor, temporary / ONNX_NAME, onnx)
        if predictor.trust is not None:
            write_trust(temporary, predictor.trust, predictor.novelty)
        write_card(temporary / CARD_NAME, predictor.description, limitations, report=report, trust=predictor.trust)
        for write in further:
            write(temporary)
        seal_package(temporary, predictor.description)
        files = open_files(temporary)
        refuse_difference(replay_golden(load_files(files), files), folder)
    return remarks


def seal_package(folder: Path, description: ModelDescription, variants: Mapping[str, Any] | None = None) -> None:
    """Writes `package.json`: every file of a folder becomes a part, with the hash of its bytes.

    Args:
        folder: The package that is being made.
        description: What the model is.
        variants: Name of each further way to compute the network -> what is to be known of it.

    Raises:
        StorageError: The file cannot be written.
        ValueError: A value is not finite.
    """
    (folder / DESCRIPTION_NAME).unlink(missing_ok=True)
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = {path.relative_to(folder).as_posix(): hash_file(path) for path in found}
    write_json(folder / DESCRIPTION_NAME, write_content(description.to_dict(), parts, dict(variants or {})))


def load_package(path: Path) -> Predictor:
    """Loads a package and checks every part against its hash.

    Args:
        path: Its folder, or a `.phyto` file.

    Raises:
        PackageError: It is not a package, of an unknown format, a part is missing or damaged, or it names a file
            outside of its folder.
    """
    return load_files(open_files(path))


def load_files(files: PackageFiles) -> Predictor:
    """Loads a package that was opened; see `load_package`.

    Args:
        files: The package.

    Raises:
        PackageError: A part is missing or damaged, or cannot be used.
    """
    for name in _NEEDED:
        if name not in files.names:
            message = f"the package {str(files.path)!r} is not complete: {name!r} is missing; copy it again."
            raise PackageError(message)
    files.check()
    description = ModelDescription.from_dict(files.content["model"])
    trust, novelty = read_package_trust(files)
    weights = files.read(WEIGHTS_NAME)
    try:
        state = safetensors.torch.load(weights)
        # Once more as large as the file, and copied into the network in a moment.
        del weights
        description = _limit(description)
        refuse_oversize(description, {name: value.shape for name, value in state.items()})
        return Predictor(description, state, trust=trust, novelty=novelty)
    except PackageError:
        # It is a ValueError, too, and says better what is wrong.
        raise
    except _FAULTS as error:
        message = (
            f"{DESCRIPTION_NAME} of the package {str(files.path)!r} cannot be used ({error}): copy the package again."
        )
        raise PackageError(message) from error
    except (RuntimeError, safetensors.SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"the weights of {str(files.path)!r} do not fit {description.backbone!r}: {reason}"
        raise PackageError(message) from error


def load_source(
    source: str | Path,
    runtime: Runtime,
    precision: Precision = Precision.float32,
    say: Callable[[str], None] | None = None,
) -> Predictor:
    """Finds and loads a package, lets a runtime compute it, and lets it prove itself on its golden images.

    Args:
        source: See `find_package`.
        runtime: What computes the network; `auto` measures which is fastest here.
        precision: With which numbers; `int8` only where the package holds such a network.
        say: Receiver of sentences: which runtime was taken, and why.

    Raises:
        ConfigError: Nobody knows the scheme of the address, or the runtime cannot run the network.
        MissingDependencyError: The runtime is not installed.
        PackageError: It is not a package, or damaged, or the runtime does not reproduce its golden answers.
        PhytoscopeError: What an address names cannot be had.
    """
    files = open_files(find_package(source))
    predictor = load_files(files)
    if runtime is Runtime.torch and precision is Precision.float32:
        refuse_difference(replay_golden(predictor, files), files.path)
    else:
        equip_predictor(predictor, files, runtime, precision, say=say)
    return predictor


def verify_package(path: Path) -> float:
    """Loads a package and lets it answer its golden images.

    Args:
        path: Its folder, or a `.phyto` file.

    Returns:
        The largest difference to the kept answers, as a share of the largest of them where that is above 1 (numbers)
        or absolute (probabilities); that of their novelty counts a tenth.

    Raises:
        PackageError: It cannot be loaded, or an answer differs by more than the tolerance.
    """
    files = open_files(path)
    difference = replay_golden(load_files(files), files)
    refuse_difference(difference, path)
    return difference


def refuse_difference(difference: float, path: Path) -> None:
    """Refuses a package whose answers are not what they were.

    Args:
        difference: What `replay_golden` gave.
        path: The package.

    Raises:
        PackageError: The difference is larger than the tolerance, or no number.
    """
    # Worded so that a difference that is not a number is refused too.
    if not difference <= GOLDEN_TOLERANCE:
        message = (
            f"the package {str(path)!r} does not reproduce its golden answers (difference {difference:.2g}, allowed "
            f"{GOLDEN_TOLERANCE:g}): do not use it here; check the versions of torch and timm."
        )
        raise PackageError(message)


def _limit(description: ModelDescription) -> ModelDescription:
    size_px = description.preprocess["size_px"]
    if size_px > _MOST_SIZE_PX:
        message = f"size_px is {size_px}, allowed are {_MOST_SIZE_PX}"
        raise ValueError(message)
    # What every picture is enlarged to before the square is cut out of it.
    cropped, scale = size_px / description.preprocess.get("crop_pct", 1.0), description.preprocess.get("scale")
    if not cropped <= _MOST_SIZE_PX or (scale is not None and not scale <= _MOST_SIZE_PX):
        message = f"crop_pct or scale would enlarge every picture beyond {_MOST_SIZE_PX} px"
        raise ValueError(message)
    allowed = description.preprocess.get("max_megapixels", 0.0)
    # Worded so that a limit that is not a number, which would let everything pass, is replaced too.
    if allowed <= _MOST_MEGAPIXELS:
        return description
    return dataclasses.replace(description, preprocess={**description.preprocess, "max_megapixels": _MOST_MEGAPIXELS})


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


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """Hash of a network's parameters, tensors of any shape by name: 16 hexadecimal digits, the model's id."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
