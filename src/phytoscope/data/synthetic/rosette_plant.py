"""Top views of one drawn rosette plant in its pot, under a fixed camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from phytoscope.data.synthetic.drawing import SUPERSAMPLE, FloatImage, fractal_noise, mix, relief, rgb, vary

__all__ = ["FIELD_OF_VIEW_CM", "LeafPatch", "Plant", "PlantTraits", "draw_plant", "place_plant"]

FIELD_OF_VIEW_CM = 12.0
_GOLDEN_ANGLE = np.deg2rad(137.508)
_LONGEST_LEAF_CM = 5.7
_CONDITION_COLOURS = {
    "control": ((64, 112, 44), (132, 172, 78)),
    "drought": ((78, 98, 58), (138, 150, 92)),
    "salinity": ((84, 118, 48), (158, 170, 74)),
}


@dataclass(frozen=True)
class PlantTraits:
    """What is asked of a plant before it is drawn.

    Attributes:
        target_area_cm2: Projected leaf area to aim at; the drawn plant comes close to it.
        leaves: Number of leaves.
        condition: Key of the growing conditions: control, drought or salinity.
    """

    target_area_cm2: float
    leaves: int
    condition: str


@dataclass(frozen=True)
class LeafPatch:
    """One leaf on the canvas, in a window just large enough for it.

    Attributes:
        window: Rows and columns of the canvas.
        alpha: Coverage of shape (h, w), float32, 0-1.
        albedo: Reflectance of shape (h, w, 3), float32, linear RGB.
        height_px: Relief of shape (h, w), float32, in canvas pixels.
        lift_px: Height above what lies below, in canvas pixels.
    """

    window: tuple[slice, slice]
    alpha: FloatImage
    albedo: FloatImage
    height_px: FloatImage
    lift_px: float


@dataclass(frozen=True)
class Plant:
    """A drawn plant and the truth about it.

    Attributes:
        patches: The leaves, lowest first.
        projected_area_cm2: Area that the plant covers as seen from above.
        small_leaves: Leaves shorter than half the longest.
        big_leaves: The other leaves.
    """

    patches: tuple[LeafPatch, ...]
    projected_area_cm2: float
    small_leaves: int
    big_leaves: int


@dataclass(frozen=True)
class _Habit:
    """What the leaves of one plant share: proportions, in leaf lengths, and colours in linear light."""

    half_width: float
    petiole: float
    tip_power: float
    teeth: float
    dark: FloatImage
    light: FloatImage
    ageing: float


def draw_plant(traits: PlantTraits, rng: np.random.Generator, *, size_px: int) -> Plant:
    """Grow a rosette: leaves in a spiral, the youngest short, upright and in the middle.

    Args:
        traits: Size, number of leaves and growing condition.
        rng: Source of everything that varies between plants.
        size_px: Side of the finished pictures in pixels; they show `FIELD_OF_VIEW_CM`.

    Returns:
        The plant, with the area that its drawing really covers.
    """
    side = SUPERSAMPLE * size_px
    px_per_cm = side / FIELD_OF_VIEW_CM
    habit = _sample_habit(traits.condition, rng)
    lengths = _leaf_lengths(traits, habit, rng)
    roaming = max(0.05, 1.4 - 0.3 * float(lengths.max()))
    centre = side / 2 + np.clip(rng.normal(0.0, 0.45 * roaming, 2), -1.3 * roaming, 1.3 * roaming) * px_per_cm
    start, handedness = float(rng.uniform(0, 2 * np.pi)), float(rng.choice([-1.0, 1.0]))
    patches = []
    for rank, length in enumerate(lengths):
        angle = start + handedness * _GOLDEN_ANGLE * rank + float(rng.normal(0.0, 0.16))
        youth = rank / max(1, len(lengths) - 1)
        patch = _draw_leaf(
            habit, rng, (float(centre[0]), float(centre[1])), angle, float(length) * px_per_cm, youth, side
        )
        if patch is not None:
            patches.append(patch)
    small = int(np.sum(lengths < 0.5 * lengths.max()))
    area = _covered_px(patches, side) / px_per_cm**2
    return Plant(tuple(patches), area, small, len(lengths) - small)


def place_plant(soil: FloatImage, plant: Plant, *, towards_light: tuple[float, float], hardness: float) -> FloatImage:
    """Set a plant into its lit pot: each leaf shades what lies below it.

    Args:
        soil: Lit pot of shape (side, side, 3), float32, linear.
        plant: The plant.
        towards_light: Unit vector in the picture that points to the light.
        hardness: 0 for diffuse light, 1 for a sharp lamp.

    Returns:
        Scene of shape (side, side, 3), float32, linear.
    """
    scene = soil.copy()
    for patch in plant.patches:
        _shade_below(scene, patch, towards_light, hardness)
        slope = relief(patch.height_px, towards_light)
        diffuse = np.clip(1.0 + (0.8 + 0.6 * hardness) * slope, 0.45, 1.7)
        lit = np.asarray(patch.albedo * diffuse[..., None], dtype=np.float32)
        lit += np.asarray(0.5 * hardness * np.clip(slope - 0.12, 0.0, 0.5)[..., None] ** 2, dtype=np.float32)
        scene[patch.window] = mix(scene[patch.window], lit, patch.alpha)
    return scene


def _sample_habit(condition: str, rng: np.random.Generator) -> _Habit:
    """Proportions and colours of one plant; stress makes leaves narrower, duller and older."""
    dark, light = _CONDITION_COLOURS[condition]
    stressed = condition != "control"
    return _Habit(
        half_width=float(rng.uniform(0.13, 0.21) if stressed else rng.uniform(0.15, 0.255)),
        petiole=float(rng.uniform(0.22, 0.48)),
        tip_power=float(rng.uniform(0.40, 0.56)),
        teeth=float(rng.beta(1.0, 2.0)),
        dark=vary(rng, *dark, spread=9.0),
        light=vary(rng, *light, spread=9.0),
        ageing=float(rng.uniform(0.25, 0.8) if stressed else rng.uniform(0.0, 0.35)),
    )


def _leaf_lengths(traits: PlantTraits, habit: _Habit, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Lengths in cm, oldest leaf first, that together cover about the area asked for."""
    youth = np.linspace(0.0, 1.0, traits.leaves)
    # Seed leaves stay small, the next ones are the longest, the youngest have just begun.
    profile = np.interp(youth, [0.0, 0.15, 0.4, 0.7, 1.0], [0.62, 0.85, 1.0, 0.72, 0.24])
    profile = profile * rng.lognormal(0.0, 0.13, traits.leaves)
    area_at_unit_length = float(np.sum(profile**2) * habit.half_width * (1.5 - habit.petiole))
    overlap = 1.0 + 0.022 * traits.leaves
    scale = np.sqrt(traits.target_area_cm2 * overlap / area_at_unit_length)
    return np.asarray(profile * min(scale, _LONGEST_LEAF_CM / float(profile.max())))


