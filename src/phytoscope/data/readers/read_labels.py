"""From a spreadsheet beside a folder of images to source rows: the general table and the farmbot biomass layout."""

import dataclasses
import posixpath
import re
from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.data.readers.cells import canonical_text, to_number
from phytoscope.data.readers.covariates import explain_number, map_unique, read_covariates
from phytoscope.data.readers.doubts import find_doubts
from phytoscope.data.readers.group_names import name_groups
from phytoscope.data.readers.missing_images import match_normal_forms
from phytoscope.data.readers.read_folder import group_by_pattern
from phytoscope.data.readers.read_table import DECIMAL_COMMA, SHEETS, TABLE_SUFFIXES, find_column, read_table
from phytoscope.data.readers.table_shards import find_table
from phytoscope.data.readers.units import check_unit
from phytoscope.data.source import Fault, Source, find_folder, printable
from phytoscope.errors import ConfigError, DataNotFoundError, suggest
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, META_PREFIX, PATH, SAMPLE_ID, SOURCE_ROW, TARGET, Task
from phytoscope.storage.listing import list_names
from phytoscope.storage.place import is_url
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
# What makes a name more than folders and a file: other separators, roots, drives, `.` and `..`.
_ODD_NAME = re.compile(r"\\|^/|^.:|\./|//")
_NO_RESULT = "the cell holds a formula without a stored result"
_COMPUTE = "open the table and save it in the spreadsheet program"
_FARMBOT_IMAGES = ("images_med_res", "images")


def read_labels(config: DataConfig) -> Source:
    """Reads a table with one row per image.

    Args:
        config: `table`, `images`, `target` or `label`, `group_by`, `image_column`, `group_pattern`.

    Raises:
        ConfigError: A needed setting or a named column is missing, both `target` and `label` are given, or `unit` is
            not the one in the column's name.
        DataNotFoundError: The table or the folder does not exist, or the table has no row.
        DataValidationError: The table cannot be read.
    """
    table_path = find_table(config.table, "data.table")
    images = find_folder(config.images, "data.images")
    table = read_table(table_path)
    if (config.target is None) == (config.label is None):
        message = (
            f"data.target={config.target} and data.label={config.label}: give exactly one, data.target=COLUMN for a "
            f"number or data.label=COLUMN for a class. Columns: {', '.join(map(str, table.columns))}."
        )
        raise ConfigError(message)
    image_column = find_image_column(table, config.image_column)
    is_regression = config.label is None
    key = "data.target" if is_regression else "data.label"
    answer = find_column(table, config.target if is_regression else config.label, key)  # type: ignore[arg-type]
    unit = check_unit(answer, config.unit, "data.unit") if is_regression else ""
    group_columns = [find_column(table, name, "data.group_by") for name in config.group_by]
    rows, faults = _image_rows(table, image_column, images)
    commas = table.attrs[DECIMAL_COMMA]
    table = table.loc[rows.index]
    if is_regression:
        rows[TARGET], target_faults = _targets(table[answer], rows[SAMPLE_ID], comma=commas[answer])
        faults += target_faults
    else:
        rows[LABEL], label_faults = _labels(table[answer], rows[SAMPLE_ID])
        faults += label_faults
    rows[GROUP_ID] = (
        name_groups(table, group_columns) if group_columns else group_by_pattern(rows[SAMPLE_ID], config.group_pattern)
    )
    others, warnings = read_covariates(
        table.drop(columns=[image_column, answer]), rows[SAMPLE_ID], commas, group_columns
    )
    warnings += find_doubts(table, rows, config, answer, [image_column, *group_columns])
    rows = pd.concat([rows, others.add_prefix(META_PREFIX)], axis=1).reset_index(drop=True)
    task = Task.regression if is_regression else Task.classification
    return Source(rows, task, answer, image_column, faults, warnings, unit, str(images))


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
    names = list_names(root) if is_url(root) else sorted(path.name for path in root.iterdir())
    named = [name for name in _FARMBOT_TABLES if name in names and (is_url(root) or (root / name).is_file())]
    similar = [name for name in names if "digital_biomass_labels" in name and name.endswith(TABLE_SUFFIXES)]
    found = [root / name for name in (*named, *similar)]
    if not found:
        message = (
            f"data.root: no table {' or '.join(map(repr, _FARMBOT_TABLES))} in {str(root)!r}; "
            f"name it with data.table=FILE ({suggest(_FARMBOT_TABLES[0], names)})"
        )
        raise DataNotFoundError(message)
    return found[0]


def _farmbot_images(root: Path) -> Path:
    names = list_names(root) if is_url(root) else None
    for name in _FARMBOT_IMAGES:
        if (root / name).is_dir() if names is None else name in names:
            return root / name
    wanted = " or ".join(map(repr, _FARMBOT_IMAGES))
    message = f"data.root: no folder {wanted} in {str(root)!r}; name it with data.images=DIR."
    raise DataNotFoundError(message)


