"""Images inside archives, read one after the other without unpacking anything."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from phytoscope.errors import ImageReadError
from phytoscope.predict.source_images import FoundImage, mark_file
from phytoscope.transforms.decode import IMAGE_SUFFIXES

_ZIP_SUFFIXES: Final = (".zip",)
_TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES: Final = (*_ZIP_SUFFIXES, *_TAR_SUFFIXES)
_MOST_BYTES: Final = 256 << 20
"""Size of a member beyond which it is no photograph but a bomb that fills the memory."""
_MOST_HEADER_BYTES: Final = 1 << 20
_HEADER_TYPES: Final = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
# What damaged archives raise; RuntimeError and NotImplementedError: encrypted, or compressed in a way nobody knows.
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
    NotImplementedError,
)
_NESTED: Final = "an archive inside an archive is not opened: unpack it first"
_LINK: Final = "a link or device inside an archive is not followed: put the photograph itself into it"
_ENCRYPTED: Final = "it is encrypted: unpack the archive with its password"
_TOO_LARGE: Final = f"it is larger than {_MOST_BYTES >> 20} MB, which no photograph is"


class _BrokenTarError(tarfile.TarError):
    """A tar file that ends in the middle, or goes on with something else."""


class _CheckedInfo(tarfile.TarInfo):
    """Header of a member. The library takes a damaged one for the end, and reads a long name whatever its length."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> "_CheckedInfo":
        """Reads one header of 512 bytes.

        Raises:
            TarError: It is damaged, or it announces a name that could fill the memory.
        """
        if len(buf) == tarfile.BLOCKSIZE and not any(buf):
            # The regular end; the library words it as an error and handles it.
            return super().frombuf(buf, encoding, errors)
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            message = "it ends without its end mark, as if it had been cut off" if not buf else str(error)
            raise _BrokenTarError(message) from error
        if info.type in _HEADER_TYPES and info.size > _MOST_HEADER_BYTES:
            message = f"a name of {info.size} bytes"
            raise _BrokenTarError(message)
        return info


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def count_members(path: Path) -> int | None:
    """Number of images in an archive; None where only reading all of it would tell, and 1 where it is damaged."""
    if not path.name.lower().endswith(_ZIP_SUFFIXES):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(1 for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename))
    except _DAMAGE:
        return 1


def iterate_archive(path: Path) -> Iterator[FoundImage]:
    """Yields the images of an archive in its own order; each must be loaded before the next one is asked for.

    Links, devices, encrypted members, archives inside and members of more than 256 MB have a fault and no content. The
    archive itself follows with a fault where it is damaged.

    Args:
        path: A file with one of `ARCHIVE_SUFFIXES`.
    """
    read = _iterate_zip if path.name.lower().endswith(_ZIP_SUFFIXES) else _iterate_tar
    try:
        yield from read(path)
    except _DAMAGE as error:
        text = " ".join(str(error).split())
        yield FoundImage(str(path), mark=mark_file(path), fault=f"the archive is damaged ({text})")


def _iterate_zip(path: Path) -> Iterator[FoundImage]:
    state = mark_file(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir() or not _is_wanted(info.filename):
                continue
            name, mark = f"{path}/{info.filename}", f"{state}:{info.file_size}:{info.CRC}"
            kind = stat.S_IFMT(info.external_attr >> 16)
            fault = _find_fault(info.filename, info.file_size, regular=kind in (0, stat.S_IFREG))
            if not fault and info.flag_bits & 1:
                fault = _ENCRYPTED
            if fault:
                yield FoundImage(name, mark=mark, fault=fault)
            else:
                yield FoundImage(name, mark=mark, read=partial(_read_zipped, archive, info))


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(_MOST_BYTES)
    except _DAMAGE as error:
        # Members lie apart, so the others may be whole.
        raise ImageReadError(info.filename, f"it is damaged inside the archive ({error})") from error


def _iterate_tar(path: Path) -> Iterator[FoundImage]:
    state = mark_file(path)
    with tarfile.open(path, "r|*", tarinfo=_CheckedInfo) as archive:
        seen: list[tarfile.TarInfo] = vars(archive)["members"]
        while (member := archive.next()) is not None:
            # The library remembers all it has read.
            seen.clear()
            if member.isdir() or not _is_wanted(member.name):
                continue
            name, mark = f"{path}/{member.name}", f"{state}:{member.size}:{member.mtime}"
            fault = _find_fault(member.name, member.size, regular=member.isreg())
            if fault:
                yield FoundImage(name, mark=mark, fault=fault)
            else:
                yield FoundImage(name, mark=mark, read=partial(_read_tarred, archive, member))


def _read_tarred(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        stream = archive.extractfile(member)
        return b"" if stream is None else stream.read(_MOST_BYTES)
    except _DAMAGE as error:
        # What follows in the stream is lost as well, and says so in a row of its own.
        raise ImageReadError(member.name, f"it is damaged inside the archive ({error})") from error


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    # What macOS and version control put beside the photographs.
    if any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in path.parts):
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or is_archive(Path(path.name))


def _find_fault(name: str, size: int, *, regular: bool) -> str:
    if not regular:
        return _LINK
    if is_archive(Path(name)):
        return _NESTED
    return _TOO_LARGE if size > _MOST_BYTES else ""
