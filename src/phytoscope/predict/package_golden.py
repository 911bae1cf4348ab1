"""Golden pairs: images that a package keeps with their answers, by which it proves itself on every machine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError, ImageReadError, PackageError
from phytoscope.models.covariates import list_values
from phytoscope.predict.package_files import GOLDEN_NAME, PackageFiles
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import write_json
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import Photo
from phytoscope.trust.observed import Observed
from phytoscope.trust.trust import Trust

_GOLDEN_FOLDER: Final = "golden"
MOST_GOLDEN: Final = 1000
"""A received package must not keep a machine busy for hours."""
# Another processor rounds differently; a wrong class name, scale or weight is off by far more.
GOLDEN_TOLERANCE: Final = 1e-3
NOVELTY_TOLERANCE: Final = 1e-2
# What hostile or damaged values raise on their way through the network and the rules of trust.
_FAULTS: Final = (
    ArtifactError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class GoldenDifference:
    """How far the answers for one golden image are from those that were kept.

    Attributes:
        image: Name of the part.
        answer: Of the answer: the largest difference, as a share of the largest kept number where that is above 1.
        judged: The same of the calibrated answer; None when none was kept.
        novelty: The same of the novelty; None when none was kept.
    """

    image: str
    answer: float
    judged: float | None = None
    novelty: float | None = None

    @property
    def worst(self) -> float:
        """The largest of them; that of the novelty counts a tenth, and NaN is larger than any number."""
        # A distance between features that are nearly alike is less certain than an answer.
        novelty = None if self.novelty is None else self.novelty * GOLDEN_TOLERANCE / NOVELTY_TOLERANCE
        return float(np.max([found for found in (self.answer, self.judged, novelty) if found is not None]))


def write_golden(
    predictor: Predictor, golden: Sequence[Path], known: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Writes images with the answers that a model gives for them.

    Args:
        predictor: The model.
        golden: The images.
        known: Covariates of each image under the user's names.
        folder: The package that is being made.

    Raises:
        ArtifactError: An image cannot be read any more.
        StorageError: The answers cannot be written.
    """
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
        kept = None if encoder is None else list_values(values, encoder.names)
        rows.append(_answer(predictor, photo, name, kept))
    write_json(folder / GOLDEN_NAME, rows)


def answer_golden(predictor: Predictor, files: PackageFiles) -> list[dict[str, Any]]:
    """What a model answers for the golden images of a package, in the form in which golden answers are kept.

    Args:
        predictor: The model, on an engine whose answers are its own.
        files: The package.

    Raises:
        PackageError: A part of the package is damaged.
    """
    return [
        _answer(
            predictor,
            predictor.prepare_photo(files.read(row["image"]), row["image"]),
            row["image"],
            row.get("covariates"),
        )
        for row in json.loads(files.read(GOLDEN_NAME).decode("utf-8"))
    ]


def _answer(predictor: Predictor, photo: Photo, name: str, known: Mapping[str, Any] | None) -> dict[str, Any]:
    observed = _observe(predictor, photo, predictor.encode(known or {})[0])
    row: dict[str, Any] = {"image": name, "answer": observed.answers[0].tolist()}
    if predictor.trust is not None:
        novelty = float(observed.novelty[0])
        judged = predictor.trust.judge(observed).answers[0].tolist()
        row["judged"] = {"answer": judged, "novelty": None if np.isnan(novelty) else novelty}
    return row if known is None else {**row, "covariates": dict(known)}


def replay_golden(predictor: Predictor, files: PackageFiles, answers: str = GOLDEN_NAME) -> float:
    """Lets a model answer the golden images of a package, on whatever engine computes it.

    Args:
        predictor: The model.
        files: The package.
        answers: Part that holds the kept answers; those of 8 bits are kept in a part of their own.

    Returns:
        The largest difference to the kept answers, see `GoldenDifference.worst`; NaN when one is not a number.

    Raises:
        PackageError: The golden answers cannot be used.
    """
    return find_worst(compare_golden(predictor, files, answers))


def find_worst(found: Sequence[GoldenDifference]) -> float:
    """The largest of some differences, one or more; NaN, which is larger than any number, when one is NaN."""
    return float(np.max([each.worst for each in found]))


def _read_rows(content: bytes) -> list[Any]:
    rows = json.loads(content.decode("utf-8"))
    if not isinstance(rows, list) or not rows:
        message = "it is not a list of images with answers"
        raise ValueError(message)
    if len(rows) > MOST_GOLDEN:
        message = f"it lists {len(rows)} images, allowed are {MOST_GOLDEN}"
        raise ValueError(message)
    return rows


def compare_golden(predictor: Predictor, files: PackageFiles, answers: str = GOLDEN_NAME) -> list[GoldenDifference]:
    """The same, for each golden image.

    Args:
        predictor: The model.
        files: The package.
        answers: Part that holds the kept answers.

    Raises:
        PackageError: The golden answers cannot be used.
    """
    content = files.read(answers)
    try:
        rows = _read_rows(content)
        # Numbers that no model gives overflow, which is a difference and no event.
        with np.errstate(all="ignore"):
            return [_compare(predictor, files, row) for row in rows]
    except _FAULTS as error:
        message = f"{answers} of the package {str(files.path)!r} cannot be used ({error}): copy the package again."
        raise PackageError(message) from error


def _compare(predictor: Predictor, files: PackageFiles, row: Mapping[str, Any]) -> GoldenDifference:
    name, kept = row["image"], np.array(row["answer"], dtype=np.float64)
    if name not in files.names:
        message = f"the image {name!r} is not among the parts of the package"
        raise ValueError(message)
    if kept.shape != (predictor.description.outputs,):
        message = f"an answer has shape {kept.shape}, expected {(predictor.description.outputs,)}"
        raise ValueError(message)
    covariates, _ = predictor.encode(row.get("covariates", {}))
    observed = _observe(predictor, predictor.prepare_photo(files.read(name), name), covariates)
    answer = _measure_difference(observed.answers[0], kept)
    # Packages of earlier versions hold no judged answers.
    if predictor.trust is None or "judged" not in row:
        return GoldenDifference(name, answer)
    return GoldenDifference(name, answer, *_compare_judged(observed, predictor.trust, row["judged"]))


def _observe(predictor: Predictor, photo: Photo, covariates: NDArray[np.float32] | None) -> Observed:
    sizes = np.array([(photo.width_px, photo.height_px)], dtype=np.int64)
    return predictor.observe(photo.square[None], covariates, sizes)


def _measure_difference(found: NDArray[np.float64], kept: NDArray[np.float64]) -> float:
    """Largest difference of two answers, as a share of their size where that is above 1."""
    return float(np.abs(found - kept).max() / max(1.0, float(np.abs(kept).max())))


def _compare_judged(observed: Observed, trust: Trust, kept: Mapping[str, Any]) -> tuple[float, float | None]:
    answer = np.array(kept["answer"], dtype=np.float64)
    difference = _measure_difference(trust.judge(observed).answers[0], answer)
    if kept["novelty"] is None:
        return difference, None
    return difference, _measure_difference(observed.novelty, np.array([kept["novelty"]], dtype=np.float64))
