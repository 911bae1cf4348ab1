"""Splits that were made elsewhere: a column of the table, folders called train and test, or a file of their own."""

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.cells import canonical_text
from phytoscope.data.readers.read_table import read_table
from phytoscope.errors import ConfigError, SplitError, suggest
from phytoscope.schema.table import META_PREFIX, PATH, SAMPLE_ID, SPLIT, Split

NAMES_OF_SPLIT: Final = {
    Split.train: ("train", "training"),
    Split.val: ("val", "valid", "validation", "dev"),
    Split.calibration: ("calibration", "calib", "cal"),
    Split.test: ("test", "testing", "holdout"),
}
"""How people call the splits; upper and lower case are the same."""
_SPLIT_OF_NAME = {name: str(split) for split, names in NAMES_OF_SPLIT.items() for name in names}
_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part", "phase")
_NAME_COLUMNS = (SAMPLE_ID, PATH, "filename", "file_name", "file", "image", "image_name", "image_path", "img", "name")
_SHOWN = 10


def official_split_of(names: pd.Series) -> pd.Series:
    """Translates what people call the splits (`training`, `Dev`, `holdout`, ...) into the four names used here.

    Args:
        names: One name an image.

    Returns:
        `train`, `val`, `calibration` or `test` for each image, with the same index.

    Raises:
        SplitError: A value is missing or none of the names understood; the text counts them and lists the names.
    """
    texts = [canonical_text(value) if value is not pd.NA else None for value in names]
    wrong = Counter(text for text in texts if text is None or not is_split_name(text)).most_common()
    if wrong:
        shown = ", ".join(
            f"{'nothing' if text is None else repr(text)} ({number} images)" for text, number in wrong[:_SHOWN]
        )
        more = f" and {len(wrong) - _SHOWN} other values" if len(wrong) > _SHOWN else ""
        allowed = "; ".join(f"{split}: {', '.join(words)}" for split, words in NAMES_OF_SPLIT.items())
        message = (
            f"the official split says {shown}{more} where the name of a split should stand. Understood are {allowed}. "
            "Correct the column, or leave out data.split.column so that a split is drawn."
        )
        raise SplitError(message)
    splits = [_SPLIT_OF_NAME[str(text).strip().casefold()] for text in texts]
    return pd.Series(splits, index=names.index, dtype=object)


def is_split_name(name: str) -> bool:
    """Whether a folder or value of this name is a split: `train`, `Validation`, `holdout`, ..."""
    return name.strip().casefold() in _SPLIT_OF_NAME


def read_official_column(manifest: pd.DataFrame, column: str) -> pd.Series:
    """The official split in one of the user's own columns.

    Args:
        manifest: One row an image; the user's columns stand in it as `meta/<name>`.
        column: The user's own name of the column; upper and lower case do not matter.

    Raises:
        ConfigError: There is no such column.
        SplitError: A value names no split.
    """
    own = {
        str(name).removeprefix(META_PREFIX): str(name) for name in manifest.columns if str(name).startswith(META_PREFIX)
    }
    folded = {name.strip().casefold(): meta for name, meta in own.items()}
    meta = own.get(column) or folded.get(column.strip().casefold())
    if meta is None:
        hint = suggest(column, own) if own else "the data have no columns of their own."
        message = f"data.split.column: there is no column {column!r}; {hint}"
        raise ConfigError(message)
    return official_split_of(manifest[meta])


def read_split(path: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    """Reads a split that was made elsewhere.

    The table names images by `sample_id`, by path or by file name (a file name only where it is the only one of that
    name), and their split in a column `split`, `set`, `subset`, `partition`, `part` or `phase`.

    Args:
        path: CSV, TSV, XLSX or Parquet file.
        manifest: One row an image.

    Returns:
        Columns `sample_id` and `split`, in the order of the manifest; images that the file does not name are left out,
        and so are its lines about images that are not in the manifest.

    Raises:
        ConfigError: The file is of an unknown kind.
        DataNotFoundError: The file cannot be opened or has no row.
        DataValidationError: The file cannot be read as a table.
        SplitError: It has no column with images or splits, names no image of the manifest, or puts one in two splits.
    """
    table = read_table(path)
    named, given = _find_columns(table, path)
    table = table[table[named].notna()]
    names = table[named].map(canonical_text).str.replace("\\", "/").str.removeprefix("./")
    positions = _match_names(names, manifest)
    matched = positions >= 0
    if not matched.any():
        message = (
            f"{str(path)!r}: none of the {len(table)} names in column {named!r} (for example {names.iloc[0]!r}) is an "
            f"image of these data (for example {manifest[SAMPLE_ID].iloc[0]!r}): name images as there, or by file name."
        )
        raise SplitError(message)
    splits = official_split_of(table.loc[matched, given])
    pairs = pd.DataFrame({"position": positions[matched], SPLIT: splits.to_numpy()}).drop_duplicates()
    twice = pairs["position"].duplicated()
    if twice.any():
        found = sorted(manifest[SAMPLE_ID].iloc[pairs.loc[twice, "position"].unique()])
        message = (
            f"{str(path)!r} puts {len(found)} images in two splits at once: {', '.join(map(repr, found[:_SHOWN]))}. "
            "Keep one line for each image."
        )
        raise SplitError(message)
    pairs = pairs.sort_values("position")
    return pd.DataFrame(
        {SAMPLE_ID: manifest[SAMPLE_ID].to_numpy()[pairs["position"]], SPLIT: pairs[SPLIT].to_numpy(dtype=object)}
    )


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


def _match_names(names: pd.Series, manifest: pd.DataFrame) -> NDArray[np.int64]:
    samples = pd.Index(manifest[SAMPLE_ID].astype(object))
    found = np.asarray(samples.get_indexer(pd.Index(names.astype(object))), dtype=np.int64)
    paths = pd.Series(manifest[PATH]).str.replace("\\", "/").astype(object)
    files = [pd.Series(samples).str.rpartition("/")[2], names.str.rpartition("/")[2]]
    for known, wanted in ((paths, names), (files[0], files[1])):
        # A name that several images bear tells nothing.
        alone = pd.Series(np.arange(len(known)), index=known.to_numpy(dtype=object))
        alone = alone[~alone.index.duplicated(keep=False)]
        open_names = found < 0
        if open_names.any():
            more = wanted.to_numpy(dtype=object)[open_names]
            found[open_names] = pd.Series(more).map(alone).fillna(-1).to_numpy(dtype=np.int64)
    return found
