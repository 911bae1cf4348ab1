"""What a package keeps of held-out images, so that new images can be compared with them wherever the package goes.

Training images would not do: the network knows them, so that every new image looks unlike them. Images of validation
steered the training and are left out too.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError
from phytoscope.predict.package_files import read_beside
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    LOWER,
    NOVELTY,
    PHOTO_PREFIX,
    PREDICTION,
    PROBABILITY,
    REASONS,
    SHA256,
    SPLIT,
    TARGET,
    UPPER,
    VERDICT,
    Split,
)

REFERENCE_NAME = "reference.parquet"
REFERENCE_FEATURES_NAME = "reference.safetensors"
MOST_IMAGES: Final = 2000
ERROR: Final = "error"
"""Distance from the truth in the unit of the target, or 1.0 for a wrong class and 0.0 for a right one; missing where
the truth is not known."""
HELD_OUT: Final = (Split.calibration.value, Split.test.value)
_FEATURES = "features"
_HASH_DIGITS = 16
_OWN = (SPLIT, PREDICTION, PROBABILITY, LOWER, UPPER, VERDICT, REASONS, NOVELTY)


@dataclass(frozen=True)
class ReferenceImages:
    """Held-out images as the model sees them.

    Attributes:
        table: One row an image: `group_id` and `sha256` (both shortened hashes), `split`, `prediction`, `probability`
            or `lower` and `upper`, `verdict`, `reasons`, `novelty`, `photo/<measure>` and `error`.
        features: Their features, shape (N, F), float32, rounded to 16 bits as they are on disk.
    """

    table: pd.DataFrame
    features: NDArray[np.float32]


class FeatureKeeper:
    """Keeps the features of some of the rows that are predicted, in 16 bits."""

    def __init__(self, wanted: NDArray[np.bool_]) -> None:
        """Keeps nothing yet.

        Args:
            wanted: Which of the rows to keep, shape (N,), bool, in the order in which they are predicted.
        """
        self.wanted = wanted
        self._seen = 0
        self._parts: list[NDArray[np.float16]] = []

    def add(self, features: NDArray[np.float32]) -> None:
        """Takes the features of the next rows, shape (n, F), float32."""
        wanted = self.wanted[self._seen : self._seen + len(features)]
        self._seen += len(features)
        self._parts.append(round_features(features[wanted]))

    def join(self) -> NDArray[np.float16]:
        """The kept features, shape (K, F), float16, in order."""
        return np.concatenate(self._parts) if self._parts else np.empty((0, 0), dtype=np.float16)


def round_features(features: NDArray[np.float32]) -> NDArray[np.float16]:
    """Features in 16 bits, shape (N, F); what is beyond the range of those takes its end."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(features, -limit, limit).astype(np.float16)


def choose_reference(rows: pd.DataFrame, seed: int, most: int = MOST_IMAGES) -> NDArray[np.bool_]:
    """Draws the images that are kept: whole groups of calibration and test.

    Args:
        rows: One row an image, with `split` and `group_id`.
        seed: Seed of the draw.
        most: Number of images at most.

    Returns:
        Which rows are kept, shape (N,), bool.
    """
    held_out = rows[SPLIT].isin(HELD_OUT).to_numpy(dtype=bool)
    return held_out & draw_groups(rows[GROUP_ID].astype(str).to_numpy(dtype=object), held_out, most, seed)