def _half_width(habit: _Habit, along: FloatImage, phase: float) -> FloatImage:
    """Half width of stalk and blade at a place along the leaf, in leaf lengths."""
    axis = np.linspace(0.0, 1.0, 240)
    blade = np.clip((axis - habit.petiole) / (1.0 - habit.petiole), 0.0, 1.0)
    profile = blade**0.8 * (1.0 - blade) ** habit.tip_power
    profile = profile / profile.max() * habit.half_width
    teeth = 0.035 * habit.teeth * habit.half_width * (1.0 - np.abs(np.sin(np.pi * 9 * blade + phase)) ** 0.7) * 4
    stalk = np.interp(axis, [0.0, habit.petiole, 0.85, 1.0], [0.028, 0.022, 0.01, 0.0])
    width = np.maximum(profile - teeth * (blade > 0.05), stalk)
    return np.asarray(np.interp(along, axis, width, left=0.0, right=0.0), dtype=np.float32)


def _draw_leaf(
    habit: _Habit,
    rng: np.random.Generator,
    centre: tuple[float, float],
    angle: float,
    length: float,
    youth: float,
    side: int,
) -> LeafPatch | None:
    """One leaf of a length in pixels that points away from the centre; None if it falls outside the canvas."""
    heading = np.array([np.cos(angle), np.sin(angle)])
    tip = np.array(centre) + heading * length
    pad = 1.5 + length * (habit.half_width + 0.08)
    low = np.floor(np.minimum(tip, centre) - pad).astype(int).clip(0, side)
    high = np.ceil(np.maximum(tip, centre) + pad).astype(int).clip(0, side)
    if np.any(high <= low):
        return None
    rows, columns = np.indices((high[1] - low[1], high[0] - low[0]), dtype=np.float32)
    x, y = (columns + low[0] - centre[0]) / length, (rows + low[1] - centre[1]) / length
    along = np.asarray(x * heading[0] + y * heading[1], dtype=np.float32)
    across = y * heading[0] - x * heading[1] - np.float32(rng.normal(0.0, 0.06)) * along**2
    sides = [_half_width(habit, along, float(rng.uniform(0, np.pi))) for _ in range(2)]
    width = np.where(across > 0, sides[0], sides[1])
    alpha = np.clip(0.5 + (width - np.abs(across)) * length, 0.0, 1.0) * (width > 0)
    albedo = _leaf_colour(habit, rng, along, across, youth)
    groove = -0.10 * np.exp(-np.abs(across) / 0.03) + rng.uniform(0.05, 0.45) * np.abs(across)
    arch = -float(rng.uniform(0.1, 0.35)) * np.clip(along - 0.45, 0.0, None) ** 2
    waves = 0.010 * fractal_noise(rng, (along.shape[0], along.shape[1]), cells=5, octaves=3)
    height = np.asarray(length * (0.5 * groove + arch + waves - 0.004 * _side_veins(along, across)), dtype=np.float32)
    window = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    return LeafPatch(window, np.asarray(alpha, dtype=np.float32), albedo, height, (0.03 + 0.05 * youth) * length + 1.5)


