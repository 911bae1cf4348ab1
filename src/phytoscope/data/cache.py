"""Every image decoded and brought to the network's square once, kept as a memory map that all later steps read."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import hash_content, write_folder_atomic
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PATH, SHA256
from phytoscope.transforms.decode import decode_image, read_bytes
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered

_PIXELS_NAME = "pixels.npy"
_NAMES_NAME = "sha256.txt"


@dataclass(frozen=True)
class PixelCache:
    """Squares of all pictures of one manifest.

    Attributes:
        pixels: All P pictures, shape (P, S, S, 3), uint8, RGB, 0-255; mapped from the file, not held in memory.
        row_of: SHA-256 of a picture's file -> its row.
    """

    pixels: NDArray[np.uint8]
    row_of: dict[str, int]

    def rows(self, sha256: pd.Series) -> NDArray[np.int64]:
        """Rows of the pictures with these hashes, shape (N,), int64."""
        return np.array([self.row_of[name] for name in sha256], dtype=np.int64)


def open_pixel_cache(
    manifest: pd.DataFrame, preprocess: Preprocess, folder: Path, *, workers: int | None, progress: Progress
) -> PixelCache:
    """Opens the cache of a manifest, and builds it first when there is none for these pictures and this preparation.

    Args:
        manifest: `path` and `sha256` are read.
        preprocess: The preparation.
        folder: Where caches lie; each in a sub-folder named after pictures and preparation.
        workers: Threads; None takes one per core.
        progress: Told about every picture while building.

    Raises:
        ArtifactError: A picture has changed since the manifest was made, or somebody else changes the cache.
        ImageReadError: A picture can no longer be read.
        StorageError: The folder cannot be written or the disk is full.
    """
    unique = manifest.drop_duplicates(SHA256).sort_values(SHA256)
    names = [str(name) for name in unique[SHA256]]
    place = folder / hash_content([preprocess.pixel_hash, names])[:24]
    shape = (len(names), preprocess.size_px, preprocess.size_px, 3)
    pixels = _open(place, shape)
    if pixels is None:
        _build(unique, preprocess, place, workers, progress)
        pixels = _open(place, shape)
    if pixels is None:
        message = f"the pixel cache {str(place)!r} was changed while it was written: remove it and run again."
        raise ArtifactError(message)
    return PixelCache(pixels, {name: row for row, name in enumerate(names)})


def _open(place: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Pixels of shape (pictures, S, S, 3); None when there is no cache or it is damaged."""
    try:
        pixels: NDArray[np.uint8] = np.load(place / _PIXELS_NAME, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _build(unique: pd.DataFrame, preprocess: Preprocess, place: Path, workers: int | None, progress: Progress) -> None:
    def prepare(item: tuple[str, str]) -> NDArray[np.uint8]:
        path, sha256 = item
        content = read_bytes(Path(path))
        if hashlib.sha256(content).hexdigest() != sha256:
            message = f"the image {path!r} has changed since the data were prepared: run the prepare step again."
            raise ArtifactError(message)
        return preprocess(decode_image(content, name=path, max_megapixels=preprocess.max_megapixels))

    items = list(zip(unique[PATH], unique[SHA256], strict=True))
    shape = (len(items), preprocess.size_px, preprocess.size_px, 3)
    progress.start("Caching pixels", len(items))
    with write_folder_atomic(place) as temporary:
        _reserve(temporary / _PIXELS_NAME, shape)
        pixels = np.lib.format.open_memmap(temporary / _PIXELS_NAME, mode="r+")
        for row, square in enumerate(map_ordered(prepare, items, workers, progress)):
            pixels[row] = square
        pixels.flush()
        del pixels
        (temporary / _NAMES_NAME).write_text("\n".join(unique[SHA256]) + "\n", encoding="ascii")
    progress.finish()


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    # Writing through a memory map into a full disk kills the process, so every block is written once by hand first.
    header = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    offset = header.offset
    del header
    zeros = bytes(shape[1] * shape[2] * shape[3])
    try:
        with path.open("r+b") as stream:
            stream.seek(offset)
            for _ in range(shape[0]):
                stream.write(zeros)
    except OSError as error:
        raise storage_error(path, error) from error
