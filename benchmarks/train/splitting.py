"""The split that all methods share: leaves and photo series kept back for the test, leaves of their own for val.

Classes that the leaf map covers give a fifth of their leaves, drawn at random, to the test. The other classes have
photo numbers only, which run leaf after leaf: there the last fifth goes to the test, so that it holds later series,
and the border never runs through a block of neighbouring numbers. Val is drawn from what is left, by leaf or block.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.data.read import read_source
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, SAMPLE_ID, Split

TABLE_NAME = "split.csv"
_MAPPED = ":::"
"""Stands in the names of leaves that the leaf map gives."""
_NUMBER = re.compile(r"/(\d+)$")


def write_split(data: Path, path: Path, *, test: float = 0.2, val: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Draws the split and writes it as a table that any tool can read.

    Args:
        data: PlantVillage's class folders, with `leaf-map.json`.
        path: CSV file to write.
        test: Share of each class's images that is kept back (0-1).
        val: Share of each class's images that chooses epochs (0-1).
        seed: Seed of the draw.

    Returns:
        Columns `image` (path relative to `data`), `label`, `split` (train, val or test) and `leaf`.
    """
    rows = read_source(DataConfig(kind=DataKind.plantvillage, root=str(data))).rows
    table = pd.DataFrame({"image": rows[SAMPLE_ID], "label": rows[LABEL], "leaf": rows[GROUP_ID]})
    rng = np.random.default_rng(seed)
    parts = [draw_class(part["leaf"], test, val, rng) for _, part in table.groupby("label", sort=True)]
    table["split"] = pd.concat(parts).reindex(table.index)
    table = table[["image", "label", "split", "leaf"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return table


def draw_class(leaves: pd.Series, test: float, val: float, rng: np.random.Generator) -> pd.Series:
    """Deals the leaves of one class.

    Args:
        leaves: Leaf or block of each image.
        test: Share of the images for the test (0-1).
        val: Share of the images for val (0-1).
        rng: Source of the draw.

    Returns:
        `train`, `val` or `test` for each image, with the same index.
    """
    sizes = leaves.value_counts().sort_index()
    shuffled = [str(leaf) for leaf in rng.permutation(sizes.index.to_numpy(dtype=object))]
    has_map = all(_MAPPED in leaf for leaf in shuffled)
    last_first = shuffled if has_map else sorted(shuffled, key=_first_number, reverse=True)
    kept_back = _take(last_first, sizes, test * len(leaves))
    others = [leaf for leaf in shuffled if leaf not in kept_back]
    chooses = _take(others, sizes, val * len(leaves))
    names = {leaf: str(Split.test) for leaf in kept_back} | {leaf: str(Split.val) for leaf in chooses}
    return leaves.map(lambda leaf: names.get(leaf, str(Split.train)))


def _first_number(block: str) -> int:
    found = _NUMBER.search(block)
    return int(found[1]) if found else -1


def _take(order: list[str], sizes: pd.Series, wanted: float) -> set[str]:
    # A leaf is taken when that brings the count nearer to the share that is wanted.
    taken: set[str] = set()
    count = 0
    for leaf in order:
        size = int(sizes[leaf])
        if taken and abs(count + size - wanted) >= abs(count - wanted):
            break
        taken.add(leaf)
        count += size
    return taken
