"""What a photograph itself tells about its quality, measured on the square that the network sees."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.transforms.plant_mask import measure_plant_fraction

_BURNT_OUT = 250
_STEEPEST = 0.99
# A square of one colour has no edge at all; below this slope only noise would be measured.
_LEAST_SLOPE = 1.0
# How far whole grey levels alone can bend a smooth slope, in grey levels.
_ROUNDING = 2.0
_SAME_SIDE_PX = 2


def measure_photo(square: NDArray[np.uint8], width_px: int, height_px: int) -> dict[str, float]:
    """Measures a photograph; the names are those of `trust.photo.MEASURES`.

    All but `side_px` are measured on the square, so that a picture gives the same numbers from the pixel cache and from
    its file, and without the bars of one colour that fill up a picture that is not square.

    `sharpness` is the strongest curvature of the luminance over its strongest slope (both as 99th percentiles), about
    one over the width of the sharpest edges in pixels, in the least sharp of four directions, because a moved camera
    blurs along one. Contrast and light cancel out, and so does most of what is in the picture: photographs in focus lie
    above 0.8 (dark, noisy ones above 0.5), the same blurred by a Gaussian of 2 pixels below 0.6.

    Args:
        square: Shape (S, S, 3), uint8, RGB, 0-255.
        width_px: Width of the original picture in pixels.
        height_px: Its height.

    Returns:
        `brightness`: median luminance, 0-255; `highlights`: share of burnt-out pixels, 0-1; `sharpness`: see above, 0
        for a picture of one colour; `side_px`: shorter side of the original in pixels; `plant`: share of plant pixels,
        0-1.

    Raises:
        DataValidationError: The square is not a picture, or a side is below 1.
    """
    if square.ndim != 3 or square.shape[2] != 3 or square.dtype != np.uint8 or square.size == 0:
        message = f"expected uint8 pixels of shape (S, S, 3), got {square.dtype} {square.shape}."
        raise DataValidationError(message)
    if width_px < 1 or height_px < 1:
        message = f"a picture cannot be {width_px} x {height_px} px: both sides are 1 or more."
        raise DataValidationError(message)
    picture = np.ascontiguousarray(_cut_bars(square, width_px, height_px))
    luminance = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    levels = np.bincount(luminance.ravel(), minlength=256)
    burnt_out = cv2.inRange(picture, (_BURNT_OUT,) * 3, (255,) * 3)
    return {
        "brightness": float(np.searchsorted(np.cumsum(levels), (luminance.size + 1) // 2)),
        "highlights": cv2.countNonZero(burnt_out) / luminance.size,
        "sharpness": _measure_sharpness(luminance),
        "side_px": float(min(width_px, height_px)),
        "plant": measure_plant_fraction(picture),
    }


def _measure_sharpness(luminance: NDArray[np.uint8]) -> float:
    if min(luminance.shape) < 3:
        return 0.0
    # Every second line is enough for a percentile.
    above, middle, below = (
        np.ascontiguousarray(luminance[first:last:2]) for first, last in ((0, -2), (1, -1), (2, None))
    )
    sharpest = []
    for before, after in (
        (middle[:, :-2], middle[:, 2:]),
        (above[:, 1:-1], below[:, 1:-1]),
        (above[:, :-2], below[:, 2:]),
        (above[:, 2:], below[:, :-2]),
    ):
        slope = _find_percentile(cv2.absdiff(before, after)) / 2
        bend = cv2.add(before, after, dtype=cv2.CV_16S) - cv2.add(middle[:, 1:-1], middle[:, 1:-1], dtype=cv2.CV_16S)
        curvature = _find_percentile(np.abs(bend))
        certain = math.sqrt(max(curvature**2 - _ROUNDING**2, 0.0))
        sharpest.append(certain / max(slope, _LEAST_SLOPE))
    return min(sharpest)


def _find_percentile(amounts: Any) -> float:
    """The 99th percentile of whole numbers of 0 or more."""
    # A histogram of 16 bits is counted as fast as one of 8, but for its length.
    counts = cv2.calcHist([amounts.view(np.uint16) if amounts.itemsize > 1 else amounts], [0], None, [512], [0, 512])
    total = np.cumsum(counts.ravel())
    return float(np.searchsorted(total, _STEEPEST * total[-1]))


def _cut_bars(square: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The picture inside the square; all of it where nothing was filled up."""
    if (square[[0, 0, -1], [0, -1, -1]] != square[-1, 0]).any():
        return square
    fill = tuple(square[0, 0].tolist())
    filled = np.asarray(cv2.inRange(square, fill, fill), dtype=np.bool_)
    top, bottom = _count_edge(filled)
    left, right = _count_edge(filled.T)
    height, width = (side - sum(cut) for side, cut in zip(filled.shape, ((top, bottom), (left, right)), strict=True))
    # Bars are drawn evenly on both sides and leave the picture's own shape, of which the longer side may be cut off; a
    # black wall in a photograph seldom does.
    even = abs(top - bottom) <= 1 and abs(left - right) <= 1
    longer = width * height_px - height * width_px
    allowed = _SAME_SIDE_PX * max(width_px, height_px)
    same_shape = (longer <= allowed or height == len(square)) and (-longer <= allowed or width == len(square))
    if height < 1 or width < 1 or not (even and same_shape):
        return square
    return square[top : top + height, left : left + width]


def _count_edge(filled: NDArray[np.bool_]) -> tuple[int, int]:
    seen = np.flatnonzero(~filled.all(axis=1))
    return (0, 0) if len(seen) == 0 else (int(seen[0]), len(filled) - 1 - int(seen[-1]))
