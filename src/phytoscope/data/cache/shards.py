"""Squares of pixels in memory-mapped files that are published whole, checked when opened, and read as one array."""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ArtifactError, StorageError, storage_error
from phytoscope.schema.artifact import hash_content, write_atomic, write_folder_atomic

SHARD_FORMAT = 1
SHARD_BYTES = 128 * 2**20
"""Largest size of a shard's pixels; one square larger than that is a shard of its own."""
PIXELS_NAME, INDEX_NAME, LAST_USE_NAME = "pixels.npy", "index.json", "last_use"
SHARD_FILES = frozenset({PIXELS_NAME, INDEX_NAME, LAST_USE_NAME})
_PREFIX = "shard-"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Shard:
    """One published file of squares.

    Attributes:
        place: Folder of the shard.
        names: SHA-256 of the image file behind each square, in order.
    """

    place: Path
    names: tuple[str, ...]

    @property
    def pixels_path(self) -> Path:
        """File of the squares."""
        return self.place / PIXELS_NAME

    def touch(self) -> None:
        """Notes that the shard is used now; where nobody may write, nothing is noted."""
        with contextlib.suppress(OSError):
            (self.place / LAST_USE_NAME).touch()


class ShardedPixels:
    """Squares that lie in several files, read as if they were one array.

    What it gives are copies: nothing can be written through it. A loading process receives the names of the files, not
    their content.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, files: Sequence[str], shard_of: NDArray[np.int32], row_of: NDArray[np.int32], size_px: int):
        """Maps the files.

        Args:
            files: Files of squares, each of shape (n, S, S, 3), uint8, RGB, 0-255.
            shard_of: File of each square, shape (N,), a position in `files`.
            row_of: Row of each square in its file, shape (N,).
            size_px: Side S of a square.

        Raises:
            ArtifactError: A file is not there any more, or is another one.
        """
        self._files, self._shard_of, self._row_of = tuple(files), shard_of, row_of
        self.shape = (len(shard_of), size_px, size_px, 3)
        # All of them at once: a mapped file stays readable when another process removes it.
        self._maps = [_map(Path(file), size_px) for file in self._files]

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedPixels, (self._files, self._shard_of, self._row_of, self.shape[1])

    def __len__(self) -> int:
        """Number of squares."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """Copies squares out of the files.

        Args:
            rows: One number, a slice, or an array of numbers, as for an array of numpy.

        Returns:
            Shape (S, S, 3) for one number, else (N, S, S, 3), uint8, RGB, 0-255.

        Raises:
            IndexError: A number is out of range.
        """
        shards, places = self._shard_of[rows], self._row_of[rows]
        # Squares are copied as flat rows, which numpy copies no slower than arrays of three dimensions.
        squares = np.empty((np.size(shards), int(np.prod(self.shape[1:]))), dtype=np.uint8)
        pairs = zip(np.ravel(shards).tolist(), np.ravel(places).tolist(), strict=True)
        for position, (shard, place) in enumerate(pairs):
            squares[position] = self._maps[shard][place]
        return squares.reshape(*np.shape(shards), *self.shape[1:])


def _map(file: Path, size_px: int) -> NDArray[np.uint8]:
    """Squares of a file as flat rows of shape (n, S * S * 3), uint8."""
    try:
        # The plain array over the map: a subclass would cost more than the copy of a small square.
        pixels = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        message = f"the pixel cache {str(file)!r} was removed or damaged meanwhile ({error}): run the command again."
        raise ArtifactError(message) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size_px, size_px, 3):
        message = (
            f"the pixel cache {str(file)!r} holds {pixels.dtype} {pixels.shape}, expected uint8 squares of {size_px} "
            "pixels: run the command again."
        )
        raise ArtifactError(message)
    return pixels.reshape(len(pixels), 3 * size_px**2)


def count_rows(size_px: int) -> int:
    """Number of squares of a side in a full shard."""
    return max(1, SHARD_BYTES // (3 * size_px * size_px))


def write_shard(folder: Path, names: Sequence[str], squares: Iterator[NDArray[np.uint8]], size_px: int) -> Shard:
    """Writes the next squares of a stream and publishes them under a name of their own.

    Args:
        folder: Where the shards of one preparation lie.
        names: SHA-256 of the image file behind each square.
        squares: Squares of shape (S, S, 3), uint8, RGB, 0-255; as many are taken as there are names.
        size_px: Side S of a square.

    Raises:
        StorageError: The folder cannot be written or the disk is full; no part of the shard is left.
    """
    place = folder / f"{_PREFIX}{hash_content(list(names))[:16]}"
    with write_folder_atomic(place) as temporary:
        file = temporary / PIXELS_NAME
        checksum = 0
        # Written by hand and only ever mapped for reading: writing through a map into a full disk kills the process.
        with file.open("wb") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "|u1", "fortran_order": False, "shape": (len(names), size_px, size_px, 3)}
            )
            for _ in names:
                content = next(squares).tobytes()
                checksum = zlib.crc32(content, checksum)
                stream.write(content)
            stream.flush()
            # After a power cut a file could have its name but not its content.
            os.fsync(stream.fileno())
        _write_index(temporary, names, size_px, checksum)
        (temporary / LAST_USE_NAME).touch()
    return Shard(place, tuple(names))


def _write_index(place: Path, names: Sequence[str], size_px: int, checksum: int) -> None:
    status = (place / PIXELS_NAME).stat()
    content = {
        "format": SHARD_FORMAT,
        "size_px": size_px,
        "bytes": status.st_size,
        "crc32": checksum,
        "checked_mtime_ns": status.st_mtime_ns,
        "sha256": list(names),
    }
    with write_atomic(place / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(content), encoding="ascii")


def list_shard_folders(folder: Path) -> list[Path]:
    """Folders of the shards of one preparation, whole or damaged, in a fixed order; none when there is no folder.

    Raises:
        StorageError: The folder cannot be opened.
    """
    try:
        return sorted(place for place in folder.iterdir() if place.name.startswith(_PREFIX) and place.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise storage_error(folder, error) from error


def read_shard(place: Path, size_px: int) -> Shard | None:
    """Reads what a shard holds; None when it is damaged.

    Size, shape and type are compared with what was written. The content is read and compared too when the file was
    touched since: copied to another disk, or changed by somebody.

    Args:
        place: Folder of the shard.
        size_px: Side of a square.
    """
    try:
        index = json.loads((place / INDEX_NAME).read_text(encoding="ascii"))
        names = tuple(map(str, index["sha256"]))
        known = (index["format"], index["size_px"], index["bytes"])
        status = (place / PIXELS_NAME).stat()
        if known != (SHARD_FORMAT, size_px, status.st_size):
            return None
        with (place / PIXELS_NAME).open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            whole = stream.tell() + len(names) * 3 * size_px**2 == status.st_size
            if not whole or shape != (len(names), size_px, size_px, 3) or fortran or dtype != np.uint8:
                return None
            if status.st_mtime_ns != index["checked_mtime_ns"]:
                if _checksum(stream) != index["crc32"]:
                    return None
                with contextlib.suppress(StorageError):
                    _write_index(place, names, size_px, index["crc32"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Shard(place, names)


def _checksum(stream: Any) -> int:
    checksum = 0
    while content := stream.read(_CHUNK_BYTES):
        checksum = zlib.crc32(content, checksum)
    return checksum