def draw_groups(groups: NDArray[np.object_], allowed: NDArray[np.bool_], most: int, seed: int) -> NDArray[np.bool_]:
    """Draws whole groups at random until there are enough images.

    The last group is taken in part, so that one group of very many images is no reason to have none.

    Args:
        groups: Group of each image, shape (N,).
        allowed: Which images may be drawn, shape (N,), bool.
        most: Number of images at most.
        seed: Seed of the draw.

    Returns:
        Which images are drawn, shape (N,), bool.
    """
    places = np.flatnonzero(allowed)
    if len(places) <= most:
        return allowed.copy()
    names, codes = np.unique(groups[places].astype(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = places[np.argsort(order.argsort()[codes], kind="stable")][:most]
    chosen = np.zeros(len(groups), dtype=bool)
    chosen[drawn] = True
    return chosen


def tabulate_reference(answers: pd.DataFrame, hashes: Sequence[str]) -> pd.DataFrame:
    """The rows of a reference.

    Args:
        answers: Rows of table 8a, with the truth where it is known.
        hashes: SHA-256 of each image's file.

    Returns:
        See `ReferenceImages.table`. Names of files and groups are not in it: the package may go to others.
    """
    measures = [str(name) for name in answers.columns if str(name).startswith(PHOTO_PREFIX)]
    own = [name for name in _OWN if name in answers.columns]
    table = answers[[*own, *measures]].reset_index(drop=True)
    table[GROUP_ID] = [hash_group(name) for name in answers[GROUP_ID].astype(str)]
    table[SHA256] = [str(digest)[:_HASH_DIGITS] for digest in hashes]
    table[ERROR] = measure_errors(answers)
    return table


def measure_errors(answers: pd.DataFrame) -> NDArray[np.float64]:
    """How far each answer is from the truth, see `ERROR`; shape (N,), NaN where the truth is not known.

    Args:
        answers: Rows with `prediction`, and `label` or `target`.
    """
    if TARGET in answers.columns:
        predicted, true = (answers[name].to_numpy(dtype=np.float64) for name in (PREDICTION, TARGET))
        return np.asarray(np.abs(predicted - true))
    if LABEL not in answers.columns:
        return np.full(len(answers), np.nan)
    wrong = (answers[PREDICTION].astype(str) != answers[LABEL].astype(str)).to_numpy(dtype=float)
    return np.where(answers[LABEL].notna().to_numpy(dtype=bool), wrong, np.nan)


def hash_group(name: str) -> str:
    """Shortened hash of the name of a group: 16 hexadecimal digits."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]


def write_reference(folder: Path, table: pd.DataFrame, features: NDArray[np.float16]) -> list[Path]:
    """Writes a reference.

    Args:
        folder: Where.
        table: What `tabulate_reference` gave.
        features: Features of the same images, shape (N, F), float16.

    Returns:
        The files.

    Raises:
        StorageError: The folder cannot be written.
    """
    with write_atomic(folder / REFERENCE_NAME) as temporary:
        table.to_parquet(temporary, index=False)
    with write_atomic(folder / REFERENCE_FEATURES_NAME) as temporary:
        safetensors.numpy.save_file({_FEATURES: np.ascontiguousarray(features)}, temporary)
    return [folder / REFERENCE_NAME, folder / REFERENCE_FEATURES_NAME]


def keep_reference(folder: Path, answers: pd.DataFrame, hashes: Sequence[str], keeper: FeatureKeeper) -> list[Path]:
    """Writes the rows whose features were kept; without any, one of an earlier evaluation is removed.

    Args:
        folder: Folder of the run.
        answers: Table 8a, all rows in the order in which they were predicted.
        hashes: SHA-256 of each image's file.
        keeper: What was kept while predicting.

    Returns:
        The files; none where there are no held-out images.

    Raises:
        StorageError: The folder cannot be written.
    """
    if not keeper.wanted.any():
        for name in (REFERENCE_NAME, REFERENCE_FEATURES_NAME):
            (folder / name).unlink(missing_ok=True)
        return []
    kept = np.asarray(hashes, dtype=object)[keeper.wanted]
    return write_reference(folder, tabulate_reference(answers[keeper.wanted], list(kept)), keeper.join())


def copy_reference(source: Path) -> Callable[[Path], None]:
    """Gives a writer that puts the reference of a run into a package; it does nothing where the run has none.

    Args:
        source: Folder of the run.
    """

    def write(folder: Path) -> None:
        for name in (REFERENCE_NAME, REFERENCE_FEATURES_NAME):
            if (source / name).is_file():
                (folder / name).write_bytes((source / name).read_bytes())

    return write


def read_reference(place: Path) -> ReferenceImages:
    """Reads the reference of a package or a run.

    Args:
        place: The package, a folder or a `.phyto` file, or the folder of the run.

    Raises:
        ArtifactError: It has none, or it is damaged.
    """
    table, features = (read_beside(place, name) for name in (REFERENCE_NAME, REFERENCE_FEATURES_NAME))
    if table is None:
        message = (
            f"{str(place)!r} holds no {REFERENCE_NAME}, with which new images could be compared: it was made by an "
            "earlier version, or from data without a test and calibration split. `phytoscope evaluate` and "
            "`phytoscope package` with paths.run_dir=RUN add it."
        )
        raise ArtifactError(message)
    try:
        return _parse_reference(table, features)
    except (KeyError, ValueError, OSError, pa.ArrowException, safetensors.SafetensorError) as error:
        message = f"{REFERENCE_NAME} in {str(place)!r} cannot be used ({error}): copy the package again."
        raise ArtifactError(message) from error


def _parse_reference(content: bytes, arrays: bytes | None) -> ReferenceImages:
    table = pd.read_parquet(io.BytesIO(content))
    if arrays is None:
        message = f"{REFERENCE_FEATURES_NAME} is missing"
        raise ValueError(message)
    features = safetensors.numpy.load(arrays)[_FEATURES].astype(np.float32)
    missing = {GROUP_ID, SHA256, SPLIT, PREDICTION, VERDICT, NOVELTY, ERROR} - set(table.columns)
    if missing or features.ndim != 2 or len(features) != len(table) or len(table) == 0:
        message = f"columns {sorted(missing)} are missing, or {len(table)} rows have features {features.shape}"
        raise ValueError(message)
    return ReferenceImages(table, features)