def find_image_column(table: pd.DataFrame, name: str | None) -> str:
    """Finds the column with the names of the images.

    Args:
        table: What `read_table` gave.
        name: What the user wrote; None looks for the usual names, then for cells that end as images do.

    Raises:
        ConfigError: There is none.
    """
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
    header = _find_header(table)
    sheets = table.attrs[SHEETS]
    message = (
        "data.image_column: no column looks like image names (tried "
        f"{', '.join(_IMAGE_COLUMNS[:6])}, ...); name it with data.image_column=COLUMN. "
        f"Columns: {', '.join(map(str, table.columns))}."
        + (f" The header seems to stand in line {header}: delete the lines above it." if header is not None else "")
        + (_describe_sheets(sheets) if len(sheets) > 1 else "")
    )
    raise ConfigError(message)


def _find_header(table: pd.DataFrame) -> int | None:
    # A title above the table is taken for its header, and the true one stands among its rows.
    for line, *cells in table.head(10).itertuples():
        if any(isinstance(cell, str) and cell.strip().lower() in _IMAGE_COLUMNS for cell in cells):
            return int(line)
    return None


def _describe_sheets(sheets: list[str]) -> str:
    return (
        f" Only the first sheet of the workbook is read, {sheets[0]!r}; the others are "
        f"{', '.join(map(repr, sheets[1:]))}: move the sheet with the images to the front."
    )


def _image_rows(table: pd.DataFrame, column: str, images: Path) -> tuple[pd.DataFrame, list[Fault]]:
    names = map_unique(table[column], canonical_text)
    remedy = "write the image's file name or remove the row"
    faults = [
        Fault("", "no image is named", remedy, column=column, source_row=int(line))
        for line in table.index[names.isna()]
    ]
    names = names.dropna()
    folder = str(images)
    sample_ids = match_normal_forms([_relative_name(str(name), images) for name in names], images)
    rows = pd.DataFrame(
        {
            SAMPLE_ID: pd.Series(sample_ids, index=names.index, dtype=object),
            PATH: pd.Series(
                [name if _is_absolute(name) else f"{folder}/{name}" for name in sample_ids],
                index=names.index,
                dtype=object,
            ),
            SOURCE_ROW: pd.array(names.index.to_numpy(), dtype="Int64"),
        },
        index=names.index,
    )
    return rows, faults


def _relative_name(name: str, images: Path) -> str:
    if name.isascii() and _ODD_NAME.search(name) is None:
        return name
    if is_url(name):
        return printable(name.removeprefix(f"{images}/"))
    name = name.replace("\\", "/")
    if _is_absolute(name):
        path = Path(name)
        name = path.relative_to(images).as_posix() if path.is_relative_to(images) else path.as_posix()
    elif "./" in name or "//" in name:
        # `./a.png` and `b/../a.png` are one image; the two slashes of a web address are kept for the error.
        name = name if re.match(r"\w+://", name) else posixpath.normpath(name)
    return printable(name)


def _is_absolute(name: str) -> bool:
    return name[0] == "/" or name[1:3] == ":/" or ("://" in name and is_url(name))


def _labels(cells: pd.Series, names: pd.Series) -> tuple[pd.Series, list[Fault]]:
    labels = map_unique(cells, canonical_text)
    is_formula = labels.notna() & labels.astype(str).str.startswith("=")
    faults = [
        Fault(str(names[line]), _NO_RESULT, _COMPUTE, str(cells.name), str(labels[line]), int(line))
        for line in labels.index[is_formula]
    ]
    return labels.mask(is_formula, None), faults


def _targets(cells: pd.Series, names: pd.Series, *, comma: bool) -> tuple[pd.Series, list[Fault]]:
    if cells.dtype == float:
        return cells, []
    reasons: dict[object, str] = {}

    def read(cell: object) -> float | None:
        try:
            if isinstance(cell, bool):
                raise ValueError(f"{cell} is not a number")  # noqa: EM102 (caught two lines below)
            return to_number(cell, comma=comma)
        except ValueError as error:
            is_formula = str(cell).startswith("=")
            reasons[cell] = _NO_RESULT if is_formula else f"the target is text: {error}"
            return np.nan

    values = map_unique(cells, read).astype(float)
    # Words from top to bottom are classes; a few are slips.
    unread = cells.isin(list(reasons)).to_numpy(dtype=bool)
    is_class = values.isna().all()
    remedy = "write a number; for classes use data.label instead of data.target"
    faults = [
        Fault(
            str(name),
            reasons[cell],
            _COMPUTE if reasons[cell] == _NO_RESULT else remedy if is_class else explain_number(str(cell), comma=comma),
            str(cells.name),
            str(cell),
            int(line),
        )
        for line, name, cell in zip(cells.index[unread], names[unread], cells[unread], strict=True)
    ]
    return values, faults
