"""What a monitor keeps: which model is watched, answered images with their features, and what is true of them."""

import datetime
from collections.abc import Mapping
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
from phytoscope.schema.artifact import read_json, write_atomic
from phytoscope.schema.drift import TruthReport
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import SHA256, Task

ANSWERS_NAME: Final = "answers.parquet"
_FEATURES, _FEATURES_KEY, _TRUTH = "features.safetensors", "features", "truth"


@dataclass(frozen=True)
class Watched:
    """Which model is watched, and what was promised.

    Attributes:
        model_id: Hash of its weights.
        name: Name of the run that made it.
        task: Classification or regression.
        class_names: Its classes, in order; empty for numbers.
        target_name: Name of the number; `class` for classes.
        unit: Unit of the number.
        false_alarm: Chance of ever crying wolf over all looks, 0-1; fixed when the first look is taken.
        began_at: When the watch began, ISO 8601, UTC.
    """

    model_id: str
    name: str
    task: Task
    class_names: list[str]
    target_name: str
    unit: str
    false_alarm: float
    began_at: str

    @classmethod
    def begin(cls, description: ModelDescription, false_alarm: float) -> "Watched":
        """Starts to watch a model now."""
        return cls(
            description.model_id,
            description.name,
            description.task,
            list(description.class_names),
            description.target_name,
            description.unit,
            false_alarm,
            tell_time(),
        )


@dataclass(frozen=True)
class AnsweredImages:
    """Images that were answered.

    Attributes:
        table: Rows of table 8a with `sha256`, `path` and `group_id`.
        features: Their features, shape (N, F), float32.
    """

    table: pd.DataFrame
    features: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.table)


def tell_time() -> str:
    """Now, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_images(folder: Path, images: AnsweredImages) -> None:
    """Writes answered images into a folder."""
    images.table.to_parquet(folder / ANSWERS_NAME, index=False)
    features = np.ascontiguousarray(images.features.astype(np.float16))
    safetensors.numpy.save_file({_FEATURES_KEY: features}, folder / _FEATURES)


def read_images(folder: Path) -> AnsweredImages:
    """Reads what `write_images` wrote.

    Raises:
        ArtifactError: It is damaged.
    """
    table = read_monitor_table(folder / ANSWERS_NAME)
    try:
        features = safetensors.numpy.load_file(folder / _FEATURES)[_FEATURES_KEY].astype(np.float32)
    except (KeyError, ValueError, OSError, safetensors.SafetensorError) as error:
        message = f"{str(folder / _FEATURES)!r} cannot be used ({error}): remove the folder {str(folder)!r}."
        raise ArtifactError(message) from error
    return AnsweredImages(table, features)


def read_monitor_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Reads a table of a monitor.

    Args:
        path: Parquet file.
        columns: Which of its columns; all when None.

    Raises:
        ArtifactError: It is damaged or missing.
    """
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        message = f"{str(path)!r} is damaged ({error}): restore it, or choose another --monitor."
        raise ArtifactError(message) from error


def read_truth(path: Path) -> dict[str, str | float]:
    """SHA-256 of an image -> its true class or value; empty while none is known.

    Args:
        path: What `write_truth` wrote, or nothing yet.

    Raises:
        ArtifactError: The table is damaged.
    """
    if not path.is_file():
        return {}
    table = read_monitor_table(path)
    return dict(zip(table[SHA256], table[_TRUTH], strict=True))


def write_truth(path: Path, truth: Mapping[str, str | float]) -> None:
    """Keeps what is true.

    Raises:
        StorageError: The place cannot be written.
    """
    with write_atomic(path) as temporary:
        pd.DataFrame({SHA256: list(truth), _TRUTH: list(truth.values())}).to_parquet(temporary, index=False)


def read_truth_reports(folder: Path) -> list[TruthReport]:
    """What all additions of truth found, the first one first.

    Raises:
        ArtifactError: A report is damaged.
    """
    return [TruthReport.from_dict(read_json(path)) for path in sorted(folder.glob("*.json"))]
