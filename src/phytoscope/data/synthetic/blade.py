"""One drawn leaf, laid out straight: outline, veins, colour and relief."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from phytoscope.data.synthetic.drawing import FloatImage, fractal_noise, mix, vary

__all__ = ["Blade", "LeafShape", "draw_blade", "sample_shape"]

_SUBPIXEL_BITS = 4
_TIP_MARGIN = 0.07
_STALK_ROOM = 0.42
_OUTLINE_POINTS = 700


@dataclass(frozen=True)
class LeafShape:
    """Outline and vein pattern of one leaf, in units of the blade's length.

    Attributes:
        half_width: Half width of the blade at its widest.
        base_power: Small values give a broad, round base.
        tip_power: Large values give a long drawn-out tip.
        teeth: Teeth along each margin.
        tooth_depth: Depth of the teeth.
        lobes: Lobes along each margin.
        lobe_depth: Depth of the lobes as a fraction of the half width.
        vein_pairs: Pairs of side veins.
        vein_slope: Rise of a side vein towards the tip per unit of width.
        bend: Sideways bend of the midrib at the tip.
        stalk: Length of the stalk.
    """

    half_width: float
    base_power: float
    tip_power: float
    teeth: int
    tooth_depth: float
    lobes: int
    lobe_depth: float
    vein_pairs: int
    vein_slope: float
    bend: float
    stalk: float


@dataclass(frozen=True)
class Blade:
    """A leaf laid out straight, tip up, ready for lesions and for the camera.

    Attributes:
        albedo: Reflectance of shape (H, W, 3), float32, linear RGB, defined beyond the outline too.
        alpha: Coverage of shape (H, W), float32, 0-1.
        height_px: Relief of shape (H, W), float32, in pixels.
        gloss: Shininess of shape (H, W), float32, 0-1.
        along: Position along the midrib of shape (H, W): 0 at the base of the blade, 1 at its tip.
        across: Position across the midrib of shape (H, W), in blade lengths, positive to the right.
        margin_px: Distance from the outline of shape (H, W), float32, in pixels, 0 outside.
        veins: Vein pattern of shape (H, W), float32, 0-1.
        length_px: Length of the blade in pixels.
        shape: The leaf's geometry.
    """

    albedo: FloatImage
    alpha: FloatImage
    height_px: FloatImage
    gloss: FloatImage
    along: FloatImage
    across: FloatImage
    margin_px: FloatImage
    veins: FloatImage
    length_px: float
    shape: LeafShape


def sample_shape(rng: np.random.Generator) -> LeafShape:
    """Draw the shape of a leaf at random.

    Args:
        rng: Source of randomness.

    Returns:
        Shape between narrow and round, toothed or smooth, now and then lobed.
    """
    lobed = rng.random() < 0.3
    return LeafShape(
        half_width=float(rng.uniform(0.25, 0.40)),
        base_power=float(rng.uniform(0.42, 0.75)),
        tip_power=float(rng.uniform(0.62, 1.05)),
        teeth=int(rng.integers(18, 46)),
        tooth_depth=float(rng.uniform(0.0, 0.022) if lobed else rng.uniform(0.006, 0.024)),
        lobes=int(rng.integers(3, 6)),
        lobe_depth=float(rng.uniform(0.18, 0.42) if lobed else rng.uniform(0.0, 0.05)),
        vein_pairs=int(rng.integers(5, 10)),
        vein_slope=float(rng.uniform(0.55, 1.1)),
        bend=float(rng.normal(0.0, 0.07)),
        stalk=float(rng.uniform(0.10, 0.36)),
    )


def draw_blade(shape: LeafShape, rng: np.random.Generator, *, length_px: float) -> Blade:
    """Draw a healthy leaf.

    Args:
        shape: The leaf's geometry.
        rng: Source of the leaf's colour and small irregularities.
        length_px: Length of the blade in pixels.

    Returns:
        The leaf, laid out straight.
    """
    rows, columns = int(length_px * (1 + _TIP_MARGIN + _STALK_ROOM)), int(length_px * (2 * shape.half_width + 0.22))
    base_row, middle = length_px * (1 + _TIP_MARGIN), columns / 2
    along = np.repeat(((base_row - np.arange(rows)) / length_px).astype(np.float32)[:, None], columns, axis=1)
    across = np.repeat(((np.arange(columns) - middle) / length_px).astype(np.float32)[None, :], rows, axis=0)
    frame = _Frame(rows, columns, base_row, middle, length_px)
    left, right = _half_widths(shape, rng), _half_widths(shape, rng)
    outline = _fill(frame, _outline(left, right))
    stalk = _fill(frame, _stalk_outline(shape))
    midrib, side_veins, net = _draw_veins(frame, shape, (left, right), rng)
    alpha = np.maximum(outline, stalk)
    margin_px = np.asarray(cv2.distanceTransform((outline > 0.5).astype(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)
    veins = np.clip(np.maximum(midrib, 0.75 * side_veins) + 0.16 * net, 0.0, 1.0) * outline
    albedo = _paint(frame, rng, margin_px=margin_px, veins=veins, along=along)
    stalk_colour = vary(rng, 148, 158, 92, spread=16.0)
    rib = np.maximum(stalk * (1.0 - outline), 0.75 * midrib)
    albedo = mix(albedo, np.asarray(stalk_colour * rng.uniform(0.6, 1.0), dtype=np.float32), rib)
    height = _raise(frame, rng, (midrib, side_veins, net), across=across, stalk=stalk * (1.0 - outline))
    gloss = np.full((rows, columns), rng.uniform(0.15, 1.0), dtype=np.float32)
    return Blade(albedo, alpha, height, gloss, along, across, margin_px, veins, length_px, shape)


@dataclass(frozen=True)
class _Frame:
    """Where the straight leaf lies on its canvas, in pixels."""

    rows: int
    columns: int
    base_row: float
    middle: float
    length_px: float

    def points(self, along: npt.NDArray[np.float64], across: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Fixed-point pixel coordinates (N, 1, 2) of positions on the leaf."""
        x = self.middle + across * self.length_px
        y = self.base_row - along * self.length_px
        return np.asarray(np.rint(np.stack([x, y], axis=1) * 2**_SUBPIXEL_BITS), dtype=np.int32)[:, None, :]


