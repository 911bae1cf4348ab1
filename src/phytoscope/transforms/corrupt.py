"""What happens to plant photographs outside of the laboratory, in five steps of strength.

The kinds follow Hendrycks 2019 (arXiv 1903.12261) as far as they happen to photographs of plants; shadow, colour cast,
background and occlusion are added. Each picture is spoiled by the same chance at every severity: the shadow falls from
the same side, only deeper.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.transforms.plant_mask import mask_plant

SEVERITIES: Final = (1, 2, 3, 4, 5)
"""1 is hardly to be seen, 5 is a poor photograph that a person still uses."""

Pixels = NDArray[np.uint8]
_Floats = NDArray[np.float32]
_GAMMA = 2.2
_LEAST_PLANT, _MOST_PLANT = 0.01, 0.9


class Corruption(StrEnum):
    """What is done to a picture."""

    brighter = "brighter"
    darker = "darker"
    shadow = "shadow"
    white_balance = "white_balance"
    motion_blur = "motion_blur"
    out_of_focus = "out_of_focus"
    jpeg = "jpeg"
    noise = "noise"
    zoom = "zoom"
    rotation = "rotation"
    background = "background"
    occlusion = "occlusion"


CHANGES_SIZE: Final = frozenset({Corruption.zoom})
"""Kinds that change how large a plant appears, and so the true number where size is the answer."""
CORRUPTION_WORDS: Final = {
    Corruption.brighter: "too much light",
    Corruption.darker: "too little light",
    Corruption.shadow: "a shadow",
    Corruption.white_balance: "a colour cast",
    Corruption.motion_blur: "motion blur",
    Corruption.out_of_focus: "wrong focus",
    Corruption.jpeg: "strong compression",
    Corruption.noise: "noise",
    Corruption.zoom: "a closer view",
    Corruption.rotation: "a turned camera",
    Corruption.background: "another background",
    Corruption.occlusion: "something in front",
}
"""Names for readers."""


def corrupt(pixels: Pixels, kind: Corruption, severity: int, seed: int) -> Pixels:
    """Spoils one picture.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.
        kind: What happens to it.
        severity: 1 to 5.
        seed: Seed of direction, place and grain; equal inputs give equal results.

    Returns:
        Shape (S, S, 3), uint8. For `background`, the picture as it is where plant and background cannot be told apart
        (see `can_corrupt`).

    Raises:
        DataValidationError: The severity or the array is not of this kind.
    """
    if severity not in SEVERITIES:
        message = f"severity {severity!r} is not known: choose 1, 2, 3, 4 or 5."
        raise DataValidationError(message)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        message = f"expected uint8 pixels of shape (S, S, 3), got {pixels.dtype} {pixels.shape}."
        raise DataValidationError(message)
    # The severity has no part in the seed, so that a picture is spoiled in the same way, only more.
    rng = np.random.default_rng([seed, list(Corruption).index(kind)])
    return _CHANGES[kind](pixels, _STRENGTHS[kind][severity - 1], rng)


def can_corrupt(pixels: Pixels, kind: Corruption) -> bool:
    """Whether a picture can be spoiled in this way: a background can be exchanged only where it is found.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.
        kind: What is to happen to it.
    """
    return kind is not Corruption.background or _LEAST_PLANT < mask_plant(pixels).mean() < _MOST_PLANT


def _expose(pixels: Pixels, gain: float | _Floats, _rng: np.random.Generator) -> Pixels:
    # Light adds up before the camera's curve, so the gain belongs there.
    linear = (pixels.astype(np.float32) / 255) ** _GAMMA * np.asarray(gain, dtype=np.float32)
    return _to_pixels((255 * np.clip(linear, 0, 1) ** (1 / _GAMMA)).astype(np.float32))


def _to_pixels(values: _Floats) -> Pixels:
    rounded: Pixels = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return rounded


def _cast_shadow(pixels: Pixels, depth: float, rng: np.random.Generator) -> Pixels:
    side = len(pixels)
    angle, offset = rng.uniform(0, 2 * math.pi), rng.uniform(-0.15, 0.15)
    down, across = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    waves = 0.04 * np.sin(2 * math.pi * (1.5 * across - 2.2 * down) + rng.uniform(0, 6.28))
    distance = math.cos(angle) * across + math.sin(angle) * down + waves - offset
    lit = 1 / (1 + np.exp(-distance / 0.02))
    return _expose(pixels, (1 - depth * (1 - lit))[:, :, None].astype(np.float32), rng)


def _shift_colours(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    warm = strength if rng.random() < 0.5 else -strength
    tint = strength * rng.uniform(-0.3, 0.3)
    gains = np.array([1 + warm, 1 + tint, 1 - warm], dtype=np.float32)
    return _to_pixels(pixels * (gains / gains.mean()))


def _blur_by_motion(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    length = max(2.0, share * len(pixels))
    size = 2 * math.ceil(length / 2) + 1
    angle, middle = rng.uniform(0, math.pi), size // 2
    reach = np.array([math.cos(angle), math.sin(angle)]) * length / 2
    kernel = np.zeros((size, size), dtype=np.float32)
    # Drawn in sixteenths of a pixel, so that short and slanted strokes keep their length.
    ends = [tuple(round((middle + sign * part) * 16) for part in reach) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return _filter(pixels, kernel)


def _defocus(pixels: Pixels, share: float, _rng: np.random.Generator) -> Pixels:
    radius = share * len(pixels)
    reach = math.ceil(radius)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    # The lens draws a disc; its edge is soft so that radii below a pixel still count.
    return _filter(pixels, np.clip(radius + 0.5 - np.hypot(down, across), 0, 1).astype(np.float32))


def _filter(pixels: Pixels, kernel: _Floats) -> Pixels:
    even = kernel / kernel.sum()
    return np.asarray(cv2.filter2D(pixels, -1, even, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def _compress(pixels: Pixels, quality: float, _rng: np.random.Generator) -> Pixels:
    _, content = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), dtype=np.uint8)[:, :, ::-1].copy()


def _add_noise(pixels: Pixels, spread: float, rng: np.random.Generator) -> Pixels:
    grain = rng.standard_normal(pixels.shape, dtype=np.float32)
    # A sensor's noise is strongest, beside the signal, in the dark.
    values = pixels.astype(np.float32)
    strength = (spread * (1.2 - 0.5 * values / 255)).astype(np.float32)
    return _to_pixels(values + grain * strength)


def _come_closer(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    side = len(pixels)
    kept = max(2, round(share * side))
    top, left = (int(place) for place in (0.25 + 0.5 * rng.random(2)) * (side - kept))
    part = pixels[top : top + kept, left : left + kept]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC))


def _turn(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    side = len(pixels)
    turned = degrees if rng.random() < 0.5 else -degrees
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turned, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101))


def _swap_background(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    mask = mask_plant(pixels)
    if not _LEAST_PLANT < mask.mean() < _MOST_PLANT:
        return pixels.copy()
    side = len(pixels)
    # A little of the old background is kept around the plant, or its edge would be cut off where the mask is unsure.
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.6, 0.006 * side))
    amount = (share * (1 - soft))[:, :, None]
    return _to_pixels(pixels * (1 - amount) + amount * _draw_ground(side, rng))


_GROUNDS = (
    ((70, 50, 35), (130, 100, 75)),
    ((40, 70, 25), (140, 160, 70)),
    ((105, 105, 100), (165, 160, 150)),
    ((150, 130, 100), (205, 190, 160)),
)
"""Two colours each of soil, grass, stone and straw."""


def _draw_ground(side: int, rng: np.random.Generator) -> _Floats:
    dark, light = (np.array(colour, dtype=np.float32) for colour in _GROUNDS[int(rng.integers(len(_GROUNDS)))])
    height = np.zeros((side, side), dtype=np.float32)
    for cells, weight in ((4, 0.5), (12, 0.8), (40, 1.0), (110, 0.8)):
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        height += weight * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    share = 1 / (1 + np.exp(-1.5 * height / height.std()))[:, :, None]
    ground: _Floats = dark + share * (light - dark)
    return ground


_OBJECTS = ((60, 95, 40), (85, 115, 55), (110, 85, 60), (200, 160, 135), (50, 50, 52))
"""Leaves, a stem, a finger, a dark edge."""


def _cover(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    side = len(pixels)
    covered = pixels.astype(np.float32)
    # Three things from the edges inwards, each a third of the share; their places do not depend on the share.
    for _ in range(3):
        colour = np.array(_OBJECTS[int(rng.integers(len(_OBJECTS)))], dtype=np.float32)
        angle, turn, long = rng.uniform(0, 2 * math.pi), rng.uniform(0, 180), rng.uniform(1.2, 2.5)
        radius = side * math.sqrt(share / 3 / math.pi / long)
        centre = [side * (0.5 + 0.33 * math.cos(angle)), side * (0.5 + 0.33 * math.sin(angle))]
        shape: _Floats = np.zeros((side, side), dtype=np.float32)
        box = ((centre[0], centre[1]), (2 * radius, 2 * radius * long), turn)
        cv2.ellipse(shape, box, 1.0, -1, cv2.LINE_AA)
        soft = np.asarray(cv2.GaussianBlur(shape, (0, 0), max(0.5, 0.006 * side)), dtype=np.float32)[:, :, None]
        grain = 8 * rng.standard_normal((side, side, 1), dtype=np.float32)
        covered = covered * (1 - soft) + soft * (colour + grain)
    return _to_pixels(covered)


_CHANGES: Final[dict[Corruption, Callable[[Pixels, float, np.random.Generator], Pixels]]] = {
    Corruption.brighter: _expose,
    Corruption.darker: _expose,
    Corruption.shadow: _cast_shadow,
    Corruption.white_balance: _shift_colours,
    Corruption.motion_blur: _blur_by_motion,
    Corruption.out_of_focus: _defocus,
    Corruption.jpeg: _compress,
    Corruption.noise: _add_noise,
    Corruption.zoom: _come_closer,
    Corruption.rotation: _turn,
    Corruption.background: _swap_background,
    Corruption.occlusion: _cover,
}
_STRENGTHS: Final = {
    # Light, as a multiple of what there was.
    Corruption.brighter: (1.15, 1.4, 1.7, 2.1, 2.6),
    Corruption.darker: (0.82, 0.6, 0.42, 0.28, 0.17),
    # Share of the light that the shadow takes.
    Corruption.shadow: (0.2, 0.4, 0.55, 0.68, 0.8),
    # Share by which red rises and blue falls, or the other way round.
    Corruption.white_balance: (0.03, 0.07, 0.11, 0.16, 0.22),
    # Length of the stroke, and radius of the disc, as a share of the picture's side.
    Corruption.motion_blur: (0.01, 0.018, 0.028, 0.042, 0.06),
    Corruption.out_of_focus: (0.004, 0.007, 0.011, 0.016, 0.021),
    Corruption.jpeg: (75, 50, 30, 18, 12),
    # Standard deviation of the grain in grey levels.
    Corruption.noise: (4, 9, 15, 22, 32),
    # Share of the side that is still in the picture.
    Corruption.zoom: (0.93, 0.85, 0.75, 0.65, 0.55),
    # Degrees.
    Corruption.rotation: (6, 14, 24, 35, 45),
    # Share of the old background that is painted over, from a veil to all of it.
    Corruption.background: (0.2, 0.4, 0.6, 0.8, 1.0),
    # Share of the picture that is hidden.
    Corruption.occlusion: (0.04, 0.09, 0.15, 0.22, 0.3),
}
