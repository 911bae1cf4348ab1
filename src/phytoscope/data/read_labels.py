"""From a spreadsheet beside a folder of images to source rows: the general table and the farmbot biomass layout."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from phytoscope.data.read_folder import group_by_pattern
from phytoscope.data.read_table import DECIMAL_COMMA, TABLE_SUFFIXES, canonical_text, find_column, read_table, to_number
from phytoscope.data.source import Fault, Source, find_file, find_folder, printable
from phytoscope.errors import ConfigError, DataNotFoundError, suggest
from phytoscope.schema.config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, META_PREFIX, PATH, SAMPLE_ID, SOURCE_ROW, TARGET, Task
from phytoscope.transforms.decode import IMAGE_SUFFIXES

_IMAGE_COLUMNS = (
    "filename",
    "file_name",
    "file",
    "image",
    "image_name",
    "image_path",
    "img",
    "path",
    "photo",
    "picture",
    "bild",
    "dateiname",
)
_FARMBOT_TABLES = ("digital_biomass_labels.xlsx", "digital_biomass_labels.csv")
_FARMBOT_IMAGES = ("images_med_res", "images")


def read_labels(config: DataConfig) -> Source:
    """Reads a table with one row per image.

    Args:
        config: `table`, `images`, `target` or `label`, `group_by`, `image_column`, `group_pattern`.

    Raises:
        ConfigError: A needed setting or a named column is missing, or both `target` and `label` are given.
        DataNotFoundError: The table or the folder does not exist, or the table has no row.
        DataValidationError: The table cannot be read.
    """
    table_path = find_file(config.table, "data.table")
    images = find_folder(config.images, "data.images")
    table = read_table(table_path)
    if (config.target is None) == (config.label is None):
        message = (
            f"data.target={config.target} and data.label={config.label}: give exactly one, data.target=COLUMN for a "
            f"number or data.label=COLUMN for a class. Columns: {', '.join(map(str, table.columns))}."
        )
        raise ConfigError(message)
    image_column = _image_column(table, config.image_column)
    key = "data.target" if config.label is None else "data.label"
    answer = find_column(table, config.target if config.label is None else config.label, key)  # type: ignore[arg-type]
    group_columns = [find_column(table, name, "data.group_by") for name in config.group_by]
    rows, faults = _image_rows(table, image_column, images)
    if config.label is None:
        rows[TARGET], target_faults = _targets(table.loc[rows.index], rows, answer)
        faults += target_faults
    else:
        rows[LABEL] = table.loc[rows.index, answer].map(canonical_text, na_action="ignore").astype(object)
    table = table.loc[rows.index]
    rows[GROUP_ID] = (
        _groups(table, group_columns) if group_columns else group_by_pattern(rows[SAMPLE_ID], config.group_pattern)
    )
    meta = table.drop(columns=[image_column, answer]).rename(columns=lambda name: f"{META_PREFIX}{name}")
    rows = pd.concat([rows, meta.apply(_storable)], axis=1).reset_index(drop=True)
    task = Task.regression if config.label is None else Task.classification
    return Source(rows, task, answer, image_column, faults)


def read_farmbot_biomass(config: DataConfig) -> Source:
    """Reads the farmbot biomass layout: `digital_biomass_labels.xlsx` or its CSV export beside `images_med_res/`.

    Args:
        config: `root` is read; `table` and `images` override what is found there.

    Raises:
        ConfigError: `root` is missing while it is needed, or a column is missing.
        DataNotFoundError: The table or the image folder is not there.
        DataValidationError: The table cannot be read.
    """
    table, images = config.table, config.images
    if table is None or images is None:
        root = find_folder(config.root, "data.root")
        table = table or str(_farmbot_table(root))
        images = images or str(_farmbot_images(root))
    return read_labels(dataclasses.replace(config, table=table, images=images))


def _farmbot_table(root: Path) -> Path:
    named = [root / name for name in _FARMBOT_TABLES if (root / name).is_file()]
    similar = sorted(path for path in root.glob("*digital_biomass_labels*") if path.suffix.lower() in TABLE_SUFFIXES)
    found = [*named, *similar]
    if not found:
        names = [path.name for path in root.iterdir()]
        message = (
            f"data.root: no table {' or '.join(map(repr, _FARMBOT_TABLES))} in {str(root)!r}; "
            f"name it with data.table=FILE ({suggest(_FARMBOT_TABLES[0], names)})"
        )
        raise DataNotFoundError(message)
    return found[0]


def _farmbot_images(root: Path) -> Path:
    for name in _FARMBOT_IMAGES:
        if (root / name).is_dir():
            return root / name
    wanted = " or ".join(map(repr, _FARMBOT_IMAGES))
    message = f"data.root: no folder {wanted} in {str(root)!r}; name it with data.images=DIR."
    raise DataNotFoundError(message)


def _image_column(table: pd.DataFrame, name: str | None) -> str:
    if name is not None:
        return find_column(table, name, "data.image_column")
    folded = {str(column).strip().lower(): str(column) for column in table.columns}
    for usual in _IMAGE_COLUMNS:
        if usual in folded:
            return folded[usual]
    for column in table.columns:
        cells = [str(cell) for cell in table[column].dropna()]
        if cells and all(Path(cell).suffix.lower() in IMAGE_SUFFIXES for cell in cells):
            return str(column)
    message = (
        "data.image_column: no column looks like image names (tried "
        f"{', '.join(_IMAGE_COLUMNS[:6])}, ...); name it with data.image_column=COLUMN. "
        f"Columns: {', '.join(map(str, table.columns))}."
    )
    raise ConfigError(message)


def _image_rows(table: pd.DataFrame, column: str, images: Path) -> tuple[pd.DataFrame, list[Fault]]:
    names = table[column].map(canonical_text, na_action="ignore")
    faults = [
        Fault(
            "",
            "no image is named",
            "write the image's file name or remove the row",
            column=column,
            source_row=int(line),
        )
        for line in table.index[names.isna()]
    ]
    names = names.dropna()
    sample_ids = [_relative_name(str(name), images) for name in names]
    rows = pd.DataFrame(
        {
            SAMPLE_ID: sample_ids,
            PATH: [str(images / sample_id) for sample_id in sample_ids],
            SOURCE_ROW: pd.array([int(line) for line in names.index], dtype="Int64"),
        },
        index=names.index,
    )
    return rows, faults


def _relative_name(name: str, images: Path) -> str:
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() and path.is_relative_to(images):
        path = path.relative_to(images)
    return printable(path.as_posix())


def _targets(table: pd.DataFrame, rows: pd.DataFrame, column: str) -> tuple[pd.Series, list[Fault]]:
    comma = bool(table.attrs[DECIMAL_COMMA][column])
    values: list[float] = []
    faults: list[Fault] = []
    for line, sample_id, cell in zip(table.index, rows[SAMPLE_ID], table[column], strict=True):
        try:
            if isinstance(cell, bool):
                raise ValueError(f"{cell} is not a number")  # noqa: EM102 (caught two lines below)
            values.append(to_number(cell, comma=comma and isinstance(cell, str)))
        except ValueError as error:
            values.append(float("nan"))
            remedy = "write a number; for classes use data.label instead of data.target"
            faults.append(Fault(sample_id, f"the target is text: {error}", remedy, column, str(cell), int(line)))
    return pd.Series(values, index=table.index, dtype=float), faults


def _groups(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    parts = pd.DataFrame({name: table[name].map(canonical_text, na_action="ignore") for name in columns})
    # A plant without a complete name must not be thrown together with all the others without one.
    names = [
        None if any(pd.isna(part) for part in row) else "/".join(map(str, row)) for row in parts.itertuples(index=False)
    ]
    return pd.Series(names, index=table.index, dtype=object)


def _storable(column: pd.Series) -> pd.Series:
    # One column of a Parquet file has one type.
    kinds = {type(value) for value in column.dropna()}
    if kinds <= {bool}:
        return column.astype("boolean")
    if column.dtype == float:
        return column
    values: list[Any] = [None if pd.isna(value) else str(value) for value in column]
    return pd.Series(values, index=column.index, dtype=object)
