"""Drawn backgrounds: what stands behind a leaf outside the laboratory, from random numbers alone."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

_Texture = NDArray[np.float32]
_Rng = np.random.Generator


def draw_texture(rng: _Rng, size_px: int) -> NDArray[np.float32]:
    """Draws a background of a random kind, foliage most often.

    Args:
        rng: Source of all choices.
        size_px: Side of the square.

    Returns:
        Shape (S, S, 3), float32, RGB, 0-255; S is `size_px`.
    """
    kinds, weights = zip(*_KINDS, strict=True)
    draw = kinds[int(rng.choice(len(kinds), p=np.array(weights) / sum(weights)))]
    texture = draw(rng, size_px)
    if rng.random() < 0.25:
        texture = _add_branches(texture, rng)
    # What lies behind the leaf is out of focus more often than not.
    sigma = float(rng.choice([0.0, 1.0, 2.5, 5.0], p=[0.3, 0.25, 0.25, 0.2])) * size_px / 224
    if sigma > 0:
        texture = np.asarray(cv2.GaussianBlur(texture, (0, 0), sigma), dtype=np.float32)
    return np.asarray(np.clip(texture, 0.0, 255.0), dtype=np.float32)


def draw_noise(rng: _Rng, size_px: int, *, cells: int, octaves: int = 3) -> NDArray[np.float32]:
    """Draws smooth noise.

    Args:
        rng: Source of the noise.
        size_px: Side of the square.
        cells: Waves along a side in the coarsest octave; each further octave has twice as many and half the height.
        octaves: Number of octaves.

    Returns:
        Shape (S, S), float32, 0-1; S is `size_px`.
    """
    total = np.zeros((size_px, size_px), dtype=np.float32)
    for octave in range(octaves):
        count = min(size_px, max(2, cells * 2**octave))
        grid = rng.random((count, count), dtype=np.float32)
        total += cv2.resize(grid, (size_px, size_px), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), dtype=np.float32)


def pick_green(rng: _Rng) -> NDArray[np.float32]:
    """Picks a colour of foliage: yellow-green to blue-green, dull or fresh, in shade or sun; shape (3,), RGB, 0-255."""
    return _from_hsv(rng.uniform(65, 140), rng.uniform(0.15, 0.75), rng.uniform(0.15, 0.85))


def _from_hsv(hue_degrees: float, saturation: float, value: float) -> NDArray[np.float32]:
    pixel = np.array([[[hue_degrees, saturation, value]]], dtype=np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] * 255.0, dtype=np.float32)


def _mix(first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float32]) -> _Texture:
    return np.asarray(first + (second - first) * share[:, :, None], dtype=np.float32)


def _draw_foliage(rng: _Rng, size_px: int) -> _Texture:
    texture = _mix(pick_green(rng), pick_green(rng), draw_noise(rng, size_px, cells=int(rng.integers(2, 8))))
    shade = 0.45 + 0.8 * draw_noise(rng, size_px, cells=int(rng.integers(3, 16)), octaves=4)
    texture *= shade[:, :, None]
    if rng.random() < 0.5:
        _add_discs(texture, rng)
    return texture


def _add_discs(texture: _Texture, rng: _Rng) -> None:
    # Light between far leaves, out of focus: bright discs.
    size = texture.shape[0]
    layer = np.zeros_like(texture)
    for _ in range(int(rng.integers(4, 20))):
        centre = (int(rng.integers(0, size)), int(rng.integers(0, size)))
        colour = _from_hsv(rng.uniform(50, 220), rng.uniform(0.0, 0.4), rng.uniform(0.7, 1.0))
        cv2.circle(layer, centre, int(size * rng.uniform(0.01, 0.08)), colour.tolist(), -1)
    layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), size / 150), dtype=np.float32)
    texture += (np.maximum(texture, layer) - texture) * np.float32(rng.uniform(0.4, 1.0))


def _draw_leaves(rng: _Rng, size_px: int) -> _Texture:
    texture = _draw_foliage(rng, size_px) * np.float32(rng.uniform(0.3, 0.8))
    base = pick_green(rng)
    for _ in range(int(rng.integers(10, 45))):
        length = size_px * rng.uniform(0.06, 0.4)
        axes = (max(2, int(length)), max(1, int(length * rng.uniform(0.3, 0.65))))
        centre = (int(rng.integers(0, size_px)), int(rng.integers(0, size_px)))
        own = pick_green(rng) if rng.random() < 0.15 else base
        colour = own * rng.uniform(0.45, 1.35) + rng.normal(0, 8, 3)
        turn = float(rng.uniform(0, 360))
        cv2.ellipse(texture, centre, axes, turn, 0, 360, np.clip(colour, 0, 255).tolist(), -1, cv2.LINE_AA)
        along = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))]) * length
        ends = [tuple(int(value) for value in np.array(centre) + sign * along) for sign in (-1, 1)]
        cv2.line(texture, ends[0], ends[1], np.clip(colour * 1.25, 0, 255).tolist(), 1, cv2.LINE_AA)
    texture *= (0.7 + 0.6 * draw_noise(rng, size_px, cells=6))[:, :, None]
    return texture


def _draw_grass(rng: _Rng, size_px: int) -> _Texture:
    texture = _draw_soil(rng, size_px) if rng.random() < 0.4 else _draw_foliage(rng, size_px) * np.float32(0.6)
    base = pick_green(rng)
    lean = rng.uniform(-0.5, 0.5)
    for _ in range(int(rng.integers(60, 160))):
        start = rng.uniform(0, size_px, 2)
        angle = lean + rng.normal(0, 0.4)
        end = start + size_px * rng.uniform(0.1, 0.35) * np.array([np.sin(angle), -np.cos(angle)])
        colour = np.clip(base * rng.uniform(0.5, 1.5), 0, 255).tolist()
        points = [tuple(int(value) for value in point) for point in (start, end)]
        cv2.line(texture, points[0], points[1], colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    return texture


def _draw_soil(rng: _Rng, size_px: int) -> _Texture:
    hue, saturation = rng.uniform(12, 45), rng.uniform(0.1, 0.55)
    dark = _from_hsv(hue, saturation, rng.uniform(0.12, 0.4))
    light = _from_hsv(hue, saturation * 0.8, rng.uniform(0.4, 0.8))
    coarse = draw_noise(rng, size_px, cells=int(rng.integers(4, 12)), octaves=3)
    fine = rng.random((size_px, size_px), dtype=np.float32)
    return _mix(dark, light, np.clip(0.7 * coarse + 0.3 * fine, 0, 1))


def _draw_sky(rng: _Rng, size_px: int) -> _Texture:
    top = _from_hsv(rng.uniform(190, 225), rng.uniform(0.0, 0.5), rng.uniform(0.7, 1.0))
    bottom = np.float32(rng.uniform(200, 255)) * np.ones(3, dtype=np.float32)
    ramp = np.repeat(np.linspace(0, 1, size_px, dtype=np.float32)[:, None], size_px, axis=1)
    cloud = draw_noise(rng, size_px, cells=3)
    return _mix(_mix(top, bottom, ramp), np.full(3, 250, dtype=np.float32), np.asarray(0.5 * cloud))


def _draw_wall(rng: _Rng, size_px: int) -> _Texture:
    colour = _from_hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.2), rng.uniform(0.3, 0.95))
    shade = 0.85 + 0.3 * draw_noise(rng, size_px, cells=int(rng.integers(2, 30)), octaves=4)
    texture = np.asarray(colour * shade[:, :, None], dtype=np.float32)
    if rng.random() < 0.4:
        # Planks and joints.
        for place in np.cumsum(rng.uniform(0.1, 0.3, 8)) * size_px:
            cv2.line(texture, (int(place), 0), (int(place), size_px), (colour * 0.5).tolist(), 2, cv2.LINE_AA)
        if rng.random() < 0.5:
            texture = np.ascontiguousarray(texture.transpose(1, 0, 2))
    return texture


def _draw_hand(rng: _Rng, size_px: int) -> _Texture:
    texture = _draw_foliage(rng, size_px) if rng.random() < 0.6 else _draw_soil(rng, size_px)
    skin = _from_hsv(rng.uniform(8, 28), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.95))
    layer, cover = texture.copy(), np.zeros((size_px, size_px), dtype=np.float32)
    edge, turn = rng.uniform(0, size_px), float(rng.uniform(60, 120))
    for finger in range(int(rng.integers(1, 5))):
        centre = (int(edge + finger * 0.16 * size_px), int(size_px * rng.uniform(0.8, 1.0)))
        axes = (int(0.38 * size_px), int(0.075 * size_px))
        cv2.ellipse(layer, centre, axes, turn, 0, 360, (skin * rng.uniform(0.85, 1.1)).tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(cover, centre, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
    shade = 0.75 + 0.5 * draw_noise(rng, size_px, cells=5)
    return _mix(texture, layer * shade[:, :, None], cover)


def _add_branches(texture: _Texture, rng: _Rng) -> _Texture:
    size = texture.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        points = [tuple(int(value) for value in rng.uniform(-0.1, 1.1, 2) * size) for _ in range(2)]
        colour = _from_hsv(rng.uniform(15, 50), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.6))
        cv2.line(
            texture, points[0], points[1], colour.tolist(), max(1, int(size * rng.uniform(0.01, 0.05))), cv2.LINE_AA
        )
    return texture


_KINDS: tuple[tuple[Callable[[_Rng, int], _Texture], float], ...] = (
    (_draw_foliage, 0.3),
    (_draw_leaves, 0.35),
    (_draw_grass, 0.1),
    (_draw_soil, 0.08),
    (_draw_sky, 0.05),
    (_draw_wall, 0.05),
    (_draw_hand, 0.07),
)
