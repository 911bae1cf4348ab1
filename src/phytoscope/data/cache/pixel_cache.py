"""Every image decoded and brought to the network's square once, for all runs that look at it in the same way.

A square is known by the content of the image file and by all that decides its pixels, the decoder's version too. It
lies in `<cache>/pixels/<preparation>/shard-<content>/`: who changes one image of a thousand decodes one image, and two
runs on overlapping data share what they have in common.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.cache.far_shards import fetch_shards, share_shards
from phytoscope.data.cache.shard_folder import (
    KEY_LENGTH,
    PIXELS_FOLDER,
    begin_folder,
    check_space,
    find_missing,
    hold_folder,
)
from phytoscope.data.cache.shards import (
    SHARD_FORMAT,
    Shard,
    ShardedArrays,
    join_shards,
    read_shards,
    square_form,
    write_shard,
)
from phytoscope.data.cache.square_work import HashedFile, SquareWork
from phytoscope.data.facts.look import stat_file
from phytoscope.data.other_machines import blame_reach, leave_out_local, map_stretches
from phytoscope.errors import ArtifactError, ImageReadError
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.engine import RowEngine
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PATH, SHA256
from phytoscope.transforms.decode import read_decoder_versions
from phytoscope.transforms.preprocess import Preprocess

# Others may remove shards while these are being opened; each time what is missing is built again.
_ATTEMPTS = 3
_TASK_SQUARES = 64
"""Squares that a worker sends back together: 10 MB at 224 pixels, and a few blocks a worker wait for their turn."""


@dataclass(frozen=True)
class PixelCache:
    """Squares of all pictures of one manifest.

    Attributes:
        pixels: All P pictures, read like an array of shape (P, S, S, 3), uint8, RGB, 0-255; mapped from files.
        row_of: SHA-256 of a picture's file -> its row.
        shards: Folders of the shards that hold them.
        built: Number of pictures that had to be decoded.
    """

    pixels: ShardedArrays
    row_of: dict[str, int]
    shards: frozenset[Path]
    built: int

    @property
    def size_bytes(self) -> int:
        """Space that the squares take."""
        return int(np.prod(self.pixels.shape))

    def rows(self, sha256: pd.Series) -> NDArray[np.int64]:
        """Rows of the pictures with these hashes, shape (N,), int64."""
        return np.array([self.row_of[name] for name in sha256], dtype=np.int64)


def open_pixel_cache(
    manifest: pd.DataFrame,
    preprocess: Preprocess,
    folder: Path,
    *,
    workers: int | None,
    progress: Progress,
    engine: RowEngine | None = None,
) -> PixelCache:
    """Opens the squares of a manifest's pictures, and first builds those that are not there yet.

    Several processes may do so at once: while one builds, others that want the same preparation wait for it and then
    take what it made.

    Args:
        manifest: `path` and `sha256` are read; only the files of missing squares are opened.
        preprocess: The preparation.
        folder: Where caches lie.
        workers: Threads; None takes one per core.
        progress: Told about every picture while building.
        engine: Where pictures are decoded; in threads of this process when None. The shards are written here.

    Raises:
        ArtifactError: A picture has changed since the manifest was made, or somebody else keeps removing the cache.
        ClusterError: The cluster cannot be reached, or its machines do not find the pictures.
        ImageReadError: A picture can no longer be read.
        StorageError: The folder cannot be written or the disk is full; the shards that were finished are kept.
    """
    unique = manifest.drop_duplicates(SHA256)
    place = folder / PIXELS_FOLDER / name_preparation(preprocess)
    names = [str(name) for name in unique[SHA256]]
    built = 0
    for _ in range(_ATTEMPTS):
        shards = read_shards(place, square_form(preprocess.size_px))
        missing = find_missing(names, shards)
        if missing:
            with hold_folder(place, progress):
                shards, count = _build(unique, place, _Decoding(SquareWork(preprocess), workers, engine, progress))
            built += count
        with contextlib.suppress(ArtifactError):
            return _join(names, shards, preprocess.size_px, built)
    message = f"the pixel cache {str(place)!r} is removed by somebody again and again while it is opened: run again."
    raise ArtifactError(message)


def name_preparation(preprocess: Preprocess) -> str:
    """Name of the folder for squares made in this way by this decoder."""
    return hash_content([SHARD_FORMAT, preprocess.pixel_hash, read_decoder_versions()])[:KEY_LENGTH]


def _join(names: list[str], shards: list[Shard], size_px: int, built: int) -> PixelCache:
    pixels = join_shards(names, shards, square_form(size_px))
    return PixelCache(pixels, {name: row for row, name in enumerate(names)}, pixels.places, built)


@dataclass(frozen=True)
class _Decoding:
    """How files become squares, here or elsewhere."""

    work: SquareWork
    workers: int | None
    engine: RowEngine | None
    progress: Progress

    def stream(self, files: list[HashedFile]) -> Iterator[NDArray[np.uint8]]:
        """Squares of files in their order; not many more are decoded than are taken."""
        engine = leave_out_local(self.engine)
        if engine is None:
            squares = self.work.open(self.workers)(files)
        else:
            squares = map_stretches(engine, self.work, files, title="Caching pixels", task_rows=_TASK_SQUARES)
        try:
            for square in squares:
                yield square
                self.progress.advance()
        except ImageReadError as error:
            # What was read when the data were prepared can be read here, and perhaps only here.
            if engine is not None and stat_file(error.path)[0] >= 0:
                raise blame_reach(error.path, error.reason) from error
            raise


def _build(unique: pd.DataFrame, place: Path, decoding: _Decoding) -> tuple[list[Shard], int]:
    preprocess, progress = decoding.work.preprocess, decoding.progress
    form = square_form(preprocess.size_px)
    shards = begin_folder(place, form, _describe(preprocess))
    if fetch_shards(place, form, find_missing(list(unique[SHA256]), shards), progress) > 0:
        shards = read_shards(place, form)
    missing = unique[unique[SHA256].isin(find_missing(list(unique[SHA256]), shards))]
    if missing.empty:
        return shards, 0
    check_space(place, len(missing) * form.size_bytes, "the pixels")
    items = list(zip(map(str, missing[PATH]), map(str, missing[SHA256]), strict=True))
    progress.start("Caching pixels", len(items))
    squares = decoding.stream(items)
    for first in range(0, len(items), form.rows):
        names = [sha256 for _, sha256 in items[first : first + form.rows]]
        shards.append(write_shard(place, names, squares, form))
    # The pool's last word, so that its threads end here.
    next(squares, None)
    progress.finish()
    share_shards(place, shards)
    return shards, len(items)


def _describe(preprocess: Preprocess) -> dict[str, Any]:
    return {
        "format": SHARD_FORMAT,
        "size_px": preprocess.size_px,
        "resize": preprocess.resize.value,
        "interpolation": preprocess.interpolation,
        "reduced": preprocess.reduced,
        "decoder": read_decoder_versions(),
    }
