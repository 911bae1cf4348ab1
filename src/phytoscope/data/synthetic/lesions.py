"""Signs of four diseases, and of harmless wear, painted on a drawn leaf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from phytoscope.data.synthetic.blade import Blade
from phytoscope.data.synthetic.drawing import FloatImage, fractal_noise, mix, rgb, vary

__all__ = ["LESIONS", "paint_late_blight", "paint_leaf_spot", "paint_powdery_mildew", "paint_rust", "wear"]


def paint_rust(blade: Blade, rng: np.random.Generator, severity: float) -> Blade:
    """Scatter orange-brown pustules with pale yellow rims.

    Args:
        blade: A healthy leaf.
        rng: Source of randomness.
        severity: 0 mild to 1 severe.

    Returns:
        The leaf with pustules.
    """
    unit = blade.length_px
    count = int(10 + 110 * severity**1.3 * rng.uniform(0.7, 1.2))
    shape = blade.alpha.shape
    rim, body, core = (np.zeros(shape, dtype=np.uint8) for _ in range(3))
    centres = _clustered_places(blade, rng, count, spread=rng.uniform(0.08, 0.3))
    for x, y in centres:
        radius = unit * float(rng.lognormal(np.log(0.0066), 0.35))
        axes = (radius * float(rng.uniform(0.85, 1.3)), radius)
        angle = float(rng.uniform(0, 180))
        _ellipse(rim, (x, y), (axes[0] * 2.3, axes[1] * 2.3), angle)
        _ellipse(body, (x, y), axes, angle)
        _ellipse(core, (x + radius * 0.2, y), (axes[0] * 0.45, axes[1] * 0.45), angle)
    rim_cover = 0.75 * _soft(rim, unit * 0.006) * blade.alpha
    body_cover, core_cover = _soft(body, unit * 0.0016) * blade.alpha, _soft(core, unit * 0.0016) * blade.alpha
    albedo = mix(blade.albedo, vary(rng, 192, 186, 76, spread=7.0), rim_cover)
    albedo = mix(albedo, vary(rng, 190, 98, 34, spread=8.0), 0.94 * body_cover)
    albedo = mix(albedo, vary(rng, 116, 54, 24, spread=6.0), 0.75 * core_cover)
    height = blade.height_px + np.float32(unit * 0.006) * _soft(body, unit * 0.004)
    return replace(blade, albedo=albedo, height_px=height)


def paint_leaf_spot(blade: Blade, rng: np.random.Generator, severity: float) -> Blade:
    """Draw tan and brown target spots, ring within ring, in a yellow halo.

    Args:
        blade: A healthy leaf.
        rng: Source of randomness.
        severity: 0 mild to 1 severe.

    Returns:
        The leaf with spots.
    """
    albedo, height = blade.albedo.copy(), blade.height_px.copy()
    gloss = blade.gloss.copy()
    rings = float(rng.uniform(2.2, 4.2))
    halo_colour = vary(rng, 186, 172, 70, spread=7.0)
    brown = vary(rng, 74, 46, 30, spread=7.0)
    tan = vary(rng, 164, 126, 82, spread=7.0)
    for x, y in _places(blade, rng, int(3 + 15 * severity)):
        radius = blade.length_px * float(np.clip(rng.lognormal(np.log(0.026), 0.45), 0.01, 0.075))
        window, distance = _spot_distance(blade, (x, y), radius, rng)
        if distance.size == 0:
            continue
        cover = blade.alpha[window]
        halo = 0.85 * np.exp(-(np.clip(distance - 0.8, 0.0, None) ** 2) / 0.16) * cover
        inside = _step(1.0 - distance, 0.10) * cover
        ring = 0.5 + 0.5 * np.cos(2 * np.pi * rings * distance)
        rim = np.exp(-((distance - 0.86) ** 2) / 0.018)
        dark = np.clip(0.62 * ring * distance + 0.8 * rim, 0.0, 1.0)
        centre = mix(np.broadcast_to(tan, (*distance.shape, 3)), brown, dark.astype(np.float32))
        patch = mix(albedo[window], halo_colour, halo.astype(np.float32))
        albedo[window] = mix(patch, centre, 0.95 * inside)
        height[window] -= np.asarray(blade.length_px * 0.003 * inside * (1 + 0.6 * ring), dtype=np.float32)
        gloss[window] *= 1.0 - 0.7 * inside
    return replace(blade, albedo=albedo, height_px=height, gloss=gloss)


def paint_powdery_mildew(blade: Blade, rng: np.random.Generator, severity: float) -> Blade:
    """Dust the leaf with soft patches of white felt.

    Args:
        blade: A healthy leaf.
        rng: Source of randomness.
        severity: 0 mild to 1 severe.

    Returns:
        The leaf with felt, duller where it lies.
    """
    shape = blade.alpha.shape
    canvas = np.zeros(shape, dtype=np.uint8)
    for x, y in _places(blade, rng, int(4 + 16 * severity)):
        radius = blade.length_px * float(rng.uniform(0.018, 0.05 + 0.06 * severity))
        _ellipse(canvas, (x, y), (radius * float(rng.uniform(0.8, 1.5)), radius), float(rng.uniform(0, 180)))
    density = _soft(canvas, blade.length_px * 0.028)
    cloud = 0.5 + 0.5 * fractal_noise(rng, shape, cells=14, octaves=5, persistence=0.75)
    felt = np.clip(density * (0.35 + 0.95 * cloud) * (1.0 - 0.45 * blade.veins), 0.0, 1.0)
    threads = 0.8 + 0.25 * fractal_noise(rng, shape, cells=160, octaves=2)
    cover = np.clip(felt * threads * (0.55 + 0.35 * severity), 0.0, 0.92) * blade.alpha
    white = vary(rng, 212, 216, 204, spread=5.0)
    albedo = mix(blade.albedo, rgb(150, 162, 84), np.asarray(0.25 * density * blade.alpha, dtype=np.float32))
    albedo = mix(albedo, white, cover.astype(np.float32))
    return replace(blade, albedo=albedo, gloss=np.asarray(blade.gloss * (1.0 - felt), dtype=np.float32))


def paint_late_blight(blade: Blade, rng: np.random.Generator, severity: float) -> Blade:
    """Let dark, water-soaked areas creep in from the margin.

    Args:
        blade: A healthy leaf.
        rng: Source of randomness.
        severity: 0 mild to 1 severe.

    Returns:
        The leaf with one to three dead areas, shrivelled and pale-rimmed.
    """
    shape = blade.alpha.shape
    rows, columns = np.indices(shape, dtype=np.float32)
    ragged = fractal_noise(rng, shape, cells=6, octaves=6, persistence=0.65)
    depth = np.full(shape, -1.0, dtype=np.float32)
    for number in range(int(rng.integers(1, 3 + round(severity)))):
        x, y = _margin_place(blade, rng)
        radius = blade.length_px * (0.10 + 0.30 * severity * rng.uniform(0.6, 1.1)) * (1.0 if number == 0 else 0.6)
        stretch, angle = float(rng.uniform(0.7, 1.4)), float(rng.uniform(0, np.pi))
        dx, dy = columns - x, rows - y
        turned_x, turned_y = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        distance = np.hypot(turned_x * stretch, turned_y / stretch) / radius
        depth = np.maximum(depth, np.asarray(1.0 - distance + 0.17 * ragged, dtype=np.float32))
    soaked, dead = _step(depth + 0.1, 0.22) * blade.alpha, _step(depth - 0.10, 0.12) * blade.alpha
    pale = np.exp(-((depth + 0.12) ** 2) / 0.02) * blade.alpha
    mottle = np.clip(0.5 + 0.33 * fractal_noise(rng, shape, cells=26, octaves=4, persistence=0.7), 0.0, 1.0)
    brown = vary(rng, 66, 50, 34, spread=6.0)
    dry = vary(rng, 128, 98, 68, spread=9.0)
    albedo = mix(blade.albedo, rgb(158, 170, 92), np.asarray(0.45 * pale, dtype=np.float32))
    albedo = mix(albedo, rgb(52, 60, 32), np.asarray(0.72 * soaked, dtype=np.float32))
    tissue = mix(np.broadcast_to(brown, (*shape, 3)), dry, np.asarray(mottle * np.clip(depth * 1.6, 0, 1)))
    albedo = mix(albedo, tissue, np.asarray(0.93 * dead, dtype=np.float32))
    wrinkles = blade.length_px * 0.005 * dead * fractal_noise(rng, shape, cells=18, octaves=4, persistence=0.6)
    return replace(blade, albedo=albedo, height_px=np.asarray(blade.height_px + wrinkles, dtype=np.float32))


def wear(blade: Blade, rng: np.random.Generator) -> Blade:
    """Add what any leaf may carry, diseased or not: scratches, dust and holes.

    Args:
        blade: A leaf.
        rng: Source of randomness.

    Returns:
        The leaf, a little worn.
    """
    unit = blade.length_px
    scratches, dust, holes, edge = (np.zeros(blade.alpha.shape, dtype=np.uint8) for _ in range(4))
    for x, y in _places(blade, rng, int(rng.integers(0, 5))):
        size = unit * float(rng.uniform(0.004, 0.02))
        _ellipse(scratches, (x, y), (size, size * float(rng.uniform(0.15, 0.5))), float(rng.uniform(0, 180)))
    for x, y in _places(blade, rng, int(rng.integers(0, 14))):
        _ellipse(dust, (x, y), (unit * 0.003, unit * 0.0022), 0.0)
    if rng.random() < 0.25:
        for x, y in _places(blade, rng, int(rng.integers(1, 3))):
            size, angle = unit * float(rng.uniform(0.008, 0.022)), float(rng.uniform(0, 180))
            _ellipse(edge, (x, y), (size * 1.25, size), angle)
            _ellipse(holes, (x, y), (size, size * 0.75), angle)
    albedo = mix(blade.albedo, rgb(104, 80, 46), 0.7 * _soft(scratches, unit * 0.002) * blade.alpha)
    albedo = mix(albedo, rgb(200, 204, 190), 0.6 * _soft(dust, unit * 0.002) * blade.alpha)
    albedo = mix(albedo, rgb(120, 92, 52), 0.8 * _soft(edge, unit * 0.002) * blade.alpha)
    alpha = blade.alpha * (1.0 - holes / np.float32(255.0))
    return replace(blade, albedo=albedo, alpha=np.asarray(alpha, dtype=np.float32))


LESIONS: dict[str, Callable[[Blade, np.random.Generator, float], Blade]] = {
    "rust": paint_rust,
    "leaf_spot": paint_leaf_spot,
    "powdery_mildew": paint_powdery_mildew,
    "late_blight": paint_late_blight,
}


def _places(blade: Blade, rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Pixel positions (x, y) spread over the blade."""
    rows, columns = np.nonzero(blade.margin_px > 0.012 * blade.length_px)
    picks = rng.integers(0, len(rows), count)
    return [(float(columns[pick]), float(rows[pick])) for pick in picks]


