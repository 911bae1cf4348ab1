"""The ledger of splits: a plant that was once in test never trains a later model, and the other way round."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.table import GROUP_ID, SAMPLE_ID, SHA256, SPLIT, Split

UNKNOWN = -1
"""Split of a group that the ledger does not know."""
_COLUMNS = [SHA256, GROUP_ID, SPLIT]
_SPLITS = [str(name) for name in Split]


def read_ledger(path: Path) -> pd.DataFrame:
    """Reads which image and which group stood in which split.

    Args:
        path: File; it need not exist yet.

    Returns:
        Columns `sha256`, `group_id` (as the user declared it) and `split`; no row when there is no file.

    Raises:
        ArtifactError: The file cannot be read or is no ledger.
    """
    if not path.exists():
        return pd.DataFrame({name: pd.Series(dtype=object) for name in _COLUMNS})
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        message = f"data.split.ledger={str(path)!r} cannot be read ({error}): restore it from a copy, or name another."
        raise ArtifactError(message) from error
    if not set(_COLUMNS) <= set(table.columns) or not table[SPLIT].isin(_SPLITS).all():
        message = f"data.split.ledger={str(path)!r} is no ledger of splits: name another file."
        raise ArtifactError(message)
    return table[_COLUMNS]


@contextlib.contextmanager
def held_ledger(path: Path) -> Iterator[None]:
    """Keeps others from dealing plants while the block reads the ledger, draws a split and writes it down.

    Args:
        path: The ledger; it need not exist yet.

    Raises:
        StorageError: The place cannot be written.
    """
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


def write_ledger(path: Path, manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    """Adds the images of a split to a ledger that is held; what it knew of other images stays.

    Args:
        path: File; created when absent.
        manifest: One row an image, with the groups that the user declared.
        split: What was drawn.

    Raises:
        ArtifactError: The file that is there is no ledger.
        StorageError: It cannot be written.
    """
    drawn = split.set_index(SAMPLE_ID)[SPLIT].loc[manifest[SAMPLE_ID]]
    new = pd.DataFrame({SHA256: manifest[SHA256], GROUP_ID: manifest[GROUP_ID].astype(str), SPLIT: drawn.to_numpy()})
    table = pd.concat([read_ledger(path), new], ignore_index=True).astype(str)
    table = table.drop_duplicates([SHA256, GROUP_ID], keep="last", ignore_index=True)
    with write_atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def find_known_parts(ledger: pd.DataFrame, manifest: pd.DataFrame, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Finds in which split each group stood before.

    A group that holds images or plants of several splits, because somebody has found out that they belong together,
    goes to the first of train, val, calibration and test: what a model has learned from can no longer test one.

    Args:
        ledger: What `read_ledger` gave.
        manifest: One row an image.
        groups: Number of the joined group of each image, of shape (N,), int64, from 0.

    Returns:
        Number of the split of each group in the order of `Split`, of shape (G,), int64; `UNKNOWN` for new groups.
    """
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    rank = ledger[SPLIT].map({name: place for place, name in enumerate(_SPLITS)}).astype(np.int64)
    found = np.full(n_groups, len(_SPLITS), dtype=np.int64)
    for column in (SHA256, GROUP_ID):
        first = rank.groupby(ledger[column].astype(str)).min()
        known = manifest[column].astype(str).map(first).fillna(len(_SPLITS)).to_numpy(dtype=np.int64)
        np.minimum.at(found, groups, known)
    return np.where(found == len(_SPLITS), UNKNOWN, found)
