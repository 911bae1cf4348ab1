"""Which images a model has seen: what it learned from or was calibrated on, so that nobody measures it on them."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phytoscope.errors import PackageError
from phytoscope.predict.package_files import read_beside
from phytoscope.predict.reference_files import hash_group
from phytoscope.schema.table import GROUP_ID, SHA256

SEEN_NAME: Final = "seen.parquet"
_DIGITS: Final = 16


@dataclass(frozen=True)
class SeenImages:
    """Images that a model has seen, by shortened hashes: nobody can read names or pictures out of them.

    Attributes:
        images: First 16 hexadecimal digits of the SHA-256 of each image file.
        groups: The same of the name of each group (leaf, plant).
    """

    images: frozenset[str]
    groups: frozenset[str]

    def find(self, images: Iterable[str], groups: Iterable[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of some images it has seen.

        Args:
            images: SHA-256 of each image file, N of them.
            groups: Name of the group of each.

        Returns:
            Whether the image itself was seen, and whether another image of its group was; each of shape (N,), bool.
        """
        image = np.array([digest[:_DIGITS] in self.images for digest in images], dtype=bool)
        group = np.array([hash_group(str(name)) in self.groups for name in groups], dtype=bool)
        return image, group


def keep_seen(rows: pd.DataFrame, more_groups: Iterable[Any] = ()) -> Callable[[Path], None]:
    """A writer of `seen.parquet`, which receives the folder of a package.

    Args:
        rows: Images that were learned from or calibrated on: columns `sha256` and `group_id`.
        more_groups: Further names of their groups, for example as they were declared.
    """

    def write(folder: Path) -> None:
        groups = [*rows[GROUP_ID], *more_groups]
        hashes = {hash_group(str(name)) for name in groups if pd.notna(name)}
        known = pd.DataFrame({"kind": "group", "hash": sorted(hashes)})
        images = pd.DataFrame({"kind": "image", "hash": sorted({str(digest)[:_DIGITS] for digest in rows[SHA256]})})
        pd.concat([images, known], ignore_index=True).to_parquet(folder / SEEN_NAME, index=False)

    return write


def read_seen(place: Path) -> SeenImages | None:
    """Reads what a model has seen.

    Args:
        place: The package, a folder or a `.phyto` file.

    Returns:
        None for a package of an earlier version, which does not say.

    Raises:
        PackageError: The list cannot be read.
    """
    content = read_beside(place, SEEN_NAME)
    if content is None:
        return None
    try:
        table = pd.read_parquet(io.BytesIO(content))
        found = {kind: frozenset(table.loc[table["kind"] == kind, "hash"].astype(str)) for kind in ("image", "group")}
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        message = f"{SEEN_NAME} of the package {str(place)!r} cannot be read ({error}): copy the package again."
        raise PackageError(message) from error
    return SeenImages(found["image"], found["group"])
