"""Leaves drawn on known places, with the mask that is true."""

import cv2
import numpy as np

PAPER, SOIL, BLACK = (150, 142, 148), (62, 48, 38), (0, 0, 0)
GREEN, YELLOW, DARK_GREEN = (70, 120, 50), (205, 190, 60), (46, 72, 52)
BROWN, BLACK_SPOT = (120, 85, 50), (35, 32, 30)


def draw_leaf(
    colour=GREEN, background=PAPER, *, spots=None, half_brown=False, side=224, axes=(0.33, 0.2), noise=3.0, seed=0
):
    """Draws one oval leaf with a shadow beside it.

    Returns:
        Pixels (side, side, 3) uint8 and the true mask (side, side) bool.
    """
    rng = np.random.default_rng(seed)
    middle = (side // 2, side // 2)
    size = (round(axes[0] * side), round(axes[1] * side))
    picture = np.empty((side, side, 3), dtype=np.float64)
    picture[:] = background
    shadow = np.zeros((side, side), dtype=np.uint8)
    cv2.ellipse(shadow, (middle[0] + side // 25, middle[1] + side // 25), size, 30, 0, 360, 255, -1)
    picture *= 1 - 0.45 * (cv2.GaussianBlur(shadow, (0, 0), side / 60) / 255.0)[..., None]
    leaf = np.zeros((side, side), dtype=np.uint8)
    cv2.ellipse(leaf, middle, size, 30, 0, 360, 255, -1)
    mask = leaf > 0
    picture[mask] = colour
    if half_brown:
        brown = mask & (np.arange(side)[None, :] > middle[0])
        picture[brown] = BROWN
    if spots is not None:
        for _ in range(12):
            centre = tuple(int(value) for value in rng.normal(side / 2, side / 14, 2))
            cv2.circle(picture, centre, side // 50, spots, -1)
    picture += rng.normal(0, noise, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask


def draw_rosette(background=SOIL, *, side=224, light=(1.0, 1.0, 1.0), seed=0):
    """Draws a rosette of six leaves on soil, under light of any colour; pixels and true mask as in `draw_leaf`."""
    rng = np.random.default_rng(seed)
    picture = np.empty((side, side, 3), dtype=np.float64)
    picture[:] = background
    picture *= rng.normal(1.0, 0.15, (side, side, 1))
    leaves = np.zeros((side, side), dtype=np.uint8)
    for turn in range(0, 360, 60):
        angle = np.radians(turn + 10)
        centre = (round(side * (0.5 + 0.18 * np.cos(angle))), round(side * (0.5 + 0.18 * np.sin(angle))))
        cv2.ellipse(leaves, centre, (side // 8, side // 16), turn + 10, 0, 360, 255, -1)
    mask = leaves > 0
    picture[mask] = GREEN
    picture = picture * light + rng.normal(0, 2.0, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask
