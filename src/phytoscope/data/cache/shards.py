"""Arrays of one form in memory-mapped files that are published whole, checked when opened, and read as one array."""

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

SHARD_FORMAT = 2
SHARD_BYTES = 128 * 2**20
"""Largest size of a shard's arrays; one array larger than that is a shard of its own."""
PIXELS_NAME, ARRAYS_NAME, INDEX_NAME, LAST_USE_NAME = "pixels.npy", "arrays.npy", "index.json", "last_use"
SHARD_FILES = frozenset({PIXELS_NAME, ARRAYS_NAME, INDEX_NAME, LAST_USE_NAME})
_PREFIX = "shard-"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class ShardForm:
    """What every array of a shard looks like.

    Attributes:
        shape: Shape of one array.
        dtype: Its type as numpy writes it, such as `|u1` or `<f2`.
        file_name: Name of the file of the arrays.
    """

    shape: tuple[int, ...]
    dtype: str
    file_name: str = ARRAYS_NAME

    @property
    def size_bytes(self) -> int:
        """Space that one array takes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def rows(self) -> int:
        """Number of arrays in a full shard."""
        return max(1, SHARD_BYTES // max(1, self.size_bytes))


def square_form(size_px: int) -> ShardForm:
    """Form of squares of pixels, uint8, RGB."""
    return ShardForm((size_px, size_px, 3), "|u1", PIXELS_NAME)


@dataclass(frozen=True)
class Shard:
    """One published file of arrays.

    Attributes:
        place: Folder of the shard.
        names: SHA-256 of the image file behind each array, in order.
        file: File of the arrays.
    """

    place: Path
    names: tuple[str, ...]
    file: Path

    def touch(self) -> None:
        """Notes that the shard is used now; where nobody may write, nothing is noted."""
        with contextlib.suppress(OSError):
            (self.place / LAST_USE_NAME).touch()


class ShardedArrays:
    """Arrays of one form that lie in several files, read as if they were one array.

    What it gives are copies: nothing can be written through it. A loading process receives the names of the files, not
    their content.
    """

    def __init__(self, files: Sequence[str], shard_of: NDArray[np.int32], row_of: NDArray[np.int32], form: ShardForm):
        """Maps the files.

        Args:
            files: Files of arrays, each of shape (n, *form.shape).
            shard_of: File of each array, shape (N,), a position in `files`.
            row_of: Row of each array in its file, shape (N,).
            form: What each array looks like.

        Raises:
            ArtifactError: A file is not there any more, or is another one.
        """
        self._files, self._shard_of, self._row_of, self._form = tuple(files), shard_of, row_of, form
        self.shape = (len(shard_of), *form.shape)
        self.dtype = np.dtype(form.dtype)
        # All of them at once: a mapped file stays readable when another process removes it.
        self._maps = [_map(Path(file), form) for file in self._files]

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedArrays, (self._files, self._shard_of, self._row_of, self._form)

    def __len__(self) -> int:
        """Number of arrays."""
        return self.shape[0]

    @property
    def places(self) -> frozenset[Path]:
        """Folders of the shards that hold them."""
        return frozenset(Path(file).parent for file in self._files)

    def locate(self, row: int) -> tuple[str, int]:
        """File in which an array lies, and its row in that file."""
        return self._files[self._shard_of[row]], int(self._row_of[row])

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Copies arrays out of the files.

        Args:
            rows: One number, a slice, or an array of numbers, as for an array of numpy.

        Returns:
            One array for one number, else shape (N, *form.shape).

        Raises:
            IndexError: A number is out of range.
        """
        shards, places = self._shard_of[rows], self._row_of[rows]
        # Arrays are copied as flat rows, which numpy copies no slower than arrays of three dimensions.
        copies = np.empty((np.size(shards), int(np.prod(self.shape[1:]))), dtype=self.dtype)
        pairs = zip(np.ravel(shards).tolist(), np.ravel(places).tolist(), strict=True)
        for position, (shard, place) in enumerate(pairs):
            copies[position] = self._maps[shard][place]
        return copies.reshape(*np.shape(shards), *self.shape[1:])


def join_shards(names: Sequence[str], shards: Sequence[Shard], form: ShardForm) -> ShardedArrays:
    """Reads the arrays of some images as one array, in the order of their names, and notes that they are used.

    Args:
        names: SHA-256 of the image files, the same one several times or not.
        shards: Shards that together hold all of them.
        form: What each array looks like.

    Raises:
        ArtifactError: A shard was removed meanwhile.
        KeyError: No shard holds a name.
    """
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
    return ShardedArrays([str(shard.file) for shard in used], where[:, 0].copy(), where[:, 1].copy(), form)


