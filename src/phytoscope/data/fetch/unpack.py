"""Unpacks an archive from the network: nothing leaves the folder, and half an archive never looks like a whole one."""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any

from phytoscope.errors import DownloadError, StorageError
from phytoscope.schema.progress import Progress

_COPY_BYTES = 1 << 20
# Photographs hardly compress: an archive that grows more than this was made to fill the disk.
_MOST_GROWTH = 100
_GROWTH_IGNORED_BYTES = 1 << 28
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_TAR_BLOCK_BYTES = 512
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
Place = Callable[[str], str | None]
"""From a member's name in the archive to its name in the folder; None leaves it out."""


def unpack_archive(archive: Path, folder: Path, *, progress: Progress, place: Place = lambda name: name) -> int:
    """Unpacks the files of a zip or tar archive into an existing folder.

    Links and devices are left out. The caller makes the folder appear at once, see `write_folder_atomic`.

    Args:
        archive: A `.zip`, `.tar`, `.tar.gz`, `.tar.bz2` or `.tar.xz` file, known by its content.
        folder: Where to.
        progress: Told about every file.
        place: Which files are wanted, and under which name.

    Returns:
        Number of files written.

    Raises:
        DownloadError: The file is no archive, damaged or encrypted, or a member would leave the folder.
        StorageError: There is not enough room on the disk.
    """
    progress.start(f"Unpacking {archive.name}", None)
    count = 0
    try:
        members, needed = _zip_members(archive, place) if zipfile.is_zipfile(archive) else _tar_members(archive, place)
        if needed > max(_GROWTH_IGNORED_BYTES, _MOST_GROWTH * archive.stat().st_size):
            message = (
                f"{archive.name!r} would grow from {archive.stat().st_size / 1e6:.1f} MB to {needed / 1e6:.0f} MB: no "
                "archive of images does that, so it is not unpacked."
            )
            raise DownloadError(message)
        free = shutil.disk_usage(folder).free
        if needed > free:
            message = (
                f"unpacking {archive.name!r} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: free some "
                "space, or choose another place."
            )
            raise StorageError(message)
        for name, stream in members:
            target = _target(folder, name, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            with stream, target.open("xb") as output:
                shutil.copyfileobj(stream, output, _COPY_BYTES)
            count += 1
            progress.advance()
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        if reason == "file could not be opened successfully":
            reason = "it is neither a zip nor a tar archive" + _describe_start(archive)
        message = f"{archive.name!r} cannot be unpacked ({reason}): fetch it again."
        raise DownloadError(message) from error
    except FileExistsError as error:
        message = f"{archive.name!r} holds two files that would get the name {str(error.filename)!r}."
        raise DownloadError(message) from error
    finally:
        progress.finish()
    return count


def _describe_start(archive: Path) -> str:
    with archive.open("rb") as stream:
        start = stream.read(200).lstrip().lower()
    is_page = start.startswith((b"<!doctype html", b"<html"))
    return " but a web page: does the source want a login first?" if is_page else ""


def _target(folder: Path, name: str, archive: Path) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        message = f"{archive.name!r} holds {name!r}, which would be written outside of the folder: do not trust it."
        raise DownloadError(message)
    return folder / path


def _zip_members(archive: Path, place: Place) -> tuple[Iterator[tuple[str, IO[bytes]]], int]:
    with zipfile.ZipFile(archive) as book:
        wanted = [
            (name, info)
            for info in book.infolist()
            if not info.is_dir()
            and not stat.S_ISLNK(info.external_attr >> 16)
            and (name := place(info.filename)) is not None
        ]

    def read() -> Iterator[tuple[str, IO[bytes]]]:
        with zipfile.ZipFile(archive) as book:
            for name, info in wanted:
                yield name, book.open(info)

    return read(), sum(info.file_size for _, info in wanted)


def _tar_members(archive: Path, place: Place) -> tuple[Iterator[tuple[str, IO[bytes]]], int]:
    _check_tar_is_whole(archive)
    with tarfile.open(archive) as book:
        needed = sum(member.size for member in book if member.isfile() and place(member.name) is not None)

    def read() -> Iterator[tuple[str, IO[bytes]]]:
        with closing(tarfile.open(archive)) as book:
            for member in book:
                name = place(member.name) if member.isfile() else None
                stream = book.extractfile(member) if name is not None else None
                if name is not None and stream is not None:
                    yield name, stream

    return read(), needed


def _check_tar_is_whole(archive: Path) -> None:
    # tarfile takes a damaged header for the end, and never reads on to the checksum of the compression around it.
    with tarfile.open(archive) as book:
        for _ in book:
            pass
        end = book.offset
    with archive.open("rb") as plain:
        magic = plain.read(6)
    open_stream = next((opener for start, opener in _COMPRESSED.items() if magic.startswith(start)), open)
    position, zeros = 0, 0
    try:
        with open_stream(archive, "rb") as stream:
            while chunk := stream.read(_COPY_BYTES):
                tail = chunk[max(0, end - position) :]
                position += len(chunk)
                zeros = zeros + len(tail) if not tail.strip(b"\0") else -position
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        message = f"the compressed data are damaged: {error}"
        raise tarfile.ReadError(message) from error
    if zeros < _TAR_BLOCK_BYTES:
        message = "a damaged header in the middle, or the end is missing"
        raise tarfile.ReadError(message)
