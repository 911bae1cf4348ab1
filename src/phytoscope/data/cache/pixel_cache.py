"""Every image decoded and brought to the network's square once, for all runs that look at it in the same way.

A square is known by the content of the image file and by all that decides its pixels, the decoder's version too. It
lies in `<cache>/pixels/<preparation>/shard-<content>/`: who changes one image of a thousand decodes one image, and two
runs on overlapping data share what they have in common.
"""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PATH, SHA256
from phytoscope.transforms.decode import read_bytes, read_decoder_versions
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered

# Others may remove shards while these are being opened; each time what is missing is built again.
_ATTEMPTS = 3


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
    manifest: pd.DataFrame, preprocess: Preprocess, folder: Path, *, workers: int | None, progress: Progress
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

    Raises:
        ArtifactError: A picture has changed since the manifest was made, or somebody else keeps removing the cache.
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
                shards, count = _build(unique, preprocess, place, workers, progress)
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


def _build(
    unique: pd.DataFrame, preprocess: Preprocess, place: Path, workers: int | None, progress: Progress
) -> tuple[list[Shard], int]:
    form = square_form(preprocess.size_px)
    shards = begin_folder(place, form, _describe(preprocess))
    missing = unique[unique[SHA256].isin(find_missing(list(unique[SHA256]), shards))]
    if missing.empty:
        return shards, 0
    check_space(place, len(missing) * form.size_bytes, "the pixels")
    items = list(zip(map(str, missing[PATH]), map(str, missing[SHA256]), strict=True))
    progress.start("Caching pixels", len(items))
    squares = map_ordered(_prepare_with(preprocess), items, workers, progress)
    for first in range(0, len(items), form.rows):
        names = [sha256 for _, sha256 in items[first : first + form.rows]]
        shards.append(write_shard(place, names, squares, form))
    # The pool's last word, so that its threads end here.
    next(squares, None)
    progress.finish()
    return shards, len(items)


def _prepare_with(preprocess: Preprocess) -> Callable[[tuple[str, str]], NDArray[np.uint8]]:
    def prepare(item: tuple[str, str]) -> NDArray[np.uint8]:
        path, sha256 = item
        content = read_bytes(Path(path))
        if hashlib.sha256(content).hexdigest() != sha256:
            message = (
                f"the image {path!r} has changed since the data were prepared: run the prepare step again, or a new "
                "run (--fresh) if the file kept its size and time."
            )
            raise ArtifactError(message)
        return read_photo(content, preprocess, path).square

    return prepare


def _describe(preprocess: Preprocess) -> dict[str, Any]:
    return {
        "format": SHARD_FORMAT,
        "size_px": preprocess.size_px,
        "resize": preprocess.resize.value,
        "interpolation": preprocess.interpolation,
        "reduced": preprocess.reduced,
        "decoder": read_decoder_versions(),
    }
