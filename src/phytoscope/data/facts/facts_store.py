"""Image facts on the disk: Parquet parts that are written whole, read without a lock and merged when they get many."""

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from numpy.typing import NDArray

from phytoscope.errors import storage_error
from phytoscope.schema.artifact import clear_leftovers, hash_content, write_atomic
from phytoscope.schema.image_facts import (
    COLOUR_COLUMNS,
    EXIF_ORIENTATION,
    EXIF_TIME,
    LONG_COLUMNS,
    MODIFIED_NS,
    PERCEPTUAL_HASH,
    QUALITY_COLUMNS,
    SIZE_BYTES,
    SMALL_COLUMNS,
)
from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, PATH, WIDTH_PX

FACTS_VERSION = 1
"""To be raised whenever the same file would give other facts; facts of other versions are not read."""

ROWS_PER_PART = 2_000
"""Rows of a part that is full: what is held in memory at a time."""
_MOST_SMALL_PARTS = 16
_UNUSED_AFTER_S = 30 * 24 * 3600
_LOCK_NAME = ".lock"
_INTEGERS = {SIZE_BYTES, MODIFIED_NS, WIDTH_PX, HEIGHT_PX, GREEN_PX, EXIF_ORIENTATION}
_FLOATS = {*QUALITY_COLUMNS, *COLOUR_COLUMNS} - {GREEN_PX}
_BROKEN = (pa.ArrowException, OSError, KeyError, ValueError)


def _type_of(column: str) -> pa.DataType:
    if column in _INTEGERS:
        return pa.int64()
    if column in _FLOATS:
        return pa.float64()
    return pa.uint64() if column == PERCEPTUAL_HASH else pa.binary() if column in LONG_COLUMNS else pa.string()


SMALL_SCHEMA = pa.schema([(column, _type_of(column)) for column in SMALL_COLUMNS])
SCHEMA = pa.schema([(column, _type_of(column)) for column in (*SMALL_COLUMNS, *LONG_COLUMNS)])
"""Columns of a part; the long ones are missing where a file is unreadable."""


def _empty_row() -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    for column in SMALL_COLUMNS:
        row[column] = "" if SCHEMA.field(column).type == pa.string() else 0
    row.update(dict.fromkeys(_FLOATS, float("nan")))
    row[EXIF_TIME] = None
    return row


EMPTY_ROW = _empty_row()
"""A row of which nothing is known: texts empty, numbers 0 or not a number, long columns missing."""


@dataclass(frozen=True)
class Wanted:
    """Files whose facts are looked for: absolute paths, each once, with size and time of the last change.

    Attributes:
        paths: Absolute paths, N different ones.
        size_bytes: Sizes, shape (N,), int64; -1 for a file that is not there.
        modified_ns: Times of the last change, shape (N,), int64.
    """

    paths: pd.Index
    size_bytes: NDArray[np.int64]
    modified_ns: NDArray[np.int64]


@dataclass
class Located:
    """Where the facts of wanted files stand.

    Attributes:
        part: Index into `parts`, shape (N,), int32; -1 where nothing is known.
        row: Row in that part, shape (N,), int32.
        parts: Names of parts.
        small: Small columns of the located files of each part, with the position in `Wanted` of each of their rows.
        damaged: Names of parts that cannot be read.
    """

    part: NDArray[np.int32]
    row: NDArray[np.int32]
    parts: list[str]
    small: list[tuple[NDArray[np.int64], pa.Table]]
    damaged: list[str]

    def add(self, name: str, positions: NDArray[np.int64], rows: NDArray[np.int64], small: pa.Table) -> None:
        """Notes that the facts of the files at `positions`, shape (N,), stand in these rows, shape (N,), of a part."""
        self.part[positions], self.row[positions] = len(self.parts), rows
        self.parts.append(name)
        self.small.append((positions, small))


