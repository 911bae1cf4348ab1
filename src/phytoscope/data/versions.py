"""Versions of the data: what changed between two manifests, image by image."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.split import hash_manifest
from phytoscope.errors import DataNotFoundError, DataValidationError
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, LABEL, META_PREFIX, SAMPLE_ID, SHA256, SPLIT, TARGET

CHANGE, COLUMN, BEFORE, AFTER, SAMPLE_ID_BEFORE = "change", "column", "before", "after", "sample_id_before"
DIFF_COLUMNS = (CHANGE, SAMPLE_ID, SAMPLE_ID_BEFORE, COLUMN, BEFORE, AFTER)
_NEEDED = (SAMPLE_ID, SHA256, LABEL, TARGET, GROUP_ID)
_ROW_BEFORE, _ROW_AFTER = "row_before", "row_after"


class Change(StrEnum):
    """What can have happened to an image between two versions.

    `added`, `removed`: the picture is in one version only; `changed_content`: same name, other picture; `renamed`: same
    picture, other name; `relabelled`: other class; `target_changed`: other number; `regrouped`: it must stay together
    with other images than before; `group_renamed`: with the same images, under another name; `changed_columns`: other
    value in a column of the user's own; `moved`: other split.
    """

    added = "added"
    removed = "removed"
    changed_content = "changed_content"
    renamed = "renamed"
    relabelled = "relabelled"
    target_changed = "target_changed"
    regrouped = "regrouped"
    group_renamed = "group_renamed"
    changed_columns = "changed_columns"
    moved = "moved"


@dataclass(frozen=True)
class ManifestDiff:
    """What changed from one version of the data to another.

    Attributes:
        changes: One row a change, columns `change`, `sample_id` (the new name; the old one of a removed image),
            `sample_id_before`, `column` (the user's own one that changed, else empty), `before` and `after` (as text,
            empty when there is none); an image can have several.
        hash_before: Version of the first manifest.
        hash_after: Version of the second.
        rows_before: Images of the first.
        rows_after: Images of the second.
        has_splits: Whether both have a split, so that moves were looked for.
        added_columns: The user's own columns that only the second has.
        removed_columns: Those that only the first has.
    """

    changes: pd.DataFrame
    hash_before: str
    hash_after: str
    rows_before: int
    rows_after: int
    has_splits: bool
    added_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether nothing changed."""
        return self.changes.empty and not self.added_columns and not self.removed_columns

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of every kind of change that occurs, in the order of `Change`."""
        found = self.changes.drop_duplicates([CHANGE, SAMPLE_ID])[CHANGE].value_counts()
        return {change.value: int(found[change.value]) for change in Change if change.value in found.index}

    @property
    def changed_columns(self) -> dict[str, int]:
        """Number of images of which a column of the user's own changed, for each such column, by name."""
        found = self.changes.loc[self.changes[CHANGE] == Change.changed_columns.value, COLUMN].value_counts()
        return {str(name): int(found[name]) for name in sorted(found.index)}


def read_version(path: Path) -> pd.DataFrame:
    """Reads a manifest, and the split when one lies beside it in the folder of a run or of an inspection.

    Args:
        path: Folder of a run or of an inspection, or a manifest as a Parquet file.

    Raises:
        DataNotFoundError: There is no manifest.
        DataValidationError: The file is no manifest.
    """
    file = RunFolder(path).manifest if path.is_dir() else path
    if not file.is_file():
        message = (
            f"there is no manifest in {str(path)!r}: name the folder of a run or of an inspection, or a "
            "manifest.parquet; `phytoscope prepare` writes one."
        )
        raise DataNotFoundError(message)
    manifest = _read_table(file, _NEEDED)
    split = RunFolder(path).split
    if not path.is_dir() or not split.is_file():
        return manifest
    splits = _read_table(split, (SAMPLE_ID, SPLIT))
    joined = manifest.drop(columns=SPLIT, errors="ignore").merge(splits[[SAMPLE_ID, SPLIT]], on=SAMPLE_ID, how="left")
    return pd.DataFrame(joined)


