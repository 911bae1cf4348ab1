"""Reads further sets, of which nothing was seen in training: class folders, loose images, or a table."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.configs.external import EXTERNAL, split_external
from phytoscope.data.readers.read_folder import read_folder
from phytoscope.data.readers.read_labels import find_image_column, read_labels
from phytoscope.data.readers.read_plantvillage import LEAF_MAP_NAME, read_plantvillage
from phytoscope.data.readers.read_table import TABLE_SUFFIXES, find_column, read_table
from phytoscope.data.readers.spellings import find_codes
from phytoscope.data.readers.split_names import is_split_name
from phytoscope.data.readers.units import is_amount
from phytoscope.data.source import Source, find_file, find_folder
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, TARGET, Task
from phytoscope.transforms.decode import IMAGE_SUFFIXES

_LABEL_COLUMNS = ("label", "class", "disease")
"""Columns that may hold the class where the model learned from folders, which have no name for it."""
_IMAGE_FOLDERS = ("images", "images_med_res")
_LOOKED_AT = 200


@dataclass(frozen=True)
class ExternalSet:
    """A further set as read; no image was opened yet.

    Attributes:
        name: What the user calls it.
        place: Folder or table it was read from.
        rows: One row an image: `sample_id`, `path`, `group_id` (None where nothing says which images belong together),
            `label` (the set's own name of the class, or None) or `target` (NaN where unknown), and the user's other
            columns as `meta/<name>`.
        n_unusable: Files and rows that could not be used.
        unit: Unit of the target as its column's name gives it; may be empty.
        remarks: What a reader of the numbers should know, in sentences.
    """

    name: str
    place: Path
    rows: pd.DataFrame
    n_unusable: int = 0
    unit: str = ""
    remarks: list[str] = field(default_factory=list)


def read_external_sets(config: RunConfig) -> list[ExternalSet]:
    """Reads all further sets that the settings name.

    Args:
        config: `evaluate.external` is read, and from `data` what the columns mean.

    Raises:
        ConfigError: An entry cannot be read, or a set measures in another unit.
        DataNotFoundError: A folder or table does not exist or holds no image.
        DataValidationError: A table cannot be read, or a folder is split into train and test.
    """
    sets = split_external(config.evaluate.external)
    return [read_external_set(name, place, config.data) for name, place in sets.items()]


def read_external_set(name: str, place: str, config: DataConfig) -> ExternalSet:
    """Reads one further set; see `read_external_sets`.

    Args:
        name: What the user calls it.
        place: A folder of class folders, a folder of images, or a table with the columns of the training data.
        config: What the columns mean.

    Raises:
        ConfigError: The table measures in another unit.
        DataNotFoundError: The folder or table does not exist or holds no image.
        DataValidationError: The table cannot be read, or the folder is split into train and test.
    """
    key = f"{EXTERNAL} {name}"
    is_table = Path(place).suffix.lower() in TABLE_SUFFIXES and not Path(place).expanduser().is_dir()
    if is_table:
        found = _read_table_set(name, find_file(place, key), config)
    else:
        found = _read_folder_set(name, find_folder(place, key), config)
    repeated = found.rows[SAMPLE_ID].duplicated()
    if repeated.any():
        remark = f"{int(repeated.sum())} rows name an image again; the first row of each image counts."
        found = dataclasses.replace(
            found,
            rows=found.rows[~repeated].reset_index(drop=True),
            n_unusable=found.n_unusable + int(repeated.sum()),
            remarks=[*found.remarks, remark],
        )
    if found.rows.empty:
        message = (
            f"{key}: no image found in {str(found.place)!r}; known extensions: {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
        raise DataNotFoundError(message)
    return found


def list_loose_images(root: Path) -> pd.DataFrame:
    """All images of a folder at any depth, without labels, as rows of an `ExternalSet`.

    Args:
        root: The folder.
    """
    paths = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        paths += [Path(parent, file) for file in sorted(names) if not file.startswith(".")]
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    ids = [path.relative_to(root).as_posix() for path in images]
    rows = pd.DataFrame({SAMPLE_ID: ids, PATH: [str(path) for path in images]}, dtype=object)
    return rows.assign(**{GROUP_ID: None, LABEL: None})


def _read_folder_set(name: str, root: Path, config: DataConfig) -> ExternalSet:
    folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if config.task is Task.regression or not folders:
        return ExternalSet(name, root, list_loose_images(root))
    if all(map(is_split_name, folders)):
        message = (
            f"{EXTERNAL} {name}: {str(root)!r} is split into {', '.join(sorted(folders))}: name one of these folders, "
            f"for example {name}={root / sorted(folders)[0]}."
        )
        raise DataValidationError(message)
    # A set that nobody saw in training needs no split, but images of one leaf say less than images of many.
    reader = read_plantvillage if (root / LEAF_MAP_NAME).is_file() else read_folder
    wanted = DataConfig(kind=DataKind.folder, root=str(root), group_pattern=config.group_pattern)
    source = _read_grouped(reader, wanted)
    return ExternalSet(name, root, source.rows, len(source.faults))


def _read_grouped(reader: Callable[[DataConfig], Source], config: DataConfig) -> Source:
    # The pattern was written for the names of the training images; those of another place may be built otherwise.
    try:
        return reader(config)
    except ConfigError:
        if config.group_pattern is None:
            raise
        return reader(dataclasses.replace(config, group_pattern=None))


def _read_table_set(name: str, path: Path, config: DataConfig) -> ExternalSet:
    table = read_table(path)
    image_column = find_image_column(table, config.image_column if config.image_column in table else None)
    answer, remarks = _find_answer(table, config)
    is_regression = config.task is Task.regression
    groups = [column for column in config.group_by if _has_column(table, column)]
    wanted = DataConfig(
        kind=DataKind.table,
        table=str(path),
        images=str(find_image_folder(table, image_column, path, config)),
        image_column=image_column,
        target=answer if is_regression else None,
        # Where no column says what is right, any will do to have the rows read; it is emptied again below.
        label=None if is_regression and answer is not None else answer or image_column,
        unit=config.unit,
        group_by=groups if len(groups) == len(config.group_by) else [],
        group_pattern=None if groups else config.group_pattern,
    )
    source = _read_grouped(read_labels, wanted)
    rows = source.rows
    if answer is None:
        rows = rows.drop(columns=LABEL).assign(
            **{TARGET if is_regression else LABEL: np.nan if is_regression else None}
        )
    elif is_regression:
        values, dropped = _clean_targets(rows[TARGET].to_numpy(dtype=float), answer, source.unit, config)
        rows = rows.assign(**{TARGET: values})
        remarks += dropped
    return ExternalSet(name, path, rows, len(source.faults), source.unit, remarks)


def _find_answer(table: pd.DataFrame, config: DataConfig) -> tuple[str | None, list[str]]:
    name = config.target if config.task is Task.regression else config.label
    key = "data.target" if config.task is Task.regression else "data.label"
    if name is None:
        return next((column for column in _LABEL_COLUMNS if _has_column(table, column)), None), []
    try:
        return find_column(table, name, key), []
    except ConfigError as error:
        return None, [f"Only verdicts are counted, as nothing says what is right: {error}"]


def _has_column(table: pd.DataFrame, name: str) -> bool:
    try:
        find_column(table, name, EXTERNAL)
    except ConfigError:
        return False
    return True


def find_image_folder(table: pd.DataFrame, column: str, path: Path, config: DataConfig) -> Path:
    """Finds the folder that the image names of a table are relative to.

    Args:
        table: What `read_table` gave.
        column: Its column of image names.
        path: The table's file.
        config: `images` is looked at too.
    """
    # Names are relative to the table or to a folder beside it that is called as people call such folders.
    folders = [path.parent, *(path.parent / name for name in _IMAGE_FOLDERS)]
    if config.images is not None:
        folders += [path.parent / Path(config.images).name, Path(config.images)]
    names = [str(name).strip().replace("\\", "/") for name in table[column].dropna().head(_LOOKED_AT)]
    found = {folder: sum((folder / name).is_file() for name in names) for folder in folders if folder.is_dir()}
    return max(found, key=lambda folder: found[folder])


def _clean_targets(values: np.ndarray, name: str, unit: str, config: DataConfig) -> tuple[np.ndarray, list[str]]:
    """Makes targets missing that cannot be right, as the training data had them."""
    wrong = find_codes(values)
    if config.target_min is not None:
        wrong |= values < config.target_min
    elif is_amount(name, config.unit or unit):
        wrong |= values < 0
    if config.target_max is not None:
        wrong |= values > config.target_max
    if not wrong.any():
        return values, []
    remark = (
        f"{int(wrong.sum())} values of {name!r} cannot be right (codes for nothing, or out of range) and are left out."
    )
    return np.where(wrong, np.nan, values), [remark]