class FactsStore:
    """A folder of parts. Any number of processes may read and append at the same time.

    Args:
        folder: Where the parts lie; made when the first is written.
        max_megapixels: Size limit that the facts were taken under, part of their key.
    """

    def __init__(self, folder: Path, max_megapixels: float) -> None:
        self.folder = folder
        self._prefix = f"facts-{hash_content([FACTS_VERSION, max_megapixels])[:8]}-"

    def locate(self, wanted: Wanted) -> Located:
        """Finds what is known of files; facts of an older state of a file are passed over."""
        for _ in range(10):
            try:
                return self._locate(wanted)
            except FileNotFoundError:
                # Somebody has just merged parts: their rows are in another part now.
                continue
        return self._start(wanted)

    def append(self, rows: Sequence[dict[str, Any]]) -> tuple[str, pa.Table]:
        """Writes rows as one new part.

        Returns:
            The part's name and the small columns of its rows.

        Raises:
            StorageError: The folder cannot be written or the disk is full.
        """
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        with self._locked():
            name = self._write(table)
        return name, table.select(list(SMALL_COLUMNS))

    def read_long(self, name: str, column: str) -> pa.Array | None:
        """One long column of a part; None when the part is gone or damaged."""
        try:
            return _read(self.folder / name, [column]).column(column).combine_chunks()
        except _BROKEN:
            return None

    def drop(self, names: Sequence[str]) -> None:
        """Removes parts; those that are gone already are passed over.

        Raises:
            StorageError: The folder cannot be written.
        """
        with self._locked():
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    def tidy(self, damaged: Sequence[str]) -> None:
        """Removes damaged parts, leftovers of killed writers and facts that nobody has used for a month.

        Small parts and parts with many outdated rows are merged when there are many of them.

        Raises:
            StorageError: The folder cannot be written or the disk is full.
        """
        with self._locked():
            clear_leftovers(self.folder)
            for name in damaged:
                (self.folder / name).unlink(missing_ok=True)
            for path in self.folder.glob("facts-*.parquet"):
                if not path.name.startswith(self._prefix) and time.time() - path.stat().st_mtime > _UNUSED_AFTER_S:
                    path.unlink(missing_ok=True)
            self._merge()

    def _start(self, wanted: Wanted) -> Located:
        nowhere = np.full(len(wanted.paths), -1, dtype=np.int32)
        return Located(nowhere, nowhere.copy(), [], [], [])

    def _parts(self) -> list[Path]:
        """Parts of this version and limit, the newest first."""
        return sorted(self.folder.glob(f"{self._prefix}*.parquet"), reverse=True)

    def _locate(self, wanted: Wanted) -> Located:
        located = self._start(wanted)
        # Of no file nothing is known, and there is no place to look it up at.
        for path in self._parts() if len(wanted.paths) else []:
            try:
                small = _read(path, list(SMALL_COLUMNS)).cast(SMALL_SCHEMA)
            except FileNotFoundError:
                raise
            except _BROKEN:
                located.damaged.append(path.name)
                continue
            positions = wanted.paths.get_indexer(small.column(PATH).to_pandas())
            size, modified = (small.column(column).to_numpy() for column in (SIZE_BYTES, MODIFIED_NS))
            current = (
                (positions >= 0)
                & (wanted.size_bytes[positions] == size)
                & (wanted.modified_ns[positions] == modified)
                & (located.part[positions] < 0)
            )
            rows = np.flatnonzero(current)
            # A file that was read twice stands twice in a part that was merged.
            _, first = np.unique(positions[rows], return_index=True)
            if len(rows := rows[first]):
                located.add(path.name, positions[rows].astype(np.int64), rows, small.take(pa.array(rows)))
        return located

    def _write(self, table: pa.Table) -> str:
        # Names grow with time, so that the newest facts of a file are met first.
        name = f"{self._prefix}{time.time_ns():020d}-{secrets.token_hex(4)}.parquet"
        with write_atomic(self.folder / name) as temporary:
            pq.write_table(
                table,
                temporary,
                compression="zstd",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
            )
        return name

    def _merge(self) -> None:
        seen: pd.Index = pd.Index([], dtype=object)
        small_parts: list[tuple[Path, NDArray[np.bool_]]] = []
        for path in self._parts():
            try:
                paths = pd.Index(_read(path, [PATH]).column(PATH).to_pandas().astype(object))
            except _BROKEN:
                continue
            live = ~(paths.isin(seen) | paths.duplicated(keep="last"))
            seen = seen.append(paths[live])
            if live.sum() < min(ROWS_PER_PART / 2, len(live)) or len(live) < ROWS_PER_PART / 2:
                small_parts.append((path, live))
        outdated = any(live.mean() < 0.5 for _, live in small_parts)
        if len(small_parts) > _MOST_SMALL_PARTS or outdated:
            self._rewrite(small_parts)

    def _rewrite(self, parts: list[tuple[Path, NDArray[np.bool_]]]) -> None:
        waiting: list[pa.Table] = []
        # The oldest first, so that the order of age stays.
        for path, live in reversed(parts):
            try:
                waiting.append(_read(path, list(SCHEMA.names)).cast(SCHEMA).filter(pa.array(live)))
            except _BROKEN:
                continue
            if sum(map(len, waiting)) >= ROWS_PER_PART:
                self._write(pa.concat_tables(waiting))
                waiting = []
        if sum(map(len, waiting)):
            self._write(pa.concat_tables(waiting))
        for path, _ in parts:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / _LOCK_NAME):
                yield
        except OSError as error:
            raise storage_error(self.folder, error) from error


def _read(path: Path, columns: list[str]) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read(columns, use_threads=False)