def _side_veins(along: FloatImage, across: FloatImage) -> FloatImage:
    """Herringbone of side veins, 1 on a vein."""
    phase = ((along - 0.75 * np.abs(across)) * 11.0) % 1.0
    return np.asarray(np.exp(-((phase - 0.5) ** 2) / 0.012), dtype=np.float32)


def _leaf_colour(
    habit: _Habit, rng: np.random.Generator, along: FloatImage, across: FloatImage, youth: float
) -> FloatImage:
    """Reflectance of a leaf: young ones paler, stressed old ones yellow or brown at the tip."""
    shape = (along.shape[0], along.shape[1])
    mottle = fractal_noise(rng, shape, cells=5, octaves=3, persistence=0.6)
    amount = np.clip(0.30 + 0.35 * youth + 0.16 * mottle + float(rng.normal(0.0, 0.08)), 0.0, 1.0)
    albedo = mix(np.broadcast_to(habit.dark, (*shape, 3)), habit.light, amount.astype(np.float32))
    rib = 0.55 * np.exp(-((across / 0.012) ** 2)) + 0.14 * _side_veins(along, across)
    albedo = mix(albedo, np.asarray(1.25 * habit.light, dtype=np.float32), rib.astype(np.float32))
    stalk = np.clip((habit.petiole + 0.06 - along) / 0.12, 0.0, 1.0)
    albedo = mix(albedo, rgb(128, 142, 84), np.asarray(0.55 * stalk, dtype=np.float32))
    old = habit.ageing * max(0.0, 0.75 - youth) * np.clip((along - 0.72 + 0.08 * mottle) / 0.22, 0.0, 1.0)
    return mix(albedo, rgb(172, 156, 72), np.clip(1.2 * old, 0.0, 0.9).astype(np.float32))


def _covered_px(patches: list[LeafPatch], side: int) -> float:
    """Pixels of the canvas that at least one leaf covers."""
    bare = np.ones((side, side), dtype=np.float32)
    for patch in patches:
        bare[patch.window] *= 1.0 - patch.alpha
    return float(np.sum(1.0 - bare, dtype=np.float64))


def _shade_below(scene: FloatImage, patch: LeafPatch, towards_light: tuple[float, float], hardness: float) -> None:
    """Darken the scene where a leaf stands in the light; changes `scene`."""
    side = scene.shape[0]
    pad = int(patch.lift_px * 2 + 6)
    rows, columns = patch.window
    top, left = max(0, rows.start - pad), max(0, columns.start - pad)
    window = (slice(top, min(side, rows.stop + pad)), slice(left, min(side, columns.stop + pad)))
    canvas = np.zeros((window[0].stop - top, window[1].stop - left), dtype=np.float32)
    canvas[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = patch.alpha
    shift = np.array(
        [[1, 0, -towards_light[0] * patch.lift_px], [0, 1, -towards_light[1] * patch.lift_px]], dtype=np.float32
    )
    cast = cv2.warpAffine(canvas, shift, (canvas.shape[1], canvas.shape[0]))
    cast = np.asarray(cv2.GaussianBlur(cast, (0, 0), 1.2 + patch.lift_px * (0.45 - 0.3 * hardness)), dtype=np.float32)
    scene[window] *= (1.0 - (0.45 + 0.3 * hardness) * cast)[..., None]
