"""Image facts on the disk: Parquet parts that are written whole, read without a lock and merged when they get many."""

import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from phytoscope.data.cache_tag import TAG_NAME, tag_cache
from phytoscope.data.facts.far_facts import FETCHED_NAME, fetch_parts, share_part
from phytoscope.errors import StorageError, storage_error
from phytoscope.schema.artifact import clear_leftovers, hash_content, write_atomic
from phytoscope.schema.image_facts import (
    CHANGED_NS,
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
from phytoscope.storage.mirror import find_address
from phytoscope.transforms.decode import read_decoder_versions

FACTS_VERSION = 2
"""To be raised whenever the same file would give other facts; facts of other versions are not read."""

ROWS_PER_PART = 2_000
"""Rows of a part that is full: what is held in memory at a time."""
_MOST_SMALL_PARTS = 16
_UNUSED_AFTER_S = 30 * 24 * 3600
LOCK_NAME = ".lock"
_PART = re.compile(r"facts-[0-9a-f]{8}-[0-9]{20}-[0-9a-f]{8}\.parquet")
_TEMPORARY = re.compile(rf"\.(?:{_PART.pattern}|{re.escape(TAG_NAME)})\.[a-z0-9_]{{8}}\.tmp(?:\.\w+)?")
_INTEGERS = {SIZE_BYTES, MODIFIED_NS, CHANGED_NS, WIDTH_PX, HEIGHT_PX, GREEN_PX, EXIF_ORIENTATION}
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


STATE_COLUMNS = (SIZE_BYTES, MODIFIED_NS, CHANGED_NS)
"""What tells one state of a file from another."""


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
    """Files whose facts are looked for: absolute paths, each once, and their state.

    Attributes:
        paths: Absolute paths, N different ones.
        state: Size (-1 for a file that is not there), time of the last change of the content, and of anything,
            `STATE_COLUMNS`, shape (N, 3), int64.
    """

    paths: pd.Index
    state: NDArray[np.int64]


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
        max_megapixels: Size limit that the facts were taken under, part of their key as the decoder's version is.
    """

    def __init__(self, folder: Path, max_megapixels: float) -> None:
        self.folder = folder
        key = [FACTS_VERSION, max_megapixels, read_decoder_versions(), cv2.__version__]
        self._prefix = f"facts-{hash_content(key)[:8]}-"

    def locate(self, wanted: Wanted) -> Located:
        """Finds what is known of files; facts of an older state of a file are passed over.

        Raises:
            StorageError: What other machines know cannot be fetched from the address of the cache.
        """
        located = self._locate_here(wanted)
        if (located.part < 0).any() and find_address(self.folder) is not None:
            with self._locked():
                fetched = fetch_parts(self.folder, self._prefix)
            return self._locate_here(wanted) if fetched > 0 else located
        return located

    def _locate_here(self, wanted: Wanted) -> Located:
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
            tag_cache(self.folder)
            name = self._write(table)
            share_part(self.folder, name)
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

    def clear_leftovers(self) -> None:
        """Removes what killed writers left, where that can be done; other writers are waited for only then."""
        if any(_TEMPORARY.fullmatch(entry.name) for entry in self.folder.glob(".*")):
            # Somebody else's folder can be read all the same.
            with contextlib.suppress(StorageError), self._locked():
                clear_leftovers(self.folder)

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
                is_other = _PART.fullmatch(path.name) and not path.name.startswith(self._prefix)
                # Whoever removes by hand keeps no lock.
                with contextlib.suppress(FileNotFoundError):
                    if is_other and time.time() - path.stat().st_mtime > _UNUSED_AFTER_S:
                        path.unlink()
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
            current = (positions >= 0) & (located.part[positions] < 0)
            for column, state in zip(STATE_COLUMNS, wanted.state.T, strict=True):
                current &= state[positions] == small.column(column).to_numpy()
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
        parts = self._find_live()
        small_parts = [
            (path, live)
            for path, live in parts
            if live.sum() < min(ROWS_PER_PART / 2, len(live)) or len(live) < ROWS_PER_PART / 2
        ]
        outdated = any(live.mean() < 0.5 for _, live in small_parts)
        if len(small_parts) > _MOST_SMALL_PARTS or outdated:
            self._rewrite(small_parts)

    def _find_live(self) -> list[tuple[Path, NDArray[np.bool_]]]:
        """Parts, the newest first, and which of their rows are the newest of their files, shape (N,) each."""
        parts, names = [], [np.empty(0, dtype=np.uint64)]
        for path in self._parts():
            with contextlib.suppress(*_BROKEN):
                # Of a million files 8 MB; should two share a number, one of them is looked at once more.
                names.append(pd.util.hash_array(_read_paths(path), categorize=False)[::-1])
                parts.append(path)
        live = ~pd.Series(np.concatenate(names)).duplicated().to_numpy()
        ends = np.cumsum([len(part) for part in names])
        return [(path, own[::-1]) for path, own in zip(parts, np.split(live, ends[:-1])[1:], strict=True)]

    def _rewrite(self, parts: list[tuple[Path, NDArray[np.bool_]]]) -> None:
        waiting: list[pa.Table] = []
        # The oldest first, so that the order of age stays.
        for path, live in reversed(parts):
            with contextlib.suppress(*_BROKEN):
                waiting.append(_read(path, list(SCHEMA.names)).cast(SCHEMA).filter(pa.array(live)))
            while sum(map(len, waiting)) >= ROWS_PER_PART:
                together = pa.concat_tables(waiting)
                self._write(together.slice(0, ROWS_PER_PART))
                waiting = [together.slice(ROWS_PER_PART)]
        if sum(map(len, waiting)):
            self._write(pa.concat_tables(waiting))
        for path, _ in parts:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with lock_facts(self.folder, timeout=-1):
                yield
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(self.folder, error) from error


def is_of_store(name: str) -> bool:
    """Whether a file of this name, in a folder with our mark, is one of the store's."""
    known = (LOCK_NAME, TAG_NAME, FETCHED_NAME)
    return name in known or any(pattern.fullmatch(name) for pattern in (_PART, _TEMPORARY))


@contextlib.contextmanager
def lock_facts(folder: Path, *, timeout: float) -> Iterator[None]:
    """Keeps other writers away from a folder of facts.

    Args:
        folder: The folder; made when it is not there.
        timeout: Seconds to wait for another writer; -1 waits for ever.

    Raises:
        StorageError: The lock file cannot be written.
        Timeout: Another process writes there (of `filelock`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_NAME, timeout=timeout)
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _read_paths(path: Path) -> NDArray[np.object_]:
    return np.asarray(_read(path, [PATH]).column(PATH).to_numpy(), dtype=object)


def _read(path: Path, columns: list[str]) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read(columns, use_threads=False)
