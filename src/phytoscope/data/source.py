"""What every reader gives: the user's rows as they are, before anything is checked."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from phytoscope.errors import ConfigError, DataNotFoundError, suggest
from phytoscope.schema.table import REJECTED_COLUMNS, SOURCE_ROW, Task
from phytoscope.storage.listing import holds_any
from phytoscope.storage.place import as_local, is_url, open_place
from phytoscope.storage.reading import ABSENT, stat_place
from phytoscope.storage.trouble import mask_secrets


@dataclass(frozen=True)
class Fault:
    """What is wrong with one cell, row or file.

    Attributes:
        path: Image the fault is about, as the user wrote it.
        reason: What is wrong.
        remedy: What to do about it.
        column: Column of the user's table; empty for a folder.
        value: The offending value.
        source_row: Line of the table as a spreadsheet counts (header = 1); None for a folder.
    """

    path: str
    reason: str
    remedy: str
    column: str = ""
    value: str = ""
    source_row: int | None = None


@dataclass(frozen=True)
class Source:
    """The user's data as read.

    Attributes:
        rows: One row an image: `sample_id`, `path`, `source_row`, `label` (classification) or `target` (regression, a
            float or NaN), `group_id` (a string or None) and the user's other columns as `meta/<name>`.
        task: What the labels allow.
        target_name: The user's own name of the target, or `class`.
        image_column: The user's own name of the column with the images; empty for a folder.
        faults: What was already found unusable.
        warnings: Cells of other columns that could not be read; their rows are kept, the cells are missing.
        unit: Unit of the target that its column's name gives, for example `g` of `fresh weight (g)`; else empty.
        image_folder: Folder to which the names in the table are relative; empty for a folder of images.
    """

    rows: pd.DataFrame
    task: Task
    target_name: str
    image_column: str = ""
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    unit: str = ""
    image_folder: str = ""


def faults_to_table(faults: list[Fault]) -> pd.DataFrame:
    """One row a fault, in the order of the source rows, columns as in `rejected.csv`."""
    table = pd.DataFrame({name: [getattr(fault, name) for fault in faults] for name in REJECTED_COLUMNS}, dtype=object)
    return sort_faults(table)


def sort_faults(table: pd.DataFrame) -> pd.DataFrame:
    """The same faults in the order of the source rows, with one type a column."""
    types = {name: "Int64" if name == SOURCE_ROW else object for name in REJECTED_COLUMNS}
    return table.astype(types).sort_values([SOURCE_ROW, "path"], kind="stable", ignore_index=True)


def printable(text: str) -> str:
    """The text with bytes that are not UTF-8 written as escapes, so that every file format can hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def find_folder(value: str | None, key: str) -> Path:
    """Resolves a folder named in the settings.

    Args:
        value: What the user wrote.
        key: The setting it was written for, for the error.

    Raises:
        ConfigError: Nothing was written.
        DataNotFoundError: It does not exist, is a file or cannot be opened; the text names the nearest that exists.
    """
    return _find(value, key, folder=True)


def find_file(value: str | None, key: str) -> Path:
    """Resolves a file named in the settings; see `find_folder`.

    Raises:
        ConfigError: Nothing was written.
        DataNotFoundError: It does not exist, is a folder or cannot be opened.
    """
    return _find(value, key, folder=False)


def _look_up(value: str, key: str) -> tuple[Path, bool]:
    try:
        path = Path(value).expanduser().absolute()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"{key}: {printable(value)!r} cannot be looked up ({reason})."
        raise DataNotFoundError(message) from error
    if printable(str(path)) != str(path):
        message = f"{key}: the path {printable(str(path))!r} is not valid UTF-8: rename the folder."
        raise DataNotFoundError(message)
    return path, exists


def _find(value: str | None, key: str, *, folder: bool) -> Path:
    kind = "folder" if folder else "file"
    if not value:
        message = f"{key} is not given: add {key}=PATH, the {kind} with your data."
        raise ConfigError(message)
    if is_url(value):
        return _find_at_address(value, key, folder=folder)
    path, exists = _look_up(as_local(value), key)
    if not exists:
        nearest = path.parent
        while not nearest.exists():
            nearest = nearest.parent
        try:
            names = [entry.name for entry in nearest.iterdir()]
        except OSError:
            names = []
        child = path.relative_to(nearest).parts[0]
        message = f"{key}: there is no {kind} {str(path)!r}. In {str(nearest)!r}: {suggest(child, names)}"
        raise DataNotFoundError(message)
    if path.is_dir() != folder:
        message = f"{key}: {str(path)!r} is a {'file' if folder else 'folder'}, expected a {kind}."
        raise DataNotFoundError(message)
    try:
        if folder:
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        message = f"{key}: the {kind} {str(path)!r} cannot be opened ({error.strerror or error})."
        raise DataNotFoundError(message) from error
    return path


def _find_at_address(value: str, key: str, *, folder: bool) -> Path:
    kind, place = "folder" if folder else "file", open_place(value.rstrip("/"))
    if holds_any(place) if folder else stat_place(place) != ABSENT:
        return place
    message = f"{key}: there is no {kind} {mask_secrets(str(place))!r}, or nothing in it that you may read."
    if stat_place(place) != ABSENT if folder else holds_any(place):
        other = "file" if folder else "folder"
        message = f"{key}: {mask_secrets(str(place))!r} is a {other}, expected a {kind}."
    raise DataNotFoundError(message)
