"""Small pictures for the inspection page: which ones, how many, and how large the page may grow by them."""

import io
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, TARGET
from phytoscope.visualize.gallery import read_thumbnail
from phytoscope.visualize.page import encode_address
from phytoscope.visualize.text import format_quantity

TILE_PX: Final = 128
MAX_PICTURES: Final = 420
MAX_BYTES: Final = 2_000_000
"""Of all pictures as they stand in the page, so that it stays light enough to send by mail."""
_QUALITY = 68
_SHEET_PICTURES = 100
_MAX_PER_CLASS = 8
_MAX_CLASSES = 60
_SIZES_SHOWN = 18


@dataclass(frozen=True)
class Tile:
    """One picture with what stands below it: `caption` is text, `sample_id` names the picture."""

    sample_id: str
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """Pictures that belong together, such as those of one class, under the class's own name."""

    title: str
    tiles: list[Tile]


def load_pictures(manifest: pd.DataFrame, wanted: Sequence[str]) -> dict[str, str]:
    """Reads the pictures that the page shows, several at a time.

    Args:
        manifest: One row per image with `sample_id` and `path`.
        wanted: Sample ids, the most important first; one that is shown twice stands here twice, because it costs the
            page its bytes twice.

    Returns:
        Sample id -> data address of a JPEG of at most `TILE_PX` a side. Those that are unknown, missing, broken, or one
        too many for `MAX_PICTURES` and `MAX_BYTES` are left out.
    """
    uses = Counter(wanted[:MAX_PICTURES])
    rows = manifest.loc[manifest[SAMPLE_ID].isin(list(uses)), [SAMPLE_ID, PATH]].dropna()
    path_of = {str(sample_id): Path(str(path)) for sample_id, path in rows.itertuples(index=False)}
    known = [sample_id for sample_id in uses if sample_id in path_of]
    # Pillow lets other threads work while it decodes.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        addresses = dict(zip(known, pool.map(lambda sample_id: _encode_tile(path_of[sample_id]), known), strict=True))
    left = MAX_BYTES
    shown = {}
    for sample_id, address in addresses.items():
        cost = 0 if address is None else uses[sample_id] * len(address)
        if address is not None and cost <= left:
            shown[sample_id] = address
            left -= cost
    return shown


def _encode_tile(path: Path) -> str | None:
    pixels = read_thumbnail(path, TILE_PX)
    if pixels is None:
        return None
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=_QUALITY, optimize=True)
    return encode_address(content.getvalue(), "jpeg")


def choose_by_class(manifest: pd.DataFrame, labels: Sequence[str]) -> list[Sheet]:
    """Some pictures of each class, from as many groups as possible; the fewer classes, the more of each.

    Args:
        manifest: One row per image with `sample_id`, `label` and `group_id`.
        labels: Classes in the order of the page; those beyond the first 60 are left out.
    """
    shown = list(labels)[:_MAX_CLASSES]
    if not shown:
        return []
    count = int(np.clip(_SHEET_PICTURES // len(shown), 1, _MAX_PER_CLASS))
    wanted = manifest.loc[manifest[LABEL].isin(shown), [SAMPLE_ID, LABEL, GROUP_ID]]
    # As plain objects, because pandas' own texts cannot hold names that are not UTF-8.
    codes, names = pd.factorize(wanted[LABEL].to_numpy(dtype=object))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    places = np.split(order, ends[:-1]) if len(names) else []
    parts = {str(name): wanted.iloc[rows] for name, rows in zip(names, places, strict=True)}
    return [Sheet(label, _choose_spread(parts[label], count)) for label in shown if label in parts]


def _choose_spread(rows: pd.DataFrame, count: int) -> list[Tile]:
    first_of_group = ~rows[GROUP_ID].duplicated()
    ordered = pd.concat([rows[first_of_group], rows[~first_of_group]])
    candidates = rows[first_of_group] if int(first_of_group.sum()) >= count else ordered.head(count)
    return [Tile(str(name)) for name in candidates[SAMPLE_ID].iloc[_spread(len(candidates), count)]]


def choose_by_size(manifest: pd.DataFrame, unit: str) -> list[Tile]:
    """Pictures from the smallest to the largest target, evenly by rank, each with its value.

    Args:
        manifest: One row per image with `sample_id` and `target` (in `unit`).
        unit: The user's unit; may be empty.
    """
    known = manifest.loc[manifest[TARGET].notna(), [SAMPLE_ID, TARGET]].sort_values([TARGET, SAMPLE_ID])
    rows = known.iloc[_spread(len(known), _SIZES_SHOWN)]
    return [Tile(str(name), format_quantity(float(value), unit)) for name, value in rows.itertuples(index=False)]


def _spread(n: int, count: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(np.int64)) if n > 0 else np.zeros(0, np.int64)
