"""One pass over the pixels: what is known of every image file, kept so that the next pass reads only what is new."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phytoscope.data.facts.facts_store import (
    EMPTY_ROW,
    ROWS_PER_PART,
    SMALL_SCHEMA,
    FactsStore,
    Located,
    Wanted,
)
from phytoscope.data.facts.look import look_at_file, stat_files
from phytoscope.data.facts.look_work import Look, LookWork
from phytoscope.data.facts.side_by_side import count_helpers, look_side_by_side
from phytoscope.data.other_machines import blame_reach, leave_out_local, map_stretches
from phytoscope.errors import ArtifactError
from phytoscope.schema.engine import RowEngine
from phytoscope.schema.image_facts import (
    CHANGED_NS,
    FEATURES,
    MODIFIED_NS,
    PERCEPTUAL_HASH_VARIANTS,
    REASON,
    SIZE_BYTES,
    THUMBNAIL,
    THUMBNAIL_PX,
)
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.table import PATH

_SECONDS_PER_PART = 20.0
_FILES_PER_TASK = 16
_TRIES = 3
# A store may refuse one machine a few files for a moment; a machine without the folder lacks all of them.
_MOST_STRAYS = 8

LongReader = Callable[[str, NDArray[np.int64]], list[bytes | None]]
"""Gives the values of a long column at some positions, shape (N,); None where a file is unreadable."""


def _nothing_kept(column: str, positions: NDArray[np.int64]) -> list[bytes | None]:
    message = f"these image facts have no {column!r} of {len(positions)} files: take them from `read_image_facts`."
    raise ArtifactError(message)


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a list of image files.

    Attributes:
        table: One row a file, in the order asked for, columns `SMALL_COLUMNS`; the index counts from 0.
        read_long: Reads the long columns, which stay on the disk.
    """

    table: pd.DataFrame
    read_long: LongReader = _nothing_kept

    def thumbnails(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Small pictures of some files, shape (N, 32, 32, 3), uint8, RGB, 0-255; zeros where a file is unreadable."""
        pixels = self._read(THUMBNAIL, positions, THUMBNAIL_PX * THUMBNAIL_PX * 3)
        return pixels.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX, 3)

    def features(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Descriptors of colour and texture, shape (N, D), float32; zeros where a file is unreadable."""
        return self._read(FEATURES, positions, None).view("<f2").astype(np.float32)

    def hash_variants(self, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Perceptual hashes of the eight mirrored and turned versions, shape (N, 8), uint64."""
        return self._read(PERCEPTUAL_HASH_VARIANTS, positions, 64).view("<u8").astype(np.uint64)

    def _read(self, column: str, positions: NDArray[np.int64], length: int | None) -> NDArray[np.uint8]:
        values = self.read_long(column, np.asarray(positions, dtype=np.int64))
        width = length if length is not None else max((len(value) for value in values if value is not None), default=0)
        found = np.zeros((len(values), width), dtype=np.uint8)
        for place, value in zip(found, values, strict=True):
            if value is not None:
                place[:] = np.frombuffer(value, dtype=np.uint8)
        return found


def read_image_facts(
    paths: Sequence[str],
    folder: Path,
    *,
    max_megapixels: float,
    workers: int | None,
    progress: Progress,
    engine: RowEngine | None = None,
) -> ImageFacts:
    """Looks at image files, each one once; files that were looked at before and have not changed are not read again.

    What is found is written as it comes, so a pass that was stopped goes on where it was. Only the small columns are
    held in memory.

    Args:
        paths: Files; one that occurs twice is read once.
        folder: Where the facts are kept.
        max_megapixels: Larger images are rejected before they are decoded.
        workers: Processes, this one among them; None takes one per core.
        progress: Told about every file that is read.
        engine: Where files are looked at; in this process and helping ones when None. What is found is written here.

    Raises:
        ClusterError: The cluster cannot be reached, or its machines do not find the files.
        StorageError: The folder cannot be written.
    """
    store = FactsStore(folder, max_megapixels)
    store.clear_leftovers()
    unique = pd.Index(pd.unique(pd.Series(list(paths), dtype=object)))
    wanted = _stat(unique)
    located = store.locate(wanted)
    unknown = np.flatnonzero(located.part < 0)
    reader = _Pass(store, wanted, located, max_megapixels, leave_out_local(engine))
    if len(unknown):
        note = f" again: {len(located.damaged)} damaged files of facts" if located.damaged else ""
        progress.start(f"Looking at images{note}", len(unknown))
        reader.run(unknown, workers, progress)
        progress.finish()
        store.tidy(located.damaged)
    order = unique.get_indexer(pd.Index(list(paths), dtype=object))
    table = reader.table(order)
    table[PATH] = list(paths)
    return ImageFacts(table, _KeptColumns(store, wanted, located, order, max_megapixels))


def _stat(unique: pd.Index) -> Wanted:
    return Wanted(unique, stat_files(list(unique)))


class _Pass:
    """Looks at files and writes parts as it goes.

    Args:
        store: Where facts are kept.
        wanted: The files asked for.
        located: What is known of them; what is found is added.
        max_megapixels: Size limit.
        engine: Other machines that look; None when this one does.
    """

    def __init__(
        self,
        store: FactsStore,
        wanted: Wanted,
        located: Located,
        max_megapixels: float,
        engine: RowEngine | None = None,
    ) -> None:
        self._store, self._wanted, self._located = store, wanted, located
        self._max_megapixels, self._engine = max_megapixels, engine
        self._strays = 0
        self._rows: list[dict[str, Any]] = []
        self._positions: list[int] = []
        self._passing: list[tuple[int, dict[str, Any]]] = []

    def run(self, unknown: NDArray[np.int64], workers: int | None, progress: Progress) -> None:
        """Looks at the files at these positions, shape (N,)."""
        written = time.monotonic()
        try:
            for position, row, stays in self._look(unknown, workers):
                if stays:
                    self._rows.append(row)
                    self._positions.append(position)
                else:
                    self._passing.append((position, row))
                progress.advance()
                if len(self._rows) >= ROWS_PER_PART or time.monotonic() - written > _SECONDS_PER_PART:
                    self._write()
                    written = time.monotonic()
        finally:
            # Also when it is interrupted: nothing that was read is lost.
            self._write()

    def table(self, order: NDArray[np.int64]) -> pd.DataFrame:
        """Small columns of the files at positions `order`, shape (N,)."""
        positions = [part for part, _ in self._located.small]
        tables = [small for _, small in self._located.small]
        positions.append(np.array([position for position, _ in self._passing], dtype=np.int64))
        tables.append(pa.Table.from_pylist([row for _, row in self._passing], schema=SMALL_SCHEMA))
        place = np.empty(len(self._wanted.paths), dtype=np.int64)
        together = np.concatenate(positions)
        place[together] = np.arange(len(together))
        table: pd.DataFrame = pa.concat_tables(tables).take(pa.array(place[order])).to_pandas()
        return table

    def _look(self, unknown: NDArray[np.int64], workers: int | None) -> Iterator[tuple[int, dict[str, Any], bool]]:
        if self._engine is None:
            yield from self._look_here(unknown, workers)
            return
        is_there = self._wanted.state[unknown, 0] >= 0
        # That a file is missing can be told without asking anybody.
        yield from self._look_here(unknown[~is_there], 1)
        yield from self._look_elsewhere(unknown[is_there], self._engine)

    def _look_elsewhere(
        self, unknown: NDArray[np.int64], engine: RowEngine
    ) -> Iterator[tuple[int, dict[str, Any], bool]]:
        paths = [str(path) for path in self._wanted.paths[unknown]]
        found = map_stretches(engine, LookWork(self._max_megapixels), paths, title="Looking at images")
        for position, path, look in zip(unknown.tolist(), paths, found, strict=True):
            row, stays = self._check_reach(path, look)
            size, modified, changed = self._wanted.state[position].tolist()
            if (row.get(SIZE_BYTES), row.get(MODIFIED_NS)) == (size, modified):
                # A copy on another machine has an entry of its own; the next pass compares with the one here.
                row = {**row, CHANGED_NS: changed}
            yield position, EMPTY_ROW | row, stays

    def _check_reach(self, path: str, look: Look) -> Look:
        """What was found elsewhere, or here when the file could not be opened there; not many times."""
        if SIZE_BYTES in look[0]:
            return look
        here = look_at_file(path, self._max_megapixels)
        self._strays += SIZE_BYTES in here[0]
        if self._strays > _MOST_STRAYS:
            raise blame_reach(path, str(look[0][REASON]))
        return here

    def _look_here(self, unknown: NDArray[np.int64], workers: int | None) -> Iterator[tuple[int, dict[str, Any], bool]]:
        # Pictures are looked at side by side already, and each is too small to be cut up among threads.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        tasks = (unknown[start : start + _FILES_PER_TASK] for start in range(0, len(unknown), _FILES_PER_TASK))
        named = ((task, [str(self._wanted.paths[position]) for position in task]) for task in tasks)
        helpers = count_helpers(len(unknown), workers)
        try:
            for task, found in look_side_by_side(named, self._max_megapixels, helpers):
                for position, (row, stays) in zip(task.tolist(), found, strict=True):
                    yield position, EMPTY_ROW | row, stays
        finally:
            cv2.setNumThreads(threads)

    def _write(self) -> None:
        if self._rows:
            name, small = self._store.append(self._rows)
            positions = np.array(self._positions, dtype=np.int64)
            self._located.add(name, positions, np.arange(len(positions)), small)
        self._rows, self._positions = [], []


class _KeptColumns:
    """Reader of the long columns, one part after the other.

    Args:
        store: Where they are kept.
        wanted: The files.
        located: Where their facts stand.
        order: Index into `wanted` of each row of the table, shape (N,).
        max_megapixels: Size limit, for files that must be looked at again.
    """

    def __init__(
        self, store: FactsStore, wanted: Wanted, located: Located, order: NDArray[np.int64], max_megapixels: float
    ) -> None:
        self._store, self._wanted, self._order, self._max_megapixels = store, wanted, order, max_megapixels
        self._part, self._row, self._parts = located.part, located.row, list(located.parts)

    def __call__(self, column: str, positions: NDArray[np.int64]) -> list[bytes | None]:
        """Values of a long column at some rows of the table, shape (N,); None where a file is unreadable.

        Raises:
            ArtifactError: The facts are gone, and so is the state of the files that they were taken of.
            StorageError: Facts that were lost cannot be written again.
        """
        for _ in range(_TRIES):
            values, lost = self._collect(column, positions)
            if not len(lost):
                return values
            self._look_again(np.unique(self._order[positions[lost]]))
        message = f"facts in {str(self._store.folder)!r} vanish while they are read: run the command again."
        raise ArtifactError(message)

    def _collect(self, column: str, positions: NDArray[np.int64]) -> tuple[list[bytes | None], NDArray[np.int64]]:
        """Values, shape (N,), and which of them could not be read because their part is gone or damaged, shape (M,)."""
        at = self._order[positions]
        values: list[bytes | None] = [None] * len(at)
        lost = [np.empty(0, dtype=np.int64)]
        for part in np.unique(self._part[at]).tolist():
            if part < 0:
                continue
            inside = np.flatnonzero(self._part[at] == part)
            found = self._store.read_long(self._parts[part], column)
            if found is None:
                lost.append(inside)
                continue
            for place, value in zip(inside, found.take(pa.array(self._row[at[inside]])).to_pylist(), strict=True):
                values[place] = value
        return values, np.concatenate(lost)

    def _look_again(self, at: NDArray[np.int64]) -> None:
        """Finds the facts of the files `at`, shape (N,), in other parts, or takes them once more."""
        wanted = Wanted(self._wanted.paths[at], self._wanted.state[at])
        changed = (_stat(wanted.paths).state != wanted.state).any(axis=1)
        if changed.any():
            message = f"the image {wanted.paths[int(changed.argmax())]!r} has changed meanwhile: run the command again."
            raise ArtifactError(message)
        self._store.drop([self._parts[part] for part in np.unique(self._part[at]).tolist()])
        located = self._store.locate(wanted)
        _Pass(self._store, wanted, located, self._max_megapixels).run(
            np.flatnonzero(located.part < 0), None, SilentProgress()
        )
        self._part[at] = np.where(located.part < 0, located.part, located.part + len(self._parts))
        self._row[at] = located.row
        self._parts += located.parts
