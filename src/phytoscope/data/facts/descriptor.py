"""A short description of colour and texture, for quick models that need neither a network nor the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE_PX = 128
_COLOUR_PX = 64
_MOMENT_PX = 32
_CELLS = 4
_JOINT_BINS = (8, 4, 4)
_PLAIN_BINS = 16
_LEVELS = 4
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _uniform_patterns() -> NDArray[np.float64]:
    """Kind of each local pattern, shape (256, 59): 58 kinds with two changes round the ring or fewer, and the rest."""
    ring = (np.arange(256)[:, None] >> np.arange(8)) & 1
    uniform = np.flatnonzero((ring != np.roll(ring, 1, axis=1)).sum(axis=1) <= 2)
    kinds = np.zeros((256, len(uniform) + 1))
    kinds[:, -1] = 1
    kinds[uniform, -1] = 0
    kinds[uniform, np.arange(len(uniform))] = 1
    return kinds


_PATTERNS = _uniform_patterns()


def describe_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Describes the colours and the texture of a picture in a few hundred numbers.

    Joint histogram of hue, saturation and value, histograms of Y, Cr and Cb, local binary patterns (Ojala et al. 2002,
    doi 10.1109/TPAMI.2002.1017623), mean and standard deviation of Y, Cr and Cb in 4 x 4 cells (Stricker and Orengo
    1995, doi 10.1117/12.205308) and the strength of edges at several sizes. Shares stand as their square roots, so that
    straight distances compare histograms (Arandjelovic and Zisserman 2012, doi 10.1109/CVPR.2012.6248018).

    Args:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255; both sides are squashed to the same length.

    Returns:
        Shape (343,), float16, all of the order of 1.
    """
    side = _squash(pixels, _SIDE_PX)
    luma_chroma = np.asarray(cv2.cvtColor(side, cv2.COLOR_RGB2YCrCb), dtype=np.uint8)
    hsv = cv2.cvtColor(_squash(side, _COLOUR_PX), cv2.COLOR_RGB2HSV)
    joint = cv2.calcHist([hsv], [0, 1, 2], None, list(_JOINT_BINS), [0, 180, 0, 256, 0, 256])
    plain = [cv2.calcHist([luma_chroma], [channel], None, [_PLAIN_BINS], [0, 256]) for channel in range(3)]
    shares = [
        joint.ravel() / (_COLOUR_PX * _COLOUR_PX),
        *(histogram.ravel() / (_SIDE_PX * _SIDE_PX) for histogram in plain),
        _find_patterns(np.ascontiguousarray(luma_chroma[..., 0])),
    ]
    histograms = np.sqrt(np.concatenate(shares))
    return np.concatenate(
        [histograms, _measure_cells(luma_chroma), _measure_edges(_squash(luma_chroma, _COLOUR_PX))]
    ).astype(np.float16)


def _squash(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _find_patterns(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    centre = grey[1:-1, 1:-1]
    code = np.zeros((height, width), dtype=np.uint8)
    brighter = np.empty((height, width), dtype=bool)
    bit = brighter.view(np.uint8)
    for shift, (top, left) in enumerate(_NEIGHBOURS):
        np.greater_equal(grey[top : top + height, left : left + width], centre, out=brighter)
        np.left_shift(bit, np.uint8(shift), out=bit)
        np.bitwise_or(code, bit, out=code)
    counts = cv2.calcHist([code], [0], None, [256], [0, 256]).ravel()
    patterns: NDArray[np.float64] = counts @ _PATTERNS / (height * width)
    return patterns


def _measure_cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = _squash(pixels, _MOMENT_PX).astype(np.float32) / 255
    mean = cv2.resize(values, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    square = cv2.resize(values * values, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.concatenate([mean.ravel(), deviation.ravel()])


def _measure_edges(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    strengths = []
    for level in range(_LEVELS):
        # The positive half of the edges says as much as both, and bytes are quicker.
        _, deviation = cv2.meanStdDev(cv2.Laplacian(pixels, cv2.CV_8U))
        strengths.append(deviation.ravel())
        if level < _LEVELS - 1:
            pixels = _squash(pixels, pixels.shape[0] // 2)
    return np.log1p(np.concatenate(strengths)) / 4
