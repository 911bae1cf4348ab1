"""Features of the network as columns whose squared mean difference is the maximum mean discrepancy."""

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.linalg

from phytoscope.evaluate.drift.pool import FloatArray, Pool

MOST_AXES: Final = 32
"""Directions in which features are compared."""
_IMAGES_PER_AXIS = 5
_MOST_COLUMNS: Final = 128
_PAIRS = 5_000
_TINY = 1e-9


def map_features(pool: Pool, rng: np.random.Generator) -> FloatArray:
    """Columns whose squared mean difference between groups is the squared maximum mean discrepancy.

    Features are brought to length 1 and to their main directions, each of which then counts alike: what another camera
    or another light changes lies seldom along the direction in which plants differ most. The kernel is Gaussian with
    the median distance as its width (Gretton 2012, JMLR 13:723), averaged over the images of each group, and written as
    its 128 largest principal components. All of this is learned from both sides together without asking which is which:
    directions learned from the reference alone would fit the reference better than new images.

    Args:
        pool: Images of both sides.
        rng: Chooses the pairs of images whose median distance is taken.

    Returns:
        Shape (groups, at most 128), float64.
    """
    axes = whiten(pool.features)
    return find_components(average_kernel(axes, pool.codes, find_width(axes, rng)))


def whiten(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Brings features to length 1, then to their main directions with variance 1.

    Args:
        features: Shape (N, F), float32.

    Returns:
        Shape (N, axes), float32, at most 32 and one for every 5 images.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(length, _TINY)
    centred = unit - unit.mean(axis=0)
    n, width = centred.shape
    wide = width > n
    gram = (centred @ centred.T if wide else centred.T @ centred).astype(np.float64) / n
    wanted = min(MOST_AXES, max(1, n // _IMAGES_PER_AXIS), len(gram))
    spreads, directions = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - wanted, len(gram) - 1))
    kept = spreads > max(_TINY, 1e-6 * float(spreads[-1]))
    if not kept.any():
        return np.zeros((n, 1), dtype=np.float32)
    scores = directions[:, kept] * np.sqrt(n) if wide else centred @ directions[:, kept] / np.sqrt(spreads[kept])
    return np.asarray(scores, dtype=np.float32)


def find_width(axes: npt.NDArray[np.float32], rng: np.random.Generator) -> float:
    """Median squared distance between two images, above 0.

    Args:
        axes: Shape (N, axes), float32.
        rng: Chooses the pairs.
    """
    first, second = rng.integers(0, len(axes), (2, _PAIRS))
    apart = ((axes[first] - axes[second]) ** 2).sum(axis=1)
    apart = apart[apart > 0]
    return float(np.median(apart)) if len(apart) > 0 else 1.0


def average_kernel(axes: npt.NDArray[np.float32], codes: npt.NDArray[np.int64], width: float) -> FloatArray:
    """Mean over all pairs of images of two groups of exp(-squared distance / width).

    Args:
        axes: Shape (N, axes), float32.
        codes: Group of each image, shape (N,), int64, 0 to groups - 1.
        width: As `find_width` gives it.

    Returns:
        Shape (groups, groups), float64.
    """
    squares = (axes**2).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares - 2 * axes @ axes.T, 0.0)
    kernel = np.exp(-apart / width)
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(counts)))
    summed = np.add.reduceat(np.add.reduceat(kernel[order][:, order], starts, axis=0, dtype=np.float64), starts, axis=1)
    return np.asarray(summed / counts[:, None] / counts)


def find_components(kernel: FloatArray) -> FloatArray:
    """Columns whose products between groups are the centred kernel, the largest 128 of them.

    Args:
        kernel: Shape (groups, groups), float64, symmetric.

    Returns:
        Shape (groups, at most 128), float64.
    """
    n = len(kernel)
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    wanted = min(_MOST_COLUMNS, n)
    spreads, directions = scipy.linalg.eigh(centred, subset_by_index=(n - wanted, n - 1))
    return np.asarray(directions * np.sqrt(np.maximum(spreads, 0.0)))