def _clustered_places(
    blade: Blade, rng: np.random.Generator, count: int, *, spread: float
) -> list[tuple[float, float]]:
    """Pixel positions (x, y) on the blade that gather around a few centres."""
    centres = _places(blade, rng, 3)
    picks = []
    for x, y in _places(blade, rng, count * 8):
        nearest = min(float(np.hypot(x - cx, y - cy)) for cx, cy in centres) / blade.length_px
        if rng.random() < 0.15 + np.exp(-((nearest / spread) ** 2)):
            picks.append((x, y))
        if len(picks) == count:
            break
    return picks


def _margin_place(blade: Blade, rng: np.random.Generator) -> tuple[float, float]:
    """Pixel position (x, y) on the outline, the stalk's end apart."""
    near = (blade.margin_px > 0) & (blade.margin_px < 0.02 * blade.length_px) & (blade.along > 0.2)
    rows, columns = np.nonzero(near)
    pick = int(rng.integers(0, len(rows)))
    return float(columns[pick]), float(rows[pick])


def _spot_distance(
    blade: Blade, centre: tuple[float, float], radius: float, rng: np.random.Generator
) -> tuple[tuple[slice, slice], FloatImage]:
    """Window around a spot, and in it the distance from the centre, 1 on the spot's irregular edge."""
    reach = int(radius * 2.4) + 2
    top, left = max(0, int(centre[1]) - reach), max(0, int(centre[0]) - reach)
    window = (slice(top, int(centre[1]) + reach + 1), slice(left, int(centre[0]) + reach + 1))
    height, width = blade.alpha[window].shape
    rows, columns = np.indices((height, width), dtype=np.float32)
    dx, dy = columns + left - centre[0], rows + top - centre[1]
    angle = np.arctan2(dy, dx)
    edge = sum(
        float(rng.normal(0.0, 0.13 / order)) * np.sin(order * angle + float(rng.uniform(0, 2 * np.pi)))
        for order in (1, 2, 3, 4, 6)
    )
    return window, np.asarray(np.hypot(dx, dy) / (radius * (1.0 + edge)), dtype=np.float32)


def _ellipse(
    canvas: npt.NDArray[np.uint8], centre: tuple[float, float], axes: tuple[float, float], angle_deg: float
) -> None:
    """Fill an ellipse with sub-pixel position and size."""
    bits = 4
    middle = (round(centre[0] * 2**bits), round(centre[1] * 2**bits))
    radii = (max(1, round(axes[0] * 2**bits)), max(1, round(axes[1] * 2**bits)))
    cv2.ellipse(canvas, middle, radii, angle_deg, 0, 360, 255, -1, cv2.LINE_AA, bits)


def _soft(mask: npt.NDArray[np.uint8], sigma_px: float) -> FloatImage:
    """Coverage 0-1 of a mask with blurred edges."""
    blurred = cv2.GaussianBlur(mask, (0, 0), max(sigma_px, 0.3))
    return np.asarray(blurred / np.float32(255.0), dtype=np.float32)


def _step(field: FloatImage, width: float) -> FloatImage:
    """Smooth step from 0 to 1 as a field rises through 0."""
    ramp = np.clip(field / width + 0.5, 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), dtype=np.float32)
