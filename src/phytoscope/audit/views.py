"""Parts of the evidence that should not give the answer away, as numbers for a small model."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.audit.cross_validation import Floats
from phytoscope.audit.evidence import ProbeData
from phytoscope.schema.image_facts import (
    CAMERA,
    CHANNELS,
    EXIF_ORIENTATION,
    EXIF_TIME,
    FORMAT,
    SIZE_BYTES,
    THUMBNAIL_PX,
)
from phytoscope.schema.table import HEIGHT_PX, WIDTH_PX

Thumbnails = NDArray[np.uint8]
Masks = NDArray[np.bool_]

_MOST_VALUES = 40
_BLOCK = 2048
_GRID = 4
_MOST_FITTED, _FITS = 1000, 12
_SMALLEST_BACKGROUND = 0.05
_LEAST_GREEN = 12
"""Excess green (of 510) below which nothing counts as plant: the noise of a grey picture has an Otsu threshold too."""


def ring_of(thumbnails: Thumbnails) -> Floats:
    """Outermost pixels, shape (N, 372), 0-255, of thumbnails (N, 32, 32, 3)."""
    return thumbnails[:, _ring_mask()].reshape(len(thumbnails), -1).astype(float)


def corner_of(thumbnails: Thumbnails, *, bottom: bool, left: bool, side: int = 8) -> Floats:
    """Pixels of one corner, shape (N, side * side * 3), 0-255, of thumbnails (N, 32, 32, 3)."""
    rows = slice(-side, None) if bottom else slice(0, side)
    columns = slice(0, side) if left else slice(-side, None)
    return thumbnails[:, rows, columns].reshape(len(thumbnails), -1).astype(float)


def colours_of(thumbnails: Thumbnails) -> Floats:
    """Colours without their places, shape (N, 85), of thumbnails (N, 32, 32, 3).

    Mean, standard deviation and five quantiles of each channel (0-1), and roots of the shares of 64 colours.
    """
    blocks = [_colours(thumbnails[at : at + _BLOCK]) for at in range(0, len(thumbnails), _BLOCK)]
    return np.concatenate(blocks)


def _colours(thumbnails: Thumbnails) -> Floats:
    pixels = thumbnails.reshape(len(thumbnails), -1, 3)
    values = pixels.astype(np.float32) / 255
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1).transpose(1, 0, 2).reshape(len(pixels), -1)
    bins = (pixels // 64).astype(np.int64) @ np.array([16, 4, 1])
    counts = np.zeros((len(pixels), 64))
    np.add.at(counts, (np.arange(len(pixels))[:, None], bins), 1.0 / pixels.shape[1])
    return np.concatenate([values.mean(axis=1), values.std(axis=1), quantiles, np.sqrt(counts)], axis=1).astype(float)


def find_plants(thumbnails: Thumbnails) -> Masks:
    """Pixels that may belong to the plant, shape (N, 32, 32), of thumbnails (N, 32, 32, 3), generously drawn.

    Excess green 2g - r - b (Woebbecke et al. 1995, doi 10.13031/2013.27838) above Otsu's threshold (1979, doi
    10.1109/TSMC.1979.4310076), what lies between such pixels both across and down (lesions are not green), and two
    pixels around.
    """
    blocks = [_find_plants(thumbnails[at : at + _BLOCK]) for at in range(0, len(thumbnails), _BLOCK)]
    return np.concatenate(blocks)


def _find_plants(thumbnails: Thumbnails) -> Masks:
    red, green, blue = (thumbnails[..., channel].astype(np.int64) for channel in range(3))
    excess = np.clip(2 * green - red - blue, 0, 255)
    mask = excess > np.maximum(_otsu(excess), _LEAST_GREEN)[:, None, None]
    before = [np.logical_or.accumulate(mask, axis=axis) for axis in (1, 2)]
    after = [np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis) for axis in (1, 2)]
    mask = before[0] & before[1] & after[0] & after[1]
    for _ in range(2):
        padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
        down = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
        mask = down[:, :, :-2] | down[:, :, 1:-1] | down[:, :, 2:]
    return mask


def _otsu(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Threshold of each picture (N, H, W) with values 0-255, shape (N,): above it is the brighter class."""
    n = len(values)
    flat = values.reshape(n, -1)
    histogram = np.bincount((np.arange(n)[:, None] * 256 + flat).ravel(), minlength=n * 256).reshape(n, 256)
    weight = histogram.cumsum(axis=1) / flat.shape[1]
    mass = (histogram * np.arange(256)).cumsum(axis=1) / flat.shape[1]
    between = np.square(mass[:, -1:] * weight - mass) / np.maximum(weight * (1 - weight), 1e-12)
    return np.asarray(np.argmax(between, axis=1), dtype=np.int64)