def _half_widths(shape: LeafShape, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Half width of one side at `_OUTLINE_POINTS` places from base to tip, in blade lengths."""
    along = np.linspace(0.0, 1.0, _OUTLINE_POINTS)
    width = along**shape.base_power * (1.0 - along) ** shape.tip_power
    width *= shape.half_width / width.max()
    wobble = sum(rng.normal(0.0, 0.05 / order) * np.sin(np.pi * order * along) for order in (1, 2, 3, 4, 5))
    lobe_phase = along * shape.lobes + rng.uniform(-0.1, 0.1)
    width *= (1.0 + wobble) * (1.0 - shape.lobe_depth * (0.5 + 0.5 * np.cos(2 * np.pi * lobe_phase)) * (1 - along))
    spacing = along + 0.004 * np.cumsum(rng.normal(0.0, 1.0, _OUTLINE_POINTS)) / np.sqrt(_OUTLINE_POINTS)
    tooth = (shape.teeth * spacing) % 1.0
    # Teeth point towards the tip: a long rise and a short fall.
    saw = np.where(tooth < 0.75, tooth / 0.75, (1.0 - tooth) / 0.25)
    strength = np.interp(along, [0.0, 0.12, 0.85, 1.0], [0.0, 1.0, 1.0, 0.2])
    uneven = np.interp(along, np.linspace(0, 1, 12), rng.uniform(0.5, 1.3, 12))
    return np.asarray(np.clip(width - shape.tooth_depth * strength * uneven * (1.0 - saw), 0.0, None))


def _outline(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Closed outline (N, 2) of (along, across)."""
    along = np.linspace(0.0, 1.0, _OUTLINE_POINTS)
    up = np.stack([along, right], axis=1)
    down = np.stack([along, -left], axis=1)[::-1]
    return np.concatenate([up, down])


def _stalk_outline(shape: LeafShape) -> npt.NDArray[np.float64]:
    """Outline (N, 2) of the stalk: it widens a little at its cut end."""
    along = np.linspace(0.05, -shape.stalk, 40)
    half = np.interp(along, [-shape.stalk, -shape.stalk + 0.04, -0.03, 0.05], [0.016, 0.0105, 0.0085, 0.0075])
    return np.concatenate([np.stack([along, half], axis=1), np.stack([along, -half], axis=1)[::-1]])


def _fill(frame: _Frame, outline: npt.NDArray[np.float64]) -> FloatImage:
    """Coverage of a closed outline, anti-aliased."""
    canvas = np.zeros((frame.rows, frame.columns), dtype=np.uint8)
    cv2.fillPoly(canvas, [frame.points(outline[:, 0], outline[:, 1])], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(canvas / np.float32(255.0), dtype=np.float32)


def _stroke(
    canvas: npt.NDArray[np.uint8], frame: _Frame, path: npt.NDArray[np.float64], thickness: tuple[float, float]
) -> None:
    """Draw a path (N, 2) of (along, across) that tapers from the first to the second thickness in pixels."""
    points = frame.points(path[:, 0], path[:, 1])
    widths = np.linspace(thickness[0], thickness[1], len(path) - 1)
    for index, width in enumerate(widths):
        # Lines thinner than a pixel are drawn fainter: OpenCV knows whole widths only.
        value = int(np.clip(255 * min(width, 1.0), 40, 255))
        segment = points[index : index + 2]
        cv2.polylines(canvas, [segment], False, value, max(1, round(width)), cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_veins(
    frame: _Frame,
    shape: LeafShape,
    sides: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Coverage of the midrib, of the side veins with their branches, and of the fine net between them."""
    midrib_half = np.interp(np.linspace(-0.02, 0.97, 60), [0.0, 0.97], [0.0075, 0.001])
    axis = np.linspace(-0.02, 0.97, 60)
    midrib = _fill(
        frame,
        np.concatenate([np.stack([axis, midrib_half], axis=1), np.stack([axis, -midrib_half], axis=1)[::-1]]),
    )
    canvas = np.zeros((frame.rows, frame.columns), dtype=np.uint8)
    scale = frame.length_px / 430.0
    for sign, widths in zip((-1.0, 1.0), sides, strict=True):
        starts = np.linspace(0.05, 0.86, shape.vein_pairs) + rng.normal(0.0, 0.012, shape.vein_pairs)
        for start in starts:
            path = _side_vein(float(start), sign, widths, shape.vein_slope * rng.uniform(0.85, 1.15))
            _stroke(canvas, frame, path, (2.6 * scale, 0.7 * scale))
            for branch in _branches(path, sign, rng):
                _stroke(canvas, frame, branch, (1.0 * scale, 0.35 * scale))
    return midrib, np.asarray(canvas / np.float32(255.0), dtype=np.float32), _vein_net(frame, rng)


def _side_vein(start: float, sign: float, widths: npt.NDArray[np.float64], slope: float) -> npt.NDArray[np.float64]:
    """Path (N, 2) of a side vein from the midrib almost to the margin, arching towards the tip."""
    axis = np.linspace(0.0, 1.0, len(widths))
    end = min(start + slope * float(np.interp(start, axis, widths)), 0.975)
    reach = 0.93 * float(np.interp(end, axis, widths))
    step = np.linspace(0.0, 1.0, 14)
    return np.stack([start + (end - start) * (0.7 * step + 0.3 * step**2), sign * reach * step], axis=1)


def _branches(path: npt.NDArray[np.float64], sign: float, rng: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Short paths that fork off a side vein, to either side in turn."""
    branches = []
    reach = float(np.abs(path[-1, 1]))
    for number, place in enumerate((4, 6, 8, 10, 11)):
        heading = path[place + 1] - path[place]
        heading = heading / (np.hypot(heading[0], heading[1]) + 1e-9)
        turn = (1 if number % 2 else -1) * rng.uniform(0.6, 1.0) * sign
        cosine, sine = np.cos(turn), np.sin(turn)
        direction = np.array([heading[0] * cosine - heading[1] * sine, heading[0] * sine + heading[1] * cosine])
        step = np.linspace(0.0, reach * rng.uniform(0.2, 0.34), 5)[:, None]
        branches.append(path[place] + direction * step + 0.5 * heading * step**2 / max(reach, 1e-6))
    return branches


def _vein_net(frame: _Frame, rng: np.random.Generator) -> FloatImage:
    """Edges of random cells: the net of the smallest veins."""
    seeds = np.ones((frame.rows, frame.columns), dtype=np.uint8)
    count = 1500
    seeds[rng.integers(0, frame.rows, count), rng.integers(0, frame.columns, count)] = 0
    distance = np.asarray(cv2.distanceTransform(seeds, cv2.DIST_L2, 3), dtype=np.float32)
    # Distance to the nearest cell centre peaks on the borders between cells.
    ridge = distance - np.asarray(cv2.GaussianBlur(distance, (0, 0), frame.length_px / 130.0))
    return np.asarray(np.clip(ridge / (frame.length_px / 300.0), 0.0, 1.0), dtype=np.float32)


def _paint(
    frame: _Frame, rng: np.random.Generator, *, margin_px: FloatImage, veins: FloatImage, along: FloatImage
) -> FloatImage:
    """Reflectance of a healthy blade: green that varies between leaves, over the blade and near the veins."""
    tone = rng.random()
    dark = vary(rng, 44 + 44 * tone, 84 + 46 * tone, 48 - 6 * tone, spread=8.0)
    light = vary(rng, 88 + 60 * tone, 126 + 50 * tone, 74 - 2 * tone, spread=9.0)
    shape = (frame.rows, frame.columns)
    patches = 0.5 + 0.2 * fractal_noise(rng, shape, cells=4, octaves=4, persistence=0.6)
    near_vein = np.asarray(cv2.GaussianBlur(veins, (0, 0), frame.length_px / 45.0), dtype=np.float32)
    amount = np.clip(patches * 0.8 - 0.5 * near_vein * rng.uniform(-0.5, 1.0), 0.0, 1.0)
    albedo = mix(np.broadcast_to(dark, (*shape, 3)), light, amount)
    grain = 1.0 + 0.07 * rng.standard_normal(shape, dtype=np.float32)
    albedo = np.asarray(albedo * grain[..., None], dtype=np.float32)
    vein_colour = np.asarray(light * rng.uniform(1.05, 1.6) + rng.uniform(0.0, 0.06), dtype=np.float32)
    albedo = mix(albedo, vein_colour, np.asarray(veins * rng.uniform(0.35, 0.8), dtype=np.float32))
    if rng.random() < 0.3:
        depth = frame.length_px * rng.uniform(0.02, 0.08)
        ageing = np.exp(-margin_px / depth) * np.clip(0.5 + 0.5 * patches + rng.uniform(-0.5, 0.3) * along, 0.0, 1.0)
        albedo = mix(albedo, vary(rng, 166, 156, 70, spread=11.0), 0.6 * ageing)
    return albedo


def _raise(
    frame: _Frame,
    rng: np.random.Generator,
    veins: tuple[FloatImage, FloatImage, FloatImage],
    *,
    across: FloatImage,
    stalk: FloatImage,
) -> FloatImage:
    """Relief: the blade bulges between its veins, folds along the midrib and waves at large."""
    midrib, side_veins, net = veins
    length = frame.length_px
    free = ((midrib < 0.3) & (side_veins < 0.35)).astype(np.uint8)
    distance = np.asarray(cv2.distanceTransform(free, cv2.DIST_L2, 3), dtype=np.float32)
    bulge = np.asarray(1.0 - np.exp(-distance / (0.022 * length)), dtype=np.float32)
    height = length * rng.uniform(0.004, 0.013) * np.asarray(cv2.GaussianBlur(bulge, (0, 0), length / 260.0))
    height += length * rng.uniform(0.01, 0.03) * fractal_noise(rng, midrib.shape, cells=3, octaves=2)
    height += length * rng.uniform(0.0005, 0.0016) * fractal_noise(rng, midrib.shape, cells=60, octaves=2)
    height += length * rng.uniform(-0.08, 0.2) * np.sqrt(across**2 + 0.0009)
    height -= length * 0.0012 * net
    round_stalk = np.asarray(cv2.GaussianBlur(np.maximum(stalk, 0.5 * midrib), (0, 0), length / 140.0))
    return np.asarray(height + length * 0.02 * round_stalk, dtype=np.float32)
