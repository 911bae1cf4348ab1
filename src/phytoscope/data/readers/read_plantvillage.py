"""PlantVillage's layout: which photographs show the same leaf.

Published leaf map and naming: Mohanty et al. 2016, doi 10.3389/fpls.2016.01419.
"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.data.readers.read_folder import read_folder
from phytoscope.data.source import Source, find_folder
from phytoscope.errors import DataValidationError
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, SAMPLE_ID
from phytoscope.storage.reading import read_place

LEAF_MAP_NAME = "leaf-map.json"
# Photo numbers run leaf after leaf, about seven photographs a leaf: a larger hole means another leaf.
_LARGEST_GAP_IN_A_LEAF = 10
# A run without a hole is cut into blocks of about this many numbers, so that one leaf in seven blocks at most is torn.
_LARGEST_BLOCK = 50
_NUMBER = re.compile(r"^(?P<series>.*?)\s*(?P<number>\d+)\s*(?:copy\s*\d*|\(\d+\)|_\d+)?\s*$", re.IGNORECASE)


def read_plantvillage(config: DataConfig) -> Source:
    """Reads class folders named `Crop___Disease` and finds the leaf of each photograph.

    A photograph's leaf comes from `leaf-map.json` in the root where the file and the entry exist, else from its photo
    number: numbers of one class and photographer that lie close together are one block.

    Args:
        config: `root` is read; a `group_pattern` is used instead of leaf map and photo numbers.

    Raises:
        ConfigError: `root` is missing, or `group_pattern` does not fit.
        DataNotFoundError: The folder does not exist or holds no class folder.
        DataValidationError: `leaf-map.json` is not in the official format, or the folder is already split.
    """
    source = read_folder(config)
    if config.group_pattern is not None:
        return source
    rows = source.rows
    leaf_map = _read_leaf_map(find_folder(config.root, "data.root") / LEAF_MAP_NAME)
    from_map = [
        _mapped_leaf(leaf_map, sample_id, label) for sample_id, label in zip(rows[SAMPLE_ID], rows[LABEL], strict=True)
    ]
    rows[GROUP_ID] = pd.Series(from_map, index=rows.index, dtype=object)
    missing = rows[GROUP_ID].isna()
    rows.loc[missing, GROUP_ID] = group_by_photo_number(rows.loc[missing])
    return source


def photo_tag(sample_id: str) -> str:
    """The part of a photograph's name after `___`, without extension, lower case: `jr_frge.s 2828`."""
    stem = sample_id.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return stem.split("___")[-1].strip().lower()


def group_by_photo_number(rows: pd.DataFrame) -> pd.Series:
    """Groups photographs of one class and photographer whose numbers lie close together.

    Args:
        rows: Columns `sample_id` and `label`.

    Returns:
        A group id per row; None where the name holds no number.
    """
    matches = [_NUMBER.match(photo_tag(sample_id)) for sample_id in rows[SAMPLE_ID]]
    table = pd.DataFrame(
        {
            "series": [match["series"] if match else None for match in matches],
            "number": [int(match["number"]) if match else -1 for match in matches],
            "label": rows[LABEL].to_numpy(),
        },
        index=rows.index,
    )
    groups = pd.Series([None] * len(rows), index=rows.index, dtype=object)
    for (label, series), part in table.dropna(subset=["series"]).groupby(["label", "series"], sort=True):
        numbers = part["number"].sort_values(kind="stable")
        blocks = _blocks(numbers.to_numpy())
        groups.loc[numbers.index] = [f"{label}/{series}/{block}" for block in blocks]
    return groups


def _blocks(numbers: np.ndarray) -> list[int]:
    # Each block is named after its first number, so that the name does not depend on what else is there.
    names: list[int] = []
    start = 0
    for stop in range(1, len(numbers) + 1):
        if stop == len(numbers) or numbers[stop] - numbers[stop - 1] > _LARGEST_GAP_IN_A_LEAF:
            names += _cut(numbers[start:stop])
            start = stop
    return names


def _cut(run: np.ndarray) -> list[int]:
    if run[-1] - run[0] < _LARGEST_BLOCK:
        return [int(run[0])] * len(run)
    # The widest hole of the middle half is the likeliest border between two leaves.
    quarter = max(1, len(run) // 4)
    holes = np.diff(run)[quarter - 1 : len(run) - quarter]
    cut = quarter + int(holes.argmax()) if holes.size else len(run) // 2
    return _cut(run[:cut]) + _cut(run[cut:])


def _mapped_leaf(leaf_map: dict[str, list[str]], sample_id: str, label: str) -> str | None:
    entries = leaf_map.get(photo_tag(sample_id), [])
    # Two photographers used the same tag in different classes; the entry of this class is the right one.
    own = [entry for entry in entries if entry.partition(":::")[0] == label]
    return own[0] if own else None


def _read_leaf_map(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(read_place(path).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        message = f"{str(path)!r} is not JSON ({error}): fetch it again, or remove it to group by photo numbers."
        raise DataValidationError(message) from error
    fits = isinstance(content, dict) and all(
        isinstance(entries, list) and all(isinstance(entry, str) and ":::" in entry for entry in entries)
        for entries in content.values()
    )
    if not fits:
        message = f"{str(path)!r} is not a leaf map: expected photo tag -> list of 'class:::leaf number'."
        raise DataValidationError(message)
    # The official tags are lower case; a map made by hand may not be.
    return {tag.lower(): entries for tag, entries in content.items()}
