"""One pass over the pixels: what is known of every image file, kept so that the next pass reads only what is new."""

import hashlib
import itertools
import os
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

from phytoscope.data.facts.camera import read_camera
from phytoscope.data.facts.facts_store import EMPTY_ROW, ROWS_PER_PART, SMALL_SCHEMA, FactsStore, Located, Wanted
from phytoscope.data.facts.image_features import SCALE_PX, measure_pixels
from phytoscope.errors import ArtifactError, ImageReadError
from phytoscope.schema.image_facts import (
    CHANNELS,
    FEATURES,
    FORMAT,
    GREEN_FRACTION,
    MODIFIED_NS,
    PERCEPTUAL_HASH_VARIANTS,
    REASON,
    SIZE_BYTES,
    THUMBNAIL,
    THUMBNAIL_PX,
)
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, PATH, SHA256, WIDTH_PX
from phytoscope.transforms.decode import IMAGE_SUFFIXES, decode_with_facts, read_bytes
from phytoscope.transforms.stream import map_ordered

_SECONDS_PER_PART = 20.0
_FILES_PER_TASK = 8
_TRIES = 3

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
    paths: Sequence[str], folder: Path, *, max_megapixels: float, workers: int | None, progress: Progress
) -> ImageFacts:
    """Looks at image files, each one once; files that were looked at before and have not changed are not read again.

    What is found is written as it comes, so a pass that was stopped goes on where it was. Only the small columns are
    held in memory.

    Args:
        paths: Files; one that occurs twice is read once.
        folder: Where the facts are kept.
        max_megapixels: Larger images are rejected before they are decoded.
        workers: Threads or processes; None takes one per core.
        progress: Told about every file that is read.

    Raises:
        StorageError: The folder cannot be written.
    """
    store = FactsStore(folder, max_megapixels)
    unique = pd.Index(pd.unique(pd.Series(list(paths), dtype=object)))
    wanted = _stat(unique)
    located = store.locate(wanted)
    unknown = np.flatnonzero(located.part < 0)
    reader = _Pass(store, wanted, located, max_megapixels)
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


def look_at_file(path: str, max_megapixels: float) -> tuple[dict[str, Any], bool]:
    """Reads and decodes one image file and computes all its facts.

    Args:
        path: The file.
        max_megapixels: A larger image is rejected before it is decoded.

    Returns:
        One row with all columns, and whether it stays true as long as the file does not change.
    """
    row = {**EMPTY_ROW, PATH: path}
    suffix = Path(path).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return {**row, REASON: f"unknown image extension {suffix!r}"}, False
    try:
        content, row[SIZE_BYTES], row[MODIFIED_NS] = _read_unchanging(path)
    except ImageReadError as error:
        return {**row, REASON: error.reason}, False
    try:
        image = decode_with_facts(content, name=path, max_megapixels=max_megapixels, least_px=SCALE_PX)
    except ImageReadError as error:
        # Memory may be there the next time.
        return {**row, REASON: error.reason}, not isinstance(error.__cause__, MemoryError)
    row |= {
        SHA256: hashlib.sha256(content).hexdigest(),
        FORMAT: image.format,
        CHANNELS: image.mode,
        WIDTH_PX: image.width_px,
        HEIGHT_PX: image.height_px,
        **measure_pixels(image.pixels),
        **read_camera(image.exif),
    }
    row[GREEN_PX] = int(row[GREEN_FRACTION] * image.width_px * image.height_px + 0.5)
    return row, True


def _read_unchanging(path: str) -> tuple[bytes, int, int]:
    """Bytes, size and time of the last change of a file that may be written meanwhile."""
    for _ in range(_TRIES):
        before = _stat_one(path)
        content = read_bytes(Path(path))
        if before == _stat_one(path):
            break
    # If it never came to rest, the time is that of before, and the next pass reads it again.
    return content, len(content), before[1]


def _stat_one(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a million times, and paths are slow to build
    except (OSError, ValueError):
        return -1, 0
    return found.st_size, found.st_mtime_ns


def _stat(unique: pd.Index) -> Wanted:
    found = np.array([_stat_one(path) for path in unique], dtype=np.int64).reshape(-1, 2)
    return Wanted(unique, found[:, 0], found[:, 1])


class _Pass:
    """Looks at files and writes parts as it goes.

    Args:
        store: Where facts are kept.
        wanted: The files asked for.
        located: What is known of them; what is found is added.
        max_megapixels: Size limit.
    """

    def __init__(self, store: FactsStore, wanted: Wanted, located: Located, max_megapixels: float) -> None:
        self._store, self._wanted, self._located = store, wanted, located
        self._max_megapixels = max_megapixels
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
        # Pictures are looked at side by side already, and each is too small to be cut up among threads.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from self._map(unknown, workers)
        finally:
            cv2.setNumThreads(threads)

    def _map(self, unknown: NDArray[np.int64], workers: int | None) -> Iterator[tuple[int, dict[str, Any], bool]]:
        def look(task: NDArray[np.int64]) -> list[tuple[int, dict[str, Any], bool]]:
            return [
                (int(position), *look_at_file(self._wanted.paths[position], self._max_megapixels)) for position in task
            ]

        tasks = (unknown[start : start + _FILES_PER_TASK] for start in range(0, len(unknown), _FILES_PER_TASK))
        return itertools.chain.from_iterable(map_ordered(look, tasks, workers, SilentProgress()))

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
        values, lost = self.collect(column, positions)
        if len(lost):
            again = self._look_again(self._order[positions[lost]])
            more, still_lost = again.collect(column, np.arange(len(lost)))
            if len(still_lost):
                message = f"facts in {str(self._store.folder)!r} vanish while they are read: run the command again."
                raise ArtifactError(message)
            for place, value in zip(lost, more, strict=True):
                values[place] = value
        return values

    def collect(self, column: str, positions: NDArray[np.int64]) -> tuple[list[bytes | None], NDArray[np.int64]]:
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

    def _look_again(self, at: NDArray[np.int64]) -> "_KeptColumns":
        """Finds the facts of the files `at`, shape (N,), in other parts, or takes them once more."""
        unique, order = np.unique(at, return_inverse=True)
        wanted = Wanted(self._wanted.paths[unique], self._wanted.size_bytes[unique], self._wanted.modified_ns[unique])
        now = _stat(wanted.paths)
        changed = (now.size_bytes != wanted.size_bytes) | (now.modified_ns != wanted.modified_ns)
        if changed.any():
            message = f"the image {wanted.paths[int(changed.argmax())]!r} has changed meanwhile: run the command again."
            raise ArtifactError(message)
        self._store.drop([self._parts[part] for part in np.unique(self._part[at]).tolist()])
        located = self._store.locate(wanted)
        _Pass(self._store, wanted, located, self._max_megapixels).run(
            np.flatnonzero(located.part < 0), None, SilentProgress()
        )
        return _KeptColumns(self._store, wanted, located, order, self._max_megapixels)
