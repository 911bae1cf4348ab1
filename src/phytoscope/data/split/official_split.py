"""Splits that were made elsewhere: a column of the table, folders called train and test, or a file of their own."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.cells import canonical_text
from phytoscope.data.readers.read_table import read_table
from phytoscope.data.readers.split_names import is_split_name, official_split_of
from phytoscope.errors import ConfigError, SplitError, suggest
from phytoscope.schema.table import META_PREFIX, PATH, SAMPLE_ID, SPLIT

_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part", "phase")
_NAME_COLUMNS = (SAMPLE_ID, PATH, "filename", "file_name", "file", "image", "image_name", "image_path", "img", "name")
_SHOWN = 10


@dataclass(frozen=True)
class GivenSplit:
    """A split that was made elsewhere, as far as it speaks of the data.

    Attributes:
        table: Columns `sample_id` and `split`, in the order of the data; images that the split does not name are left
            out, and one that it puts into two splits stands in two rows.
        unknown: What it names and no image of the data bears, each once, in its own order.
    """

    table: pd.DataFrame
    unknown: list[str] = field(default_factory=list)


def read_official_column(manifest: pd.DataFrame, column: str) -> pd.Series:
    """The official split in one of the user's own columns.

    Args:
        manifest: One row an image; the user's columns stand in it as `meta/<name>`.
        column: The user's own name of the column; upper and lower case do not matter.

    Raises:
        ConfigError: There is no such column.
        SplitError: A value names no split.
    """
    return official_split_of(manifest[_find_own_column(manifest, column)])


def _find_own_column(rows: pd.DataFrame, column: str) -> str:
    own = {str(name).removeprefix(META_PREFIX): str(name) for name in rows.columns if str(name).startswith(META_PREFIX)}
    folded = {name.strip().casefold(): meta for name, meta in own.items()}
    meta = own.get(column) or folded.get(column.strip().casefold())
    if meta is None:
        hint = suggest(column, own) if own else "the data have no columns of their own."
        message = f"data.split.column: there is no column {column!r}; {hint}"
        raise ConfigError(message)
    return meta


def read_given_column(manifest: pd.DataFrame, rows: pd.DataFrame, column: str) -> GivenSplit:
    """The official split in one of the user's own columns, of rows that are left out of the manifest too.

    Args:
        manifest: One row an image.
        rows: All rows of the source; an image may stand in several.
        column: The user's own name of the column.

    Raises:
        ConfigError: There is no such column.
        SplitError: A value in the manifest names no split.
    """
    official = read_official_column(manifest, column)
    own = pd.DataFrame({SAMPLE_ID: manifest[SAMPLE_ID], SPLIT: official})
    cells = rows[_find_own_column(rows, column)]
    texts = cells.map(canonical_text, na_action="ignore").astype(object)
    named = texts.map(lambda text: isinstance(text, str) and is_split_name(text)).astype(bool)
    others = pd.DataFrame({SAMPLE_ID: rows.loc[named, SAMPLE_ID], SPLIT: official_split_of(cells[named])})
    table = pd.concat([own, others]).drop_duplicates(ignore_index=True)
    return GivenSplit(table.astype(object))


def read_split(path: Path, rows: pd.DataFrame) -> GivenSplit:
    """Reads a split that was made elsewhere.

    The table names images by `sample_id`, by path, or by as many last parts of the path as it likes (`healthy/1.jpg`,
    or `1.jpg` alone) where only one image ends so; and their split in a column `split`, `set`, `subset`, `partition`,
    `part` or `phase`. A name with folders never stands for the file of that name in another folder.

    Args:
        path: CSV, TSV, XLSX or Parquet file.
        rows: All images of the data, columns `sample_id` and `path`, those that were left out too: where they are
            missing, a name may seem to be another image's.

    Returns:
        The split of the images that it names, and the names that are no image's.

    Raises:
        ConfigError: The file is of an unknown kind.
        DataNotFoundError: The file cannot be opened or has no row.
        DataValidationError: The file cannot be read as a table.
        SplitError: It has no column with images or splits, names no image of the data, or puts one in two splits.
    """
    rows = rows[[SAMPLE_ID, PATH]].drop_duplicates(SAMPLE_ID, ignore_index=True)
    table = read_table(path)
    named, given = _find_columns(table, path)
    table = table[table[named].notna()]
    names = table[named].map(canonical_text).str.replace("\\", "/").str.removeprefix("./")
    positions = _match_names(names, rows)
    matched = positions >= 0
    if not matched.any():
        message = (
            f"{str(path)!r}: none of the {len(table)} names in column {named!r} (for example {names.iloc[0]!r}) is an "
            f"image of these data (for example {rows[SAMPLE_ID].iloc[0]!r}): name images as there, or by file name."
        )
        raise SplitError(message)
    splits = official_split_of(table.loc[matched, given])
    pairs = pd.DataFrame({"position": positions[matched], SPLIT: splits.to_numpy()}).drop_duplicates()
    twice = pairs["position"].duplicated()
    if twice.any():
        found = sorted(rows[SAMPLE_ID].iloc[pairs.loc[twice, "position"].unique()])
        message = (
            f"{str(path)!r} puts {len(found)} images in two splits at once: {', '.join(map(repr, found[:_SHOWN]))}. "
            "Keep one line for each image."
        )
        raise SplitError(message)
    pairs = pairs.sort_values("position")
    found_split = pd.DataFrame(
        {SAMPLE_ID: rows[SAMPLE_ID].to_numpy()[pairs["position"]], SPLIT: pairs[SPLIT].to_numpy(dtype=object)}
    )
    return GivenSplit(found_split, list(dict.fromkeys(names[~matched])))


def _find_columns(table: pd.DataFrame, path: Path) -> tuple[str, str]:
    folded = {str(name).strip().casefold(): str(name) for name in reversed(table.columns)}
    named = next((folded[name] for name in _NAME_COLUMNS if name in folded), None)
    candidates = [folded[name] for name in _SPLIT_COLUMNS if name in folded]
    # A data set may use `subset` for its cameras beside the split proper.
    given = next((name for name in candidates if table[name].dropna().map(str).map(is_split_name).any()), None)
    given = given if given is not None else next(iter(candidates), None)
    if named is None or given is None:
        what = "images (" + ", ".join(_NAME_COLUMNS) if named is None else "splits (" + ", ".join(_SPLIT_COLUMNS)
        message = f"{str(path)!r} has no column with {what}). Columns: {', '.join(map(str, table.columns))}."
        raise SplitError(message)
    return named, given


def _match_names(names: pd.Series, rows: pd.DataFrame) -> NDArray[np.int64]:
    wanted = names.to_numpy(dtype=object)
    found = np.asarray(pd.Index(rows[SAMPLE_ID].astype(object)).get_indexer(pd.Index(wanted)), dtype=np.int64)
    paths = rows[PATH].astype(object).str.replace("\\", "/")
    depths = np.array([name.count("/") for name in wanted], dtype=np.int64)
    for depth in np.unique(depths[found < 0]):
        # As many last parts of the path as the name has; those that several images end with tell nothing.
        ends = ["/".join(path.rsplit("/", depth + 1)[-depth - 1 :]) for path in paths]
        alone = pd.Series(np.arange(len(ends)), index=pd.Index(ends, dtype=object))
        alone = alone[~alone.index.duplicated(keep=False)]
        chosen = (found < 0) & (depths == depth)
        found[chosen] = pd.Series(wanted[chosen], dtype=object).map(alone).fillna(-1).to_numpy(dtype=np.int64)
    return found
