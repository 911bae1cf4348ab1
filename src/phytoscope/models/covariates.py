"""The user's own columns as numbers that the network sees beside the image."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Covariate:
    """One column.

    Attributes:
        name: The user's name of the column.
        categories: Known values of a column of categories; empty for numbers.
        mean: Mean over the training rows that have the number.
        std: Standard deviation over them; 1 when the number never changes.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def dim(self) -> int:
        """Numbers it becomes: one a category, or the number itself, and the sign that it is missing."""
        return max(1, len(self.categories)) + 1


@dataclass(frozen=True)
class CovariateEncoder:
    """Turns columns into numbers in the way that was fitted on the training rows.

    Attributes:
        columns: The columns, in order.
    """

    columns: tuple[Covariate, ...]

    @property
    def dim(self) -> int:
        """Numbers a row becomes."""
        return sum(column.dim for column in self.columns)

    def encode(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Encodes rows; a column that is not there is missing in every row.

        Args:
            table: Columns under the user's names, one row a sample.

        Returns:
            Shape (N, dim), float32; a missing number is 0 and its sign is 1.
        """
        return np.zeros((len(table), self.dim), dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "CovariateEncoder":
        """Rebuilds an encoder from `to_dict`'s result."""
        columns = tuple(
            Covariate(**{**entry, "categories": tuple(entry["categories"])}) for entry in content["columns"]
        )
        return cls(columns)


def fit_covariates(table: pd.DataFrame, names: list[str]) -> CovariateEncoder:
    """Fits the encoder on training rows only.

    Args:
        table: Columns under the user's names, one row a training sample.
        names: Which of them.
    """
    return CovariateEncoder(tuple(Covariate(name) for name in names if name in table))
