"""What is computed of the pixels of one image: quality, colours, a small picture, its hash and a descriptor."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.data.facts.descriptor import describe_pixels
from phytoscope.data.facts.perceptual_hash import hash_variants
from phytoscope.schema.image_facts import (
    BLUE_MEAN,
    BORDER_BLUE_MEAN,
    BORDER_CONTRAST,
    BORDER_GREEN_MEAN,
    BORDER_RED_MEAN,
    BRIGHTNESS,
    BRIGHTNESS_HIGH,
    BRIGHTNESS_LOW,
    CLIPPED_DARK,
    CLIPPED_LIGHT,
    CONTRAST,
    DETAIL,
    ENTROPY,
    FEATURES,
    GREEN_FRACTION,
    GREEN_MEAN,
    PERCEPTUAL_HASH,
    PERCEPTUAL_HASH_VARIANTS,
    RED_MEAN,
    SATURATION,
    SHARPNESS,
    THUMBNAIL,
    THUMBNAIL_PX,
)

SCALE_PX = 256
"""Longer side of the picture that everything but the green pixels is measured on; a smaller one stays as it is."""

_SMALL_PX = 64
_PIXELS_LOOKED_AT = 1_000_000
_EVEN = 0.185
_NEIGHBOURHOOD = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], dtype=np.float32)
_LEVELS = np.arange(256, dtype=np.float64) / 255
_LUMA = np.array([0.299, 0.587, 0.114])


def measure_pixels(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Computes everything that is known of a picture from its pixels.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255.

    Returns:
        The quality and colour columns of the image facts except `green_px`, the hash and the long columns.
    """
    scaled = shrink(pixels)
    grey = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    # By halves, which is quicker than at once.
    small = _shrink_to(_shrink_to(scaled, 2 * _SMALL_PX), _SMALL_PX)
    thumbnail = _resize(small, THUMBNAIL_PX, THUMBNAIL_PX)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    red, green, blue, _ = cv2.mean(scaled)
    variants = hash_variants(thumbnail)
    return {
        PERCEPTUAL_HASH: int(variants[0]),
        **_measure_luma(grey),
        DETAIL: _score_detail(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)),
        SATURATION: cv2.mean(hsv)[1] / 255,
        RED_MEAN: red / 255,
        GREEN_MEAN: green / 255,
        BLUE_MEAN: blue / 255,
        **_measure_border(thumbnail),
        GREEN_FRACTION: measure_green_fraction(pixels),
        PERCEPTUAL_HASH_VARIANTS: variants.astype("<u8").tobytes(),
        THUMBNAIL: thumbnail.tobytes(),
        FEATURES: describe_pixels(scaled).astype("<f2").tobytes(),
    }


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brings the longer side down to 256 pixels, each of them the mean of its area.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255.

    Returns:
        Shape (H, W, 3), uint8; the picture itself when it is not larger.
    """
    return _shrink_to(pixels, SCALE_PX)


def measure_green_fraction(pixels: NDArray[np.uint8]) -> float:
    """Share of the pixels that belong to the plant because they are greener than the rest, 0-1.

    Excess green 2g - r - b (Woebbecke et al. 1995, doi 10.13031/2013.27838), cut where Otsu's threshold (1979, doi
    10.1109/TSMC.1979.4310076) parts the picture: a fixed threshold fails under a colour cast.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255.
    """
    # A large photograph is looked at in every second, third, ... row and column: the share of green is the same.
    stride = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _PIXELS_LOOKED_AT))
    red, green, blue = cv2.split(np.ascontiguousarray(pixels[::stride, ::stride]))
    more_than_red, more_than_blue = (cv2.subtract(green, other, dtype=cv2.CV_16S) for other in (red, blue))
    excess = cv2.add(more_than_red, more_than_blue, dtype=cv2.CV_8U)
    _, mask = cv2.threshold(excess, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(cv2.countNonZero(mask)) / mask.size


def _shrink_to(pixels: NDArray[np.uint8], longer_px: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    ratio = longer_px / max(height, width)
    if ratio >= 1:
        return pixels
    return _resize(pixels, max(1, round(width * ratio)), max(1, round(height * ratio)))


def _resize(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _measure_luma(grey: NDArray[np.uint8]) -> dict[str, float]:
    share = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64) / grey.size
    below = np.cumsum(share)
    mean = float(share @ _LEVELS)
    some = share[share > 0]
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    return {
        BRIGHTNESS: mean,
        # A hair below the share, because sums of shares are not exact.
        BRIGHTNESS_LOW: float(np.searchsorted(below, 0.05 - 1e-9)) / 255,
        BRIGHTNESS_HIGH: float(np.searchsorted(below, 0.99 - 1e-9)) / 255,
        CLIPPED_DARK: float(below[3]),
        CLIPPED_LIGHT: float(1 - below[251]),
        CONTRAST: math.sqrt(max(0.0, float(share @ (_LEVELS * _LEVELS)) - mean * mean)),
        SHARPNESS: max(0.0, cv2.norm(edges, cv2.NORM_L2) ** 2 / grey.size - cv2.mean(edges)[0] ** 2),
        ENTROPY: max(0.0, -float(some @ np.log2(some))),
    }


def _score_detail(grey: NDArray[np.uint8]) -> float:
    # Each pixel against its eight neighbours; the outermost ones stay as they are.
    edges = cv2.filter2D(grey, cv2.CV_8U, _NEIGHBOURHOOD)
    edges[0], edges[-1], edges[:, 0], edges[:, -1] = grey[0], grey[-1], grey[:, 0], grey[:, -1]
    _, strength = cv2.meanStdDev(edges)
    _, spread = cv2.meanStdDev(cv2.calcHist([grey], [0], None, [256], [0, 256]))
    # Large even areas, which have no edges in a sharp picture either, crowd the pixels into a few levels.
    even = 1 - math.exp(-float(spread[0, 0]) / 100)
    return 1 - math.exp(-float(strength[0, 0]) / 100) + (even if even > _EVEN else 0.0)


def _measure_border(thumbnail: NDArray[np.uint8]) -> dict[str, float]:
    ring = np.concatenate([thumbnail[0], thumbnail[-1], thumbnail[1:-1, 0], thumbnail[1:-1, -1]]) / 255
    red, green, blue = ring.mean(axis=0).tolist()
    return {
        BORDER_RED_MEAN: red,
        BORDER_GREEN_MEAN: green,
        BORDER_BLUE_MEAN: blue,
        BORDER_CONTRAST: float((ring @ _LUMA).std()),
    }
