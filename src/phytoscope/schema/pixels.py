"""Pictures of one size that are read by their number, wherever they lie."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class PixelSource(Protocol):
    """What training and prediction read squares from: an array, or the pixel cache."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        """Squares with these numbers, shape (N, S, S, 3), uint8, RGB, 0-255, for numbers of shape (N,), int64."""
