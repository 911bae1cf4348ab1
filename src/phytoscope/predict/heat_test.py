"""Whether a heat map knows anything: what happens to the answer when the hottest parts go first."""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.explanation import HeatTest

STEPS: Final = 12
RANDOM_MAPS: Final = 2
_RANDOM_SIDE = 7
_BLUR_SHARE = 0.08
_BATCH = 64

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Squares (N, S, S, 3), uint8 -> what is explained of each, shape (N,): a probability, or a number."""


def measure_heat(square: NDArray[np.uint8], heat: NDArray[np.float32], answer: Answer, *, seed: int) -> HeatTest | None:
    """Measures deletion and insertion of one heat map, and of random maps (Petsiuk 2018, arXiv 1806.07421).

    Twelve steps lead from the picture to a strongly blurred one (deletion), and from the blurred one to the picture
    (insertion); each exchanges a twelfth of the pixels, the hottest first.

    Args:
        square: Shape (S, S, 3), uint8, RGB, 0-255.
        heat: Shape (S, S), float32.
        answer: Gives what is explained of any squares.
        seed: Seed of the random maps.

    Returns:
        None when an answer on the way is not a finite number.
    """
    rng = np.random.default_rng(seed)
    side = len(square)
    sigma = max(1.0, _BLUR_SHARE * side)
    blurred = np.asarray(cv2.GaussianBlur(square, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)
    randoms = [_draw_smooth(rng, side) for _ in range(RANDOM_MAPS)]
    # Where a map says nothing (it often does, outside of its hottest part) chance decides, and not the place.
    ranks = [_rank(heat, randoms[0]), *(_rank(each, each) for each in randoms)]
    steps = [_compose(square, blurred, rank, step) for rank in ranks for step in range(1, STEPS)]
    # Deletion of one map from the picture is insertion of it into the blurred one with the two exchanged.
    steps += [_compose(blurred, square, rank, step) for rank in ranks for step in range(1, STEPS)]
    squares = np.stack([square, blurred, *steps])
    values = np.concatenate([answer(squares[first : first + _BATCH]) for first in range(0, len(squares), _BATCH)])
    if not np.isfinite(values).all():
        return None
    curves = values[2:].reshape(2, len(ranks), STEPS - 1)
    whole, nothing = values[0], values[1]
    # Trapezoids between steps of equal length.
    areas = (curves.sum(axis=2) + (whole + nothing) / 2) / STEPS
    deletion, insertion = areas[:, 0]
    random_deletion, random_insertion = areas[:, 1:].mean(axis=1)
    return HeatTest(float(deletion), float(insertion), float(random_deletion), float(random_insertion))


def _draw_smooth(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    # As coarse as the maps of a network: a map of single random pixels would be beaten by any smooth one.
    coarse = rng.random((_RANDOM_SIDE, _RANDOM_SIDE), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _rank(heat: NDArray[np.float32], ties: NDArray[np.float32]) -> NDArray[np.int64]:
    order = np.lexsort((-ties.ravel(), -heat.ravel()))
    rank = np.empty(heat.size, dtype=np.int64)
    rank[order] = np.arange(heat.size)
    return rank.reshape(heat.shape)


def _compose(
    square: NDArray[np.uint8], other: NDArray[np.uint8], rank: NDArray[np.int64], step: int
) -> NDArray[np.uint8]:
    return np.where((rank < step * rank.size // STEPS)[:, :, None], other, square)
