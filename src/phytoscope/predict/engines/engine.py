"""Engine: a network that is ready to compute, whatever computes it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import Precision, Runtime

Look = Callable[
    [NDArray[np.uint8], NDArray[np.float32] | None],
    tuple[NDArray[np.float64], NDArray[np.float32]],
]


@dataclass(frozen=True)
class Engine:
    """Runs the network of one package.

    Attributes:
        runtime: What computes; never `auto`.
        precision: With which numbers.
        batch_size: Images at once with which it is fastest.
        lanes: Calls that may run side by side.
        look: Takes pixels of shape (N, S, S, 3), uint8, RGB, 0-255, and covariates of shape (N, covariate_dim), float32
            (None when the model sees the image alone); gives outputs of shape (N, outputs), float64, and features of
            shape (N, F), float32. It may be called from several threads, `lanes` of them at a time.
    """

    runtime: Runtime
    precision: Precision
    batch_size: int
    lanes: int
    look: Look
