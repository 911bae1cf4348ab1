"""A hash of what a picture looks like, with those of its mirrored and turned versions from one transform."""

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.image_facts import THUMBNAIL_PX

VARIANTS = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180 degrees",
    "mirrored along the main diagonal",
    "turned by 90 degrees clockwise",
    "turned by 90 degrees counter-clockwise",
    "mirrored along the other diagonal",
)
"""What was done to the picture whose hash stands at each place."""

_LOW = 8
# A coefficient this small is a rounding error of a picture that is even or symmetric: its sign says nothing.
_LEAST = 0.5
_LUMA = np.array([0.299, 0.587, 0.114])
_BIT_VALUES = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64))


def _cosines() -> NDArray[np.float64]:
    """Rows 0-7 of the orthonormal cosine transform, shape (8, 32)."""
    place = (np.arange(THUMBNAIL_PX) + 0.5) * np.pi / THUMBNAIL_PX
    rows: NDArray[np.float64] = np.cos(np.arange(_LOW)[:, None] * place) * np.sqrt(2 / THUMBNAIL_PX)
    rows[0] /= np.sqrt(2)
    return rows


_COSINES = _cosines()
_SIGN = np.where(np.arange(_LOW) % 2 == 0, 1.0, -1.0)
_MIRRORS = np.stack(
    [np.ones((_LOW, _LOW)), np.tile(_SIGN, (_LOW, 1)), np.tile(_SIGN[:, None], (1, _LOW)), np.outer(_SIGN, _SIGN)]
)


def hash_variants(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hashes a picture and its mirrored and turned versions.

    The hash holds the signs of the 63 lowest frequencies of the cosine transform of the luma (Zauner 2010,
    Implementation and benchmarking of perceptual image hash functions, Hagenberg). Mirroring a picture changes the
    sign of its odd frequencies and turning it swaps the axes, so one transform serves all eight.

    Args:
        thumbnail: Shape (32, 32, 3), uint8, RGB, 0-255.

    Returns:
        Shape (8,), uint64, in the order of `VARIANTS`; the lowest bit, which stands for the mean, is always 0.
    """
    low = _COSINES @ (thumbnail @ _LUMA) @ _COSINES.T
    low[0, 0] = 0.0
    mirrored = low * _MIRRORS
    # Transposing after mirroring gives the diagonal versions.
    all_eight = np.concatenate([mirrored, mirrored.transpose(0, 2, 1)[[0, 2, 1, 3]]])
    bits = all_eight.reshape(8, 64) > _LEAST
    hashes: NDArray[np.uint64] = (bits * _BIT_VALUES).sum(axis=1, dtype=np.uint64)
    return hashes
