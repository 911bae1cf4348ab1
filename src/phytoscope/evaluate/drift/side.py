"""The two sides of a comparison, and how they are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.schema.table import GROUP_ID

MOST_DRAWS: Final = 200_000
"""Permutations of one comparison."""


@dataclass(frozen=True)
class DriftSide:
    """Images of one side: the reference, or new ones.

    Attributes:
        features: Pooled features of the network, shape (N, F), float32.
        table: One row per image in the same order: `group_id`, and those of `photo/<measure>`, `prediction`,
            `probability`, `lower`, `upper`, `verdict` and `novelty` that are known. What both sides have is compared.
    """

    features: npt.NDArray[np.float32]
    table: pd.DataFrame

    def __post_init__(self) -> None:
        """Checks that rows match.

        Raises:
            DataValidationError: Rows do not match, there are none, or features or groups are missing.
        """
        if self.features.ndim != 2 or len(self.features) != len(self.table) or len(self.table) == 0:
            message = (
                f"features have shape {self.features.shape} and the table has {len(self.table)} rows: one row of "
                "features for each row of the table is needed, and at least one."
            )
            raise DataValidationError(message)
        if not np.isfinite(self.features).all():
            rows = int((~np.isfinite(self.features).all(axis=1)).sum())
            message = f"the features of {rows} images are not finite: leave these images out, or check the model."
            raise DataValidationError(message)
        if GROUP_ID not in self.table or self.table[GROUP_ID].isna().any():
            message = (
                "the column 'group_id' is missing or has gaps: name the plant or leaf of each image, or the image "
                "itself where it is not known."
            )
            raise DataValidationError(message)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.table[GROUP_ID].nunique())

    def take(self, rows: npt.NDArray[np.int64]) -> "DriftSide":
        """Some of the images, by their place, shape (M,), int64."""
        return DriftSide(self.features[rows], self.table.iloc[rows].reset_index(drop=True))


def join_sides(sides: Sequence[DriftSide]) -> DriftSide:
    """Several sides as one; images of a group that occurs in more than one belong together.

    Args:
        sides: At least one, all of one model.

    Raises:
        DataValidationError: There is none, or their features have different lengths.
    """
    widths = {side.features.shape[1] for side in sides}
    if len(widths) != 1:
        message = f"features of {sorted(widths)} numbers cannot be put together: take images that one model has seen."
        raise DataValidationError(message)
    features = np.concatenate([side.features for side in sides])
    return DriftSide(features, pd.concat([side.table for side in sides], ignore_index=True))


@dataclass(frozen=True)
class DriftPlan:
    """How new images are compared.

    Attributes:
        false_alarm: Chance of ever crying wolf, over all looks together, as long as nothing has changed, above 0 and
            below 1.
        draws: Permutations of a look in which nothing stands out, 99 or more; where something does, as many more as
            its threshold needs are drawn, up to 200,000.
        seed: Seed of the permutations, 0 or more.
        window: Looks, this one included, that are also taken together, so that slow changes are found; 1 for none.
        max_images: Images of each side that are compared, drawn by group; all when None.
        unit: Unit of predicted numbers; empty for classes.
    """

    false_alarm: float = 0.05
    draws: int = 1000
    seed: int = 0
    window: int = 10
    max_images: int | None = 1000
    unit: str = ""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            ConfigError: A number is outside what is allowed.
        """
        most = self.max_images
        if (
            not 0 < self.false_alarm < 1
            or self.draws < 99
            or self.window < 1
            or self.seed < 0
            or (most is not None and most < 2)
        ):
            message = (
                f"false_alarm is {self.false_alarm}, draws {self.draws}, seed {self.seed}, window {self.window} and "
                f"max_images {most}; allowed are a false alarm above 0 and below 1, 99 or more draws, a seed of 0 or "
                "more, a window of 1 or more looks and 2 or more images: correct them."
            )
            raise ConfigError(message)
