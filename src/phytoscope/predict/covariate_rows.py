"""A table of what is known of each image beside its picture, matched by file name."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.models.covariates import CovariateEncoder
from phytoscope.schema.artifact import hash_content


class CovariateRows:
    """Encoded covariates that are found by the path of an image.

    Attributes:
        unmatched: Images that were asked for and have no row so far.
        digest: Hash of all rows and the names of their images.
    """

    def __init__(self, encoder: CovariateEncoder, names: Sequence[str], columns: pd.DataFrame) -> None:
        """Encodes the table.

        Args:
            encoder: The model's encoder.
            names: Name of each row's image: a file name, perhaps with the folders above it.
            columns: Columns under the encoder's names, in the order of `names`; those that are not there are missing.

        Raises:
            DataValidationError: Two rows are about one image and differ.
        """
        self.unmatched = 0
        self._encoded = encoder.encode(columns.reset_index(drop=True))
        self._missing = encoder.encode_missing(1)[0]
        self._rows: dict[tuple[str, ...], int] = {}
        for row, name in enumerate(names):
            first = self._rows.setdefault(PurePosixPath(name.strip().replace("\\", "/")).parts, row)
            if (self._encoded[row] != self._encoded[first]).any():
                message = f"two rows of the table are about the image {name!r} and differ: keep the right one."
                raise DataValidationError(message)
        self.digest = hash_content([list(names), hashlib.sha256(self._encoded.tobytes()).hexdigest()])
        self._longest = max(map(len, self._rows), default=0)

    def find(self, path: Path) -> NDArray[np.float32]:
        """Finds what is known of an image.

        A row belongs to the image when its name is the end of the image's path; the longest such name wins.

        Args:
            path: The image.

        Returns:
            The encoded row of shape (covariate_dim,), float32; everything is missing when no row belongs to the image.
        """
        parts = PurePosixPath(path.absolute().as_posix()).parts
        for length in range(min(self._longest, len(parts)), 0, -1):
            row = self._rows.get(parts[-length:])
            if row is not None:
                found: NDArray[np.float32] = self._encoded[row]
                return found
        self.unmatched += 1
        missing: NDArray[np.float32] = self._missing
        return missing