def _map(file: Path, form: ShardForm) -> NDArray[Any]:
    """Arrays of a file as flat rows of shape (n, size of one)."""
    try:
        # The plain array over the map: a subclass would cost more than the copy of a small array.
        arrays = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        message = f"the cache {str(file)!r} was removed or damaged meanwhile ({error}): run the command again."
        raise ArtifactError(message) from error
    if arrays.dtype != np.dtype(form.dtype) or arrays.shape[1:] != form.shape:
        message = (
            f"the cache {str(file)!r} holds {arrays.dtype} {arrays.shape}, expected arrays of {np.dtype(form.dtype)} "
            f"{form.shape}: run the command again."
        )
        raise ArtifactError(message)
    return arrays.reshape(len(arrays), int(np.prod(form.shape)))


def write_shard(folder: Path, names: Sequence[str], arrays: Iterator[NDArray[Any]], form: ShardForm) -> Shard:
    """Writes the next arrays of a stream and publishes them under a name of their own.

    Args:
        folder: Where the shards of one kind lie.
        names: SHA-256 of the image file behind each array.
        arrays: Arrays of the shape and type of the form; as many are taken as there are names.
        form: What each array looks like.

    Raises:
        StorageError: The folder cannot be written or the disk is full; no part of the shard is left.
    """
    place = folder / f"{_PREFIX}{hash_content(list(names))[:16]}"
    with write_folder_atomic(place) as temporary:
        file = temporary / form.file_name
        checksum = 0
        # Written by hand and only ever mapped for reading: writing through a map into a full disk kills the process.
        with file.open("wb") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": form.dtype, "fortran_order": False, "shape": (len(names), *form.shape)}
            )
            for _ in names:
                content = next(arrays).tobytes()
                checksum = zlib.crc32(content, checksum)
                stream.write(content)
            stream.flush()
            # After a power cut a file could have its name but not its content.
            os.fsync(stream.fileno())
        _write_index(temporary, names, form, checksum)
        (temporary / LAST_USE_NAME).touch()
    return Shard(place, tuple(names), place / form.file_name)


def _write_index(place: Path, names: Sequence[str], form: ShardForm, checksum: int) -> None:
    status = (place / form.file_name).stat()
    content = {
        "format": SHARD_FORMAT,
        "shape": list(form.shape),
        "bytes": status.st_size,
        "crc32": checksum,
        "checked_mtime_ns": status.st_mtime_ns,
        "sha256": list(names),
    }
    with write_atomic(place / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(content), encoding="ascii")


def list_shard_folders(folder: Path) -> list[Path]:
    """Folders of the shards of one kind, whole or damaged, in a fixed order; none when there is no folder.

    Raises:
        StorageError: The folder cannot be opened.
    """
    try:
        return sorted(place for place in folder.iterdir() if place.name.startswith(_PREFIX) and place.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise storage_error(folder, error) from error


def read_shards(folder: Path, form: ShardForm) -> list[Shard]:
    """Reads what the whole shards of a folder hold; damaged ones are passed over.

    Args:
        folder: Where the shards of one kind lie.
        form: What each array must look like.

    Raises:
        StorageError: The folder cannot be opened.
    """
    found = (read_shard(place, form) for place in list_shard_folders(folder))
    return [shard for shard in found if shard is not None]


def read_shard(place: Path, form: ShardForm) -> Shard | None:
    """Reads what a shard holds; None when it is damaged.

    Size, shape and type are compared with what was written. The content is read and compared too when the file was
    touched since: copied to another disk, or changed by somebody.

    Args:
        place: Folder of the shard.
        form: What each array must look like.
    """
    try:
        index = json.loads((place / INDEX_NAME).read_text(encoding="ascii"))
        names = tuple(map(str, index["sha256"]))
        file = place / form.file_name
        status = file.stat()
        if (index["format"], index["shape"], index["bytes"]) != (SHARD_FORMAT, list(form.shape), status.st_size):
            return None
        with file.open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            whole = stream.tell() + len(names) * form.size_bytes == status.st_size
            if not whole or shape != (len(names), *form.shape) or fortran or dtype != np.dtype(form.dtype):
                return None
            if status.st_mtime_ns != index["checked_mtime_ns"]:
                if _checksum(stream) != index["crc32"]:
                    return None
                with contextlib.suppress(StorageError):
                    _write_index(place, names, form, index["crc32"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Shard(place, names, file)


def parse_index(content: bytes, form: ShardForm) -> tuple[str, ...]:
    """SHA-256 of the image files whose arrays a shard holds, by its index alone.

    Args:
        content: What is written in the index.
        form: What each array must look like.

    Returns:
        The names in order; none when the index is damaged, or that of arrays of another form.
    """
    try:
        index = json.loads(content)
        is_ours = (index["format"], index["shape"]) == (SHARD_FORMAT, list(form.shape))
        return tuple(map(str, index["sha256"])) if is_ours else ()
    except (ValueError, KeyError, TypeError):
        return ()


def _checksum(stream: Any) -> int:
    checksum = 0
    while content := stream.read(_CHUNK_BYTES):
        checksum = zlib.crc32(content, checksum)
    return checksum
