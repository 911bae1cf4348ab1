"""The stage of the rosette pictures: tray, pot and soil seen from above."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from phytoscope.data.synthetic.drawing import SUPERSAMPLE, FloatImage, fractal_noise, mix, relief, rgb, vary

__all__ = ["draw_pot"]

_RIM_COLOURS = ((120, 62, 50), (66, 52, 46), (134, 78, 60), (48, 46, 46))


def draw_pot(rng: np.random.Generator, *, size_px: int, towards_light: tuple[float, float]) -> FloatImage:
    """Draw a round pot with soil in a dark plastic tray.

    Args:
        rng: Source of everything that varies between pots.
        size_px: Side of the finished pictures in pixels.
        towards_light: Unit vector in the picture that points to the light.

    Returns:
        Lit scene of shape (side, side, 3), float32, linear RGB, at the supersampled size.
    """
    side = SUPERSAMPLE * size_px
    centre = side / 2 + rng.normal(0.0, 0.008, 2) * side
    rows, columns = np.indices((side, side), dtype=np.float32)
    dx, dy = columns - np.float32(centre[0]), rows - np.float32(centre[1])
    radius = np.float32(0.455 * side)
    distance = np.asarray(np.hypot(dx, dy), dtype=np.float32)
    towards = (dx * towards_light[0] + dy * towards_light[1]) / np.maximum(distance, 1.0)
    scene = _tray(rng, side)
    drop = np.hypot(dx + towards_light[0] * side * 0.02, dy + towards_light[1] * side * 0.02) - radius
    scene *= (1.0 - 0.55 * np.exp(-np.clip(drop, 0.0, None) / (side * 0.018)))[..., None]
    rim_width = np.float32(side * 0.017)
    rim = vary(rng, *_RIM_COLOURS[int(rng.integers(len(_RIM_COLOURS)))], spread=5.0)
    profile = (distance - radius) / rim_width
    rim_light = np.clip(0.95 + 0.55 * towards * (profile + 0.45) * 2 - 0.3 * (profile + 0.5) ** 2, 0.35, 2.0)
    scene = mix(scene, np.asarray(rim * rim_light[..., None], dtype=np.float32), _inside(radius - distance))
    soil = _soil(rng, side, towards_light)
    inner = radius - rim_width - distance
    # The wall stands above the soil and shades it on the side of the light.
    wall = 1.0 - np.exp(-np.clip(inner, 0.0, None) / (side * 0.02)) * (0.55 + 0.3 * np.clip(towards, 0.0, 1.0))
    return mix(scene, np.asarray(soil * wall[..., None], dtype=np.float32), _inside(inner))


def _inside(distance_px: npt.NDArray[np.float32]) -> FloatImage:
    """Anti-aliased coverage from a signed distance, positive inside."""
    return np.asarray(np.clip(distance_px / SUPERSAMPLE + 0.5, 0.0, 1.0), dtype=np.float32)


def _tray(rng: np.random.Generator, side: int) -> FloatImage:
    """Grey-blue plastic with a dark opening in each corner."""
    base = vary(rng, 74, 78, 88, spread=6.0)
    scratches = fractal_noise(rng, (side, side), cells=8, octaves=5, persistence=0.6)
    scene = np.asarray(base * (1.0 + 0.12 * scratches)[..., None], dtype=np.float32)
    openings = np.zeros((side, side), dtype=np.uint8)
    near, far = 0.025 * side, 0.25 * side
    for right in (False, True):
        for low in (False, True):
            x0, x1 = (side - far, side - near) if right else (near, far)
            y0, y1 = (side - far, side - near) if low else (near, far)
            corners = (np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) + rng.normal(0, side * 0.004, 2)).astype(
                np.int32
            )
            cv2.fillPoly(openings, [corners], 255, cv2.LINE_AA)
    # Blurring and cutting again rounds the corners.
    rounded = np.asarray(cv2.GaussianBlur(openings, (0, 0), side / 45) / np.float32(255.0), dtype=np.float32)
    bevel = np.exp(-(((rounded - 0.42) / 0.10) ** 2))
    scene = mix(scene, rgb(108, 112, 120), np.asarray(0.45 * bevel, dtype=np.float32))
    return mix(scene, rgb(14, 14, 16), np.clip((rounded - 0.46) * 9.0, 0.0, 0.96))


def _soil(rng: np.random.Generator, side: int, towards_light: tuple[float, float]) -> FloatImage:
    """Dark crumbly soil with sand in patches and bits of perlite."""
    shape = (side, side)
    crumbs = fractal_noise(rng, shape, cells=side // 16, octaves=3, persistence=0.75)
    large = fractal_noise(rng, shape, cells=5, octaves=3, persistence=0.6)
    dark = vary(rng, 42, 32, 26, spread=4.0)
    brown = vary(rng, 96, 76, 60, spread=7.0)
    amount = np.clip(0.34 + 0.17 * crumbs + 0.13 * large, 0.0, 1.0)
    scene = mix(np.broadcast_to(dark, (*shape, 3)), brown, amount.astype(np.float32))
    grain = fractal_noise(rng, shape, cells=side // 3, octaves=1)
    sandiness = float(rng.uniform(0.3, 2.2))
    sand = np.clip(grain + 0.8 * large - sandiness, 0.0, 1.0)
    scene = mix(scene, vary(rng, 172, 160, 148, spread=10.0), (0.8 * sand).astype(np.float32))
    scene = _perlite(scene, rng)
    shade = relief(np.asarray(2.6 * crumbs + 1.0 * grain, dtype=np.float32), towards_light)
    return np.asarray(scene * np.clip(1.0 + 1.1 * shade, 0.25, 2.4)[..., None], dtype=np.float32)


def _perlite(scene: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Strew pale and ochre bits over the soil."""
    side = scene.shape[0]
    for colour, count in (
        (rgb(206, 200, 188), int(rng.integers(10, 70))),
        (rgb(172, 118, 62), int(rng.integers(5, 45))),
    ):
        canvas = np.zeros((side, side), dtype=np.uint8)
        for _ in range(count):
            x, y = (int(value) for value in rng.uniform(0, side * 16, 2))
            size = side * 16 * float(rng.lognormal(np.log(0.0035), 0.4))
            axes = (max(8, int(size)), max(8, int(size * rng.uniform(0.5, 1.0))))
            cv2.ellipse(canvas, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA, 4)
        scene = mix(scene, colour, np.asarray(canvas * np.float32(0.85 / 255.0), dtype=np.float32))
    return scene