def backgrounds_of(thumbnails: Thumbnails, plants: Masks) -> tuple[Floats, NDArray[np.bool_]]:
    """Background alone, told so that the shape of the hole does not show.

    Every background pixel is compared with what is usual at its place: where the camera stands still and the pot is
    darker than its rim, a larger plant would otherwise show by what it hides. Each of 4 x 4 cells is the weighted mean
    of these differences, the weights falling off so slowly that a cell without any background takes its neighbours'
    colour. There are no sharper details, and no counts.

    Args:
        thumbnails: Shape (N, 32, 32, 3), uint8.
        plants: What to erase, shape (N, 32, 32).

    Returns:
        Features, shape (N, 48), differences of 0-255, and which pictures have a background at all, shape (N,); the
        others' features are 0.
    """
    n, places = len(thumbnails), THUMBNAIL_PX**2
    pixels, kept = thumbnails.reshape(n, places, 3), ~plants.reshape(n, places)
    seen = kept.mean(axis=1) >= _SMALLEST_BACKGROUND
    usual = _usual_background(pixels[seen], kept[seen])
    features = np.zeros((n, _GRID * _GRID * 3))
    near = _nearness()
    for at in range(0, n, _BLOCK):
        rows = np.flatnonzero(seen[at : at + _BLOCK]) + at
        weights = kept[rows] @ near
        differences = (pixels[rows] - usual) * kept[rows][..., None]
        cells = np.einsum("npc,pg->ngc", differences, near, optimize=True) / weights[..., None]
        features[rows] = cells.reshape(len(rows), -1)
    return features, seen


def _usual_background(pixels: Thumbnails, kept: Masks) -> Floats:
    """What each place adds to the level of a picture's background, shape (1024, 3).

    Level and place are told apart by fitting both in turn: the mean at a place alone would differ between places that
    are hidden in other pictures, and the mean of a picture between pictures that hide other places.
    """
    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), _MOST_FITTED)).astype(int)
    shown = kept[chosen][..., None].astype(np.float32)
    values = pixels[chosen] * shown
    usual = np.zeros((1, *pixels.shape[1:]), dtype=np.float32)
    per_place, per_picture = (np.maximum(shown.sum(axis=axis, keepdims=True), 1) for axis in (0, 1))
    for _ in range(_FITS):
        level = (values - usual * shown).sum(axis=1, keepdims=True) / per_picture
        usual = (values - level * shown).sum(axis=0, keepdims=True) / per_place
    return np.asarray(usual[0], dtype=np.float64)


def _nearness() -> Floats:
    """Weight of each of the thumbnail's pixels in each cell, shape (1024, 16)."""
    centres = (np.arange(_GRID) + 0.5) * THUMBNAIL_PX / _GRID
    along = np.exp(-np.square((np.arange(THUMBNAIL_PX) + 0.5)[:, None] - centres) / (2 * (THUMBNAIL_PX / 6) ** 2))
    return np.asarray(np.einsum("yg,xh->yxgh", along, along).reshape(THUMBNAIL_PX**2, _GRID**2), dtype=np.float64)


def share_of_plant_at_border(plants: Masks) -> float:
    """Share of the border's pixels that may belong to the plant, 0-1; plants (N, 32, 32)."""
    return float(plants[:, _ring_mask()].mean())


def _ring_mask() -> NDArray[np.bool_]:
    mask = np.ones((THUMBNAIL_PX, THUMBNAIL_PX), dtype=bool)
    mask[1:-1, 1:-1] = False
    return mask


def metadata_of(data: ProbeData) -> dict[str, Floats]:
    """What the files say without their pixels: kind of information -> columns, shape (N, D); kinds that vary only.

    Neither names of files nor their time of change are among them: no model is shown names, and times of change tell
    when a file was copied.
    """
    size, width, height = (data.column(name).astype(float) for name in (SIZE_BYTES, WIDTH_PX, HEIGHT_PX))
    kinds = {
        "the size in bytes": [rank_of(size), rank_of(size / (width * height))],
        "the size in pixels": [rank_of(width), rank_of(height), rank_of(width / height), rank_of(width * height)],
        "the camera's record": [
            times_of(data.column(EXIF_TIME)),
            one_hot(data.column(EXIF_ORIENTATION)),
            one_hot(data.column(CAMERA)),
        ],
        "the file format": [one_hot(data.column(FORMAT)), one_hot(data.column(CHANNELS))],
        "the columns that say when and where it was taken": [
            *(times_of(data.rows[name]) for name in data.roles.times),
            *(one_hot(data.rows[name]) for name in data.roles.tags),
        ],
    }
    joined = {name: np.concatenate(parts, axis=1) for name, parts in kinds.items() if parts}
    return {name: values for name, values in joined.items() if np.ptp(values, axis=0).any()}


def rank_of(values: pd.Series) -> Floats:
    """Rank of each number (0-1) and whether it is missing, shape (N, 2): no outlier, no unit."""
    missing = values.isna().to_numpy(dtype=float)
    return np.column_stack([values.rank(pct=True).fillna(0.5).to_numpy(dtype=float), missing])


def times_of(values: pd.Series) -> Floats:
    """Rank of each time and its hour, shape (N, 4); text that is no time becomes one column a value."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() < values.notna().sum():
        stamps = pd.to_datetime(values.astype("string"), errors="coerce", format="ISO8601", utc=True)
        if stamps.notna().sum() < values.notna().sum():
            return one_hot(values)
    else:
        stamps = pd.to_datetime(numbers, unit="s", errors="coerce", utc=True)
    hours = stamps.dt.hour + stamps.dt.minute / 60
    seconds = (stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.concatenate([rank_of(seconds if stamps.notna().any() else numbers), rank_of(hours)], axis=1)


def one_hot(values: pd.Series) -> Floats:
    """One column for each of the most frequent values, shape (N, at most 40), 1 where the image has it."""
    texts = values.astype(object).where(values.notna(), "").astype(str)
    names = texts.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
    return np.column_stack([(texts == name).to_numpy(dtype=float) for name in names[:_MOST_VALUES]])
