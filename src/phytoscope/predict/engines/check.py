"""Whether an engine gives the numbers of torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.runtime import TOLERANCE, draw_blocks
from phytoscope.predict.engines.engine import Engine, Look

_IMAGES = 4


def compare_engines(engine: Engine, reference: Engine, size_px: int, covariate_dim: int) -> float:
    """Largest difference of outputs and features between two engines, for one image and for several.

    Args:
        engine: The one to judge.
        reference: The one it shall agree with.
        size_px: Side S of the images.
        covariate_dim: Numbers that the network sees beside the image.

    Returns:
        The difference as a share of the largest output or feature of the reference; NaN when one is not a number.

    Raises:
        ValueError: They give different numbers of outputs or features.
    """
    pixels = draw_blocks(_IMAGES, size_px)
    covariates = None
    if covariate_dim > 0:
        covariates = np.random.default_rng(0).normal(size=(_IMAGES, covariate_dim)).astype(np.float32)
    expected = reference.look(pixels, covariates)
    found = _look_in_parts(engine.look, pixels, covariates)
    return float(np.max([_measure(found[0], expected[0]), _measure(found[1], expected[1])]))


def check_engine(engine: Engine, reference: Engine, size_px: int, covariate_dim: int) -> Engine:
    """Gives the engine back when it agrees with the reference; see `compare_engines`.

    Raises:
        ValueError: They differ by more than a thousandth.
    """
    worst = compare_engines(engine, reference, size_px, covariate_dim)
    # Worded so that a difference that is not a number is refused too.
    if not worst <= TOLERANCE:
        message = f"its numbers differ from torch by {worst:.2g}, allowed is {TOLERANCE:g}"
        raise ValueError(message)
    return engine


def _look_in_parts(
    look: Look, pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    parts = [
        look(pixels[part], None if covariates is None else covariates[part]) for part in (slice(1), slice(1, None))
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _measure(found: NDArray[np.floating[Any]], expected: NDArray[np.floating[Any]]) -> float:
    if found.shape != expected.shape:
        message = f"it gives numbers of shape {found.shape}, torch {expected.shape}"
        raise ValueError(message)
    return float(np.abs(found - expected).max() / max(1e-6, float(np.abs(expected).max())))
