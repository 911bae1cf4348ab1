"""Photographs of one drawn leaf on grey paper."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from phytoscope.data.synthetic.blade import Blade, draw_blade, sample_shape
from phytoscope.data.synthetic.drawing import (
    SUPERSAMPLE,
    ByteImage,
    Camera,
    FloatImage,
    develop_photo,
    fractal_noise,
    light_field,
    mix,
    relief,
    vary,
)
from phytoscope.data.synthetic.lesions import LESIONS, wear

__all__ = ["draw_leaf", "photograph_leaf"]


def draw_leaf(rng: np.random.Generator, disease: str | None, *, size_px: int) -> Blade:
    """Draw a leaf, healthy or diseased, as it lies before the camera.

    Args:
        rng: Source of everything that varies between leaves.
        disease: Key of `LESIONS`; None for a healthy leaf.
        size_px: Side of the finished pictures in pixels.

    Returns:
        The leaf, laid out straight.
    """
    blade = draw_blade(sample_shape(rng), rng, length_px=0.84 * SUPERSAMPLE * size_px)
    severity = float(rng.beta(1.3, 1.7))
    if disease is not None:
        blade = LESIONS[disease](blade, rng, severity)
    return wear(blade, rng)


def photograph_leaf(blade: Blade, rng: np.random.Generator, *, size_px: int) -> ByteImage:
    """Take one photograph of a leaf: new pose, light, paper and noise.

    Args:
        blade: The leaf.
        rng: Source of everything that varies between photographs.
        size_px: Side of the picture in pixels.

    Returns:
        Picture of shape (size_px, size_px, 3), uint8, sRGB in RGB order.
    """
    side = SUPERSAMPLE * size_px
    azimuth = float(rng.uniform(0, 2 * np.pi))
    light = _Light(
        towards=(float(np.cos(azimuth)), float(np.sin(azimuth))),
        hardness=float(rng.beta(1.2, 1.4)),
        fall_off=float(rng.uniform(0.02, 0.22)),
    )
    albedo, alpha, height, gloss = _pose(blade, rng, side)
    scene = _paper(rng, side, light)
    scene = _cast_shadow(scene, alpha, rng, light)
    scene = mix(scene, _lit_leaf(albedo, height, gloss, rng, light), alpha)
    glow = light_field(side, towards_light=light.towards, fall_off=light.fall_off, vignette=float(rng.uniform(0, 0.25)))
    warmth = float(rng.normal(0.0, 0.07))
    camera = Camera(
        exposure=float(rng.uniform(0.85, 1.45)),
        white_balance=(1.0 + warmth, 1.0 + float(rng.normal(0.0, 0.015)), 1.0 - warmth),
        blur_px=float(rng.uniform(0.0, 0.7)),
        noise=float(rng.uniform(0.004, 0.018)),
    )
    return develop_photo(scene * glow[..., None], camera, rng, size_px=size_px)


@dataclass(frozen=True)
class _Light:
    """Direction towards the light, how hard it is (0 overcast to 1 sun) and how unevenly it falls."""

    towards: tuple[float, float]
    hardness: float
    fall_off: float


def _pose(blade: Blade, rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage, FloatImage, FloatImage]:
    """Bend, turn, tilt and place the leaf: albedo, alpha, height and gloss on the photograph's canvas."""
    columns = blade.alpha.shape[1]
    angle = float(rng.normal(0.0, 0.45) if rng.random() < 0.75 else rng.uniform(0, 2 * np.pi))
    stalk = blade.shape.stalk
    extent = np.array([2 * blade.shape.half_width + abs(blade.shape.bend), 1.0 + 0.6 * stalk]) * blade.length_px
    turned = np.hypot(np.cos(angle) * extent, np.sin(angle) * extent[::-1])
    # Up to a tenth beyond the frame: stalks and tips are cut off in real pictures too.
    scale = side * float(rng.uniform(0.84, 1.04)) / float(turned.max())
    tilt = rng.normal(0.0, 0.05, 2)
    shift = rng.normal(0.0, 0.025, 2) * side
    y, x = np.indices((side, side), dtype=np.float32)
    x, y = x - side / 2 - np.float32(shift[0]), y - side / 2 - np.float32(shift[1])
    depth = 1.0 + np.float32(tilt[0] / side) * x + np.float32(tilt[1] / side) * y
    x, y = x * depth / np.float32(scale), y * depth / np.float32(scale)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    middle_row = blade.length_px * (1.07 - 0.5 * (1.0 - 0.8 * stalk))
    column, row = x * cosine + y * sine, y * cosine - x * sine + np.float32(middle_row)
    along = (blade.length_px * 1.07 - row) / np.float32(blade.length_px)
    bend = blade.shape.bend * (1.0 + 0.15 * float(rng.standard_normal()))
    sideways = np.float32(bend * blade.length_px) * (along**2 - 0.35 + 1.5 * np.minimum(along, 0.0) ** 2)
    map_x = np.asarray(column + columns / 2 - sideways, dtype=np.float32)
    map_y = np.asarray(row, dtype=np.float32)
    colour = np.dstack([blade.albedo, blade.alpha])
    surface = np.dstack([blade.height_px * scale, blade.gloss])
    colour = np.asarray(cv2.remap(colour, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
    surface = np.asarray(cv2.remap(surface, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return colour[..., :3], colour[..., 3], surface[..., 0], surface[..., 1]


def _paper(rng: np.random.Generator, side: int, light: _Light) -> FloatImage:
    """Grey paper with grain, stains and a slight tint."""
    level = float(rng.uniform(105, 185))
    purple = float(rng.uniform(-2.0, 6.0))
    grain = fractal_noise(rng, (side, side), cells=side // 3, octaves=2, persistence=0.8)
    stains = fractal_noise(rng, (side, side), cells=3, octaves=4)
    shade = relief(grain * np.float32(rng.uniform(0.25, 0.9)), light.towards)
    brightness = 1.0 + 0.5 * shade * (0.4 + light.hardness) + 0.045 * stains + 0.04 * grain
    colour = vary(rng, level + 0.6 * purple, level - 0.6 * purple, level + 0.8 * purple, spread=6.0)
    return np.asarray(colour * brightness[..., None], dtype=np.float32)


def _cast_shadow(scene: FloatImage, alpha: FloatImage, rng: np.random.Generator, light: _Light) -> FloatImage:
    """Darken the paper where the leaf stands in the light, and close around it."""
    side = scene.shape[0]
    distance = side * float(rng.uniform(0.008, 0.05))
    move = np.array(
        [[1.0, 0.0, -light.towards[0] * distance], [0.0, 1.0, -light.towards[1] * distance]], dtype=np.float32
    )
    cast = np.asarray(cv2.warpAffine(alpha, move, (side, side)))
    cast = np.asarray(cv2.GaussianBlur(cast, (0, 0), side * (0.022 - 0.018 * light.hardness)))
    quarter = (side // 4, side // 4)
    small = cv2.resize(alpha, quarter, interpolation=cv2.INTER_AREA)
    # Closing fills the leaf's holes: the paper behind them lies in the blade's shade.
    kernel = np.ones((2 * (side // 80) + 1,) * 2, dtype=np.uint8)
    contact = cv2.GaussianBlur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel), (0, 0), side * 0.003)
    contact = np.asarray(cv2.resize(np.asarray(contact), (side, side), interpolation=cv2.INTER_LINEAR))
    remaining = (1.0 - (0.25 + 0.55 * light.hardness) * cast) * (1.0 - 0.5 * contact)
    return np.asarray(scene * remaining[..., None], dtype=np.float32)


def _lit_leaf(
    albedo: FloatImage, height: FloatImage, gloss: FloatImage, rng: np.random.Generator, light: _Light
) -> FloatImage:
    """Light on the blade: slopes towards the lamp are brighter, the brightest of them shine."""
    slope = relief(height, light.towards)
    diffuse = np.clip(1.0 + (0.7 + 0.8 * light.hardness) * slope, 0.3, 1.8)
    sparkle = 0.6 + 0.4 * rng.random(slope.shape, dtype=np.float32)
    shine = gloss * np.clip(slope - 0.08, 0.0, 0.4) ** 2 * sparkle * (0.5 + 0.9 * light.hardness)
    sheen = gloss * 0.015 * sparkle
    return np.asarray(albedo * diffuse[..., None] + (shine + sheen)[..., None], dtype=np.float32)
