"""What may stand in a `.phyto` file: plain names, each once, and nothing that grows or leads elsewhere."""

import stat
import struct
import zipfile
from pathlib import Path
from typing import Final

from phytoscope.errors import PackageError

PHYTO_SUFFIX: Final = ".phyto"
# Nothing that is larger than this is a model for a laptop; a file of this size needs no second kind of directory.
MOST_BYTES: Final = (1 << 32) - 1
MOST_PARTS: Final = 10_000
_MOST_DIRECTORY_BYTES: Final = 4 << 20
# Weights hardly shrink; what becomes larger than this on reading was made to fill a memory.
_MOST_GROWTH: Final = 20
_FREE_GROWTH_BYTES: Final = 16 << 20
_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR_BYTES: Final = 20


def is_plain(name: str) -> bool:
    """Whether a name is a path of plain names, with `/` between them, that leads nowhere else on any system."""
    # A colon is a drive or a stream on Windows; both slashes start an absolute path there.
    if any(mark in name for mark in ("\\", ":", "\0")):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def check_end(path: Path, size: int) -> None:
    """Refuses what does not end as a zip archive of a modest number of entries, before its directory is read.

    Args:
        path: The file.
        size: Its size in bytes.

    Raises:
        PackageError: It is no archive, cut off, or too large.
        OSError: It cannot be read.
    """
    if size > MOST_BYTES:
        message = (
            f"the package {str(path)!r} has {size / 1e9:.1f} GB, allowed are {MOST_BYTES / 1e9:.1f}: do not use it."
        )
        raise PackageError(message)
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END.size - _LOCATOR_BYTES))
        tail = stream.read(_END.size + _LOCATOR_BYTES)
    if len(tail) < _END.size or tail[-_END.size :][:4] != b"PK\5\6" or tail.startswith(b"PK\6\7"):
        message = (
            f"{str(path)!r} is not a model package: it is no {PHYTO_SUFFIX} file, or its end is missing; copy it again."
        )
        raise PackageError(message)
    directory_bytes = _END.unpack(tail[-_END.size :])[5]
    if directory_bytes > _MOST_DIRECTORY_BYTES:
        message = (
            f"the package {str(path)!r} has a directory of {directory_bytes:,} bytes, allowed are "
            f"{_MOST_DIRECTORY_BYTES:,}: do not use it; get the package from a source you trust."
        )
        raise PackageError(message)


def check_entries(entries: list[zipfile.ZipInfo], size: int, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Refuses archives that were made to do harm.

    Args:
        entries: What the archive lists.
        size: Size of the archive in bytes.
        path: The archive, for errors.

    Returns:
        Name -> entry, without those of folders.

    Raises:
        PackageError: A name leads elsewhere or stands there twice, an entry is a link, encrypted or packed in an
            unusual way, or all of it would grow too much when it is read.
    """
    if len(entries) > MOST_PARTS:
        message = f"the package {str(path)!r} lists {len(entries)} files, allowed are {MOST_PARTS}: do not use it."
        raise PackageError(message)
    found: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    for entry in entries:
        fault = _find_fault(entry)
        # On many systems two names that differ in their case alone are one file.
        if fault is None and entry.filename.casefold() in folded:
            fault = "stands in it twice"
        if fault is not None:
            message = (
                f"the package {str(path)!r} holds {entry.filename!r}, which {fault}: do not use it; get the package "
                "from a source you trust."
            )
            raise PackageError(message)
        folded.add(entry.filename.casefold())
        if not entry.is_dir():
            found[entry.filename] = entry
    # Entries that share the same bytes of the file are counted once each.
    total = sum(entry.file_size for entry in found.values())
    if total > _FREE_GROWTH_BYTES + _MOST_GROWTH * size:
        message = (
            f"the package {str(path)!r} has {size:,} bytes and would grow to {total:,} when it is read: do not use it; "
            "get the package from a source you trust."
        )
        raise PackageError(message)
    return found


def _find_fault(entry: zipfile.ZipInfo) -> str | None:
    if entry.filename != entry.orig_filename or not is_plain(entry.filename.removesuffix("/")):
        return "is not a plain path"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way"
    if entry.is_dir() and entry.file_size > 0:
        return "is a folder with content"
    return None
