"""Every image decoded and brought to the network's square once, for all runs that look at it in the same way.

A square is known by the content of the image file and by all that decides its pixels, the decoder's version too. It
lies in `<cache>/pixels/<preparation>/shard-<content>/`: who changes one image of a thousand decodes one image, and two
runs on overlapping data share what they have in common.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.cache.shards import (
    SHARD_FORMAT,
    Shard,
    ShardedPixels,
    count_rows,
    list_shard_folders,
    read_shard,
    write_shard,
)
from phytoscope.data.cache_tag import tag_cache
from phytoscope.errors import ArtifactError, StorageError, storage_error
from phytoscope.schema.artifact import clear_leftovers, hash_content, write_json
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PATH, SHA256
from phytoscope.transforms.decode import decode_image, read_bytes, read_decoder_versions
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered

PIXELS_FOLDER, FACTS_FOLDER, ABOUT_NAME = "pixels", "facts", "about.json"
_KEY_LENGTH = 24
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

    pixels: ShardedPixels
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
        shards = _read_shards(place, preprocess.size_px)
        missing = _find_missing(names, shards)
        if missing:
            with _locked(place, progress):
                shards, count = _build(unique, preprocess, place, workers, progress)
            built += count
        with contextlib.suppress(ArtifactError):
            return _join(names, shards, preprocess.size_px, built)
    message = f"the pixel cache {str(place)!r} is removed by somebody again and again while it is opened: run again."
    raise ArtifactError(message)


def name_preparation(preprocess: Preprocess) -> str:
    """Name of the folder for squares made in this way by this decoder."""
    return hash_content([SHARD_FORMAT, preprocess.pixel_hash, read_decoder_versions()])[:_KEY_LENGTH]


@contextlib.contextmanager
def lock_preparation(place: Path, *, timeout: float) -> Iterator[None]:
    """Keeps other writers away from the squares of one preparation.

    Args:
        place: Folder of the preparation.
        timeout: Seconds to wait for another writer; -1 waits for ever.

    Raises:
        StorageError: The lock file cannot be written.
        Timeout: Another process builds or removes there (of `filelock`).
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place.with_name(place.name + ".lock"), timeout=timeout)
        lock.acquire()
    except filelock.Timeout:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _locked(place: Path, progress: Progress) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_preparation(place, timeout=0))
        except filelock.Timeout:
            progress.start("Waiting for another run that fills the cache", None)
            stack.enter_context(lock_preparation(place, timeout=-1))
            progress.finish()
        yield


def _read_shards(place: Path, size_px: int) -> list[Shard]:
    found = (read_shard(shard, size_px) for shard in list_shard_folders(place))
    return [shard for shard in found if shard is not None]


def _find_missing(names: list[str], shards: list[Shard]) -> set[str]:
    return set(names).difference(*(shard.names for shard in shards))


def _join(names: list[str], shards: list[Shard], size_px: int, built: int) -> PixelCache:
    wanted = set(names)
    used: list[Shard] = []
    found: dict[str, tuple[int, int]] = {}
    for shard in shards:
        places = {
            name: (len(used), row) for row, name in enumerate(shard.names) if name in wanted and name not in found
        }
        if places:
            used.append(shard)
            found |= places
            shard.touch()
    where = np.array([found[name] for name in names], dtype=np.int32).reshape(-1, 2)
    files = [str(shard.pixels_path) for shard in used]
    pixels = ShardedPixels(files, where[:, 0].copy(), where[:, 1].copy(), size_px)
    row_of = {name: row for row, name in enumerate(names)}
    return PixelCache(pixels, row_of, frozenset(shard.place for shard in used), built)


def _build(
    unique: pd.DataFrame, preprocess: Preprocess, place: Path, workers: int | None, progress: Progress
) -> tuple[list[Shard], int]:
    size_px = preprocess.size_px
    shards = _begin(place, preprocess)
    missing = unique[unique[SHA256].isin(_find_missing(list(unique[SHA256]), shards))]
    if missing.empty:
        return shards, 0
    _check_space(place, len(missing) * 3 * size_px**2)
    items = list(zip(map(str, missing[PATH]), map(str, missing[SHA256]), strict=True))
    progress.start("Caching pixels", len(items))
    squares = map_ordered(_prepare_with(preprocess), items, workers, progress)
    step = count_rows(size_px)
    for first in range(0, len(items), step):
        names = [sha256 for _, sha256 in items[first : first + step]]
        shards.append(write_shard(place, names, squares, size_px))
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
        return preprocess(decode_image(content, name=path, max_megapixels=preprocess.max_megapixels))

    return prepare


def _begin(place: Path, preprocess: Preprocess) -> list[Shard]:
    try:
        place.mkdir(parents=True, exist_ok=True)
        clear_leftovers(place)
        shards = _read_shards(place, preprocess.size_px)
        for damaged in set(list_shard_folders(place)) - {shard.place for shard in shards}:
            shutil.rmtree(damaged)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    tag_cache(place.parents[1])
    about: dict[str, Any] = {
        "format": SHARD_FORMAT,
        "size_px": preprocess.size_px,
        "resize": preprocess.resize.value,
        "interpolation": preprocess.interpolation,
        "decoder": read_decoder_versions(),
    }
    if not (place / ABOUT_NAME).is_file():
        write_json(place / ABOUT_NAME, about)
    return shards


def _check_space(place: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(place).free
    if needed_bytes > free_bytes:
        message = (
            f"cannot write {str(place)!r} (the pixels need {needed_bytes / 1e9:.2f} GB, the disk has "
            f"{free_bytes / 1e9:.2f} GB left): free some space (`phytoscope cache prune`), or choose another "
            "paths.cache_dir."
        )
        raise StorageError(message)