def _read_table(file: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        message = f"{str(file)!r} cannot be read as Parquet ({' '.join(str(error).split())}): name a manifest.parquet."
        raise DataValidationError(message) from error
    absent = [name for name in needed if name not in table.columns]
    if absent:
        message = f"{str(file)!r} is no manifest: the columns {', '.join(absent)} are missing."
        raise DataValidationError(message)
    repeated = table.loc[table[SAMPLE_ID].duplicated(), SAMPLE_ID]
    if len(repeated):
        message = f"{str(file)!r} is damaged: {repeated.iloc[0]!r} occurs twice in sample_id. Prepare the data again."
        raise DataValidationError(message)
    return table


def compare_manifests(before: pd.DataFrame, after: pd.DataFrame) -> ManifestDiff:
    """Finds what changed between two manifests.

    Images are paired by name first; those left over by content (renamed). Of a pair label, target and group are
    compared, the user's own columns that both have, and the split where both manifests have a column `split`.

    Args:
        before: Manifest with unique `sample_id`; `split` is optional.
        after: The same of the later version.
    """
    old, new = before.reset_index(drop=True), after.reset_index(drop=True)
    same, lost, found = _pair_by_name(old, new)
    renamed = _pair_by_content(old.loc[lost], new.loc[found])
    pairs = pd.concat([same, renamed], ignore_index=True)
    left, right = old.loc[pairs[_ROW_BEFORE]], new.loc[pairs[_ROW_AFTER]]
    pieces = [
        _list_single(Change.added, new.loc[np.setdiff1d(found, renamed[_ROW_AFTER])]),
        _list_single(Change.removed, old.loc[np.setdiff1d(lost, renamed[_ROW_BEFORE])]),
        _list_pairs(Change.changed_content, left, right, SHA256, _differ(left[SHA256], right[SHA256])),
        _list_pairs(Change.renamed, left, right, SAMPLE_ID, _differ(left[SAMPLE_ID], right[SAMPLE_ID])),
        _list_pairs(Change.relabelled, left, right, LABEL, _differ(left[LABEL], right[LABEL])),
        _list_pairs(Change.target_changed, left, right, TARGET, _differ(left[TARGET], right[TARGET])),
    ]
    regrouped = _find_regrouped(left[GROUP_ID], right[GROUP_ID])
    only_named = _differ(left[GROUP_ID], right[GROUP_ID]) & ~regrouped
    pieces.append(_list_pairs(Change.regrouped, left, right, GROUP_ID, regrouped))
    pieces.append(_list_pairs(Change.group_renamed, left, right, GROUP_ID, only_named))
    own, added, removed = _pair_columns(old, new)
    for name in own:
        table = _list_pairs(Change.changed_columns, left, right, name, _differ(left[name], right[name]))
        pieces.append(table.assign(**{COLUMN: name.removeprefix(META_PREFIX)}))
    has_splits = SPLIT in old.columns and SPLIT in new.columns
    if has_splits:
        pieces.append(_list_pairs(Change.moved, left, right, SPLIT, _differ(left[SPLIT], right[SPLIT])))
    changes = pd.concat(pieces, ignore_index=True)[list(DIFF_COLUMNS)]
    hashes = hash_manifest(old), hash_manifest(new)
    return ManifestDiff(changes, *hashes, len(old), len(new), has_splits, added, removed)


def _pair_columns(old: pd.DataFrame, new: pd.DataFrame) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """The user's own columns that both have, and without their prefix those that only one has, sorted."""
    one, other = ({str(name) for name in table if str(name).startswith(META_PREFIX)} for table in (old, new))
    added, removed = (
        tuple(sorted(name.removeprefix(META_PREFIX) for name in names)) for names in (other - one, one - other)
    )
    return sorted(one & other), added, removed


def _pair_by_name(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the images that both have, shape (N, 2), and numbers of the rows, int64, that only one has."""
    place = pd.Index(new[SAMPLE_ID]).get_indexer(pd.Index(old[SAMPLE_ID]))
    kept = place >= 0
    same = pd.DataFrame({_ROW_BEFORE: np.flatnonzero(kept), _ROW_AFTER: place[kept]})
    return same, np.flatnonzero(~kept), np.setdiff1d(np.arange(len(new)), place[kept])


def _pair_by_content(lost: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    # Copies of one picture are paired in the order of their names: the first of the old with the first of the new.
    sides = []
    for table, row in ((lost, _ROW_BEFORE), (found, _ROW_AFTER)):
        ordered = table.sort_values(SAMPLE_ID)
        copy = ordered.groupby(SHA256).cumcount()
        sides.append(pd.DataFrame({SHA256: ordered[SHA256], "copy": copy, row: ordered.index}))
    return pd.DataFrame(sides[0].merge(sides[1], on=[SHA256, "copy"])[[_ROW_BEFORE, _ROW_AFTER]].astype("int64"))


def _differ(left: pd.Series, right: pd.Series) -> NDArray[np.bool_]:
    """Where two columns differ, shape (N,), bool; missing equals missing."""
    one, other = left.reset_index(drop=True), right.reset_index(drop=True)
    both_missing = (one.isna() & other.isna()).to_numpy(dtype=bool)
    either = (one.isna() | other.isna()).to_numpy(dtype=bool)
    same = np.zeros(len(one), dtype=bool)
    known = ~either
    same[known] = one[known].to_numpy(dtype=object) == other[known].to_numpy(dtype=object)
    return ~(same | both_missing)


def _find_regrouped(left: pd.Series, right: pd.Series) -> NDArray[np.bool_]:
    """Where an image stands with other images than before, shape (N,), bool; names of groups do not matter."""
    one, other = pd.factorize(left)[0], pd.factorize(right)[0]
    links = pd.DataFrame({"one": one, "other": other}).drop_duplicates()
    split_up = links.loc[links["one"].duplicated(keep=False), "one"]
    merged = links.loc[links["other"].duplicated(keep=False), "other"]
    return np.asarray(np.isin(one, split_up) | np.isin(other, merged))


def _list_single(change: Change, rows: pd.DataFrame) -> pd.DataFrame:
    names = rows[SAMPLE_ID].astype(str).to_numpy()
    empty = np.full(len(rows), "", dtype=object)
    is_added = change is Change.added
    content = {
        CHANGE: np.full(len(rows), change.value, dtype=object),
        SAMPLE_ID: names,
        SAMPLE_ID_BEFORE: empty if is_added else names,
        COLUMN: empty,
        BEFORE: empty if is_added else _as_text(rows[SHA256]),
        AFTER: _as_text(rows[SHA256]) if is_added else empty,
    }
    return pd.DataFrame(content).sort_values(SAMPLE_ID)


def _list_pairs(
    change: Change, left: pd.DataFrame, right: pd.DataFrame, column: str, chosen: NDArray[np.bool_]
) -> pd.DataFrame:
    old, new = left[chosen], right[chosen]
    content = {
        CHANGE: np.full(len(old), change.value, dtype=object),
        SAMPLE_ID: new[SAMPLE_ID].astype(str).to_numpy(),
        SAMPLE_ID_BEFORE: old[SAMPLE_ID].astype(str).to_numpy(),
        COLUMN: np.full(len(old), "", dtype=object),
        BEFORE: _as_text(old[column]),
        AFTER: _as_text(new[column]),
    }
    return pd.DataFrame(content).sort_values(SAMPLE_ID)


def _as_text(values: pd.Series) -> NDArray[np.object_]:
    """The values as text, shape (N,), object; missing ones are empty."""
    return np.asarray(values.astype(object).where(values.notna(), "").map(str), dtype=object)
