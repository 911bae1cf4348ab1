"""Where the parts of a package are read from: a folder or one `.phyto` file, the same way and without unpacking it."""

import hashlib
import io
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from phytoscope.errors import ArtifactError, PackageError
from phytoscope.predict.package_entries import (
    MOST_BYTES,
    MOST_PARTS,
    PHYTO_SUFFIX,
    check_end,
    check_entries,
    is_plain,
)
from phytoscope.schema.package_format import check_content

DESCRIPTION_NAME: Final = "package.json"
WEIGHTS_NAME: Final = "model.safetensors"
ONNX_NAME: Final = "model.onnx"
CARD_NAME: Final = "MODEL_CARD.md"
GOLDEN_NAME: Final = "golden.json"
# What file managers leave in folders and archives.
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"})
_CHUNK_BYTES: Final = 1 << 20
_MOST_DESCRIPTION_BYTES: Final = 16 << 20
# What `zipfile` raises on damaged content, beyond its own errors.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    RuntimeError,
    MemoryError,
)


class PackageFiles(ABC):
    """The parts of one package, each checked against its hash whenever it is read.

    Attributes:
        path: The folder or the file.
        description: The bytes of `package.json`, as they are.
        content: What `package.json` says, in the newest format.
        written_format: The format in which it was written.
        sha256: Name of each part -> SHA-256 of its bytes, 64 hexadecimal digits.
    """

    def __init__(self, path: Path) -> None:
        """Reads what the package says of itself.

        Args:
            path: The folder or the file.

        Raises:
            PackageError: It is not a package, of an unknown format, or names a file outside of itself.
        """
        self.path = path
        self.description = self._read_description()
        self.content, self.written_format = check_content(self.description, str(path))
        self.sha256: Mapping[str, str] = self.content["sha256"]
        if len(self.sha256) > MOST_PARTS:
            message = (
                f"the package {str(path)!r} names {len(self.sha256)} parts, allowed are {MOST_PARTS}: do not use it."
            )
            raise PackageError(message)
        for name in self.sha256:
            if not self._is_inside(name):
                message = (
                    f"the package {str(path)!r} names the file {name!r}, which is not a plain path inside its folder: "
                    "do not use it; get the package from a source you trust."
                )
                raise PackageError(message)

    @property
    def names(self) -> Collection[str]:
        """Names of the parts, with `/` between folders; `package.json` itself is none of them."""
        return self.sha256.keys()

    def read(self, name: str) -> bytes:
        """Reads one part.

        Args:
            name: Its name, as in `names`.

        Raises:
            PackageError: There is no such part, or it is missing, cannot be read or is not what it was.
        """
        content, digest = io.BytesIO(), hashlib.sha256()
        with self._open_part(name) as stream:
            # Asked for all at once, an entry that states a small size is unpacked to whatever it holds.
            while (chunk := stream.read(_CHUNK_BYTES)) and content.tell() <= MOST_BYTES:
                content.write(chunk)
                digest.update(chunk)
        self._compare(name, digest.hexdigest())
        return content.getvalue()

    def check(self, skip: Collection[str] = ()) -> None:
        """Compares every part with its hash.

        Args:
            skip: Names of parts that are left out, because they are read anyway.

        Raises:
            PackageError: A part is missing, cannot be read or is not what it was.
        """
        for name in self.sha256:
            if name not in skip:
                digest = hashlib.sha256()
                with self._open_part(name) as stream:
                    while chunk := stream.read(_CHUNK_BYTES):
                        digest.update(chunk)
                self._compare(name, digest.hexdigest())

    def size(self, name: str) -> int:
        """Size of a part in bytes.

        Raises:
            PackageError: It is missing or cannot be read.
        """
        with self._open_part(name) as stream:
            return stream.seek(0, io.SEEK_END)

    def list_strangers(self) -> list[str]:
        """Files that no part names, sorted: they are never read. What file managers leave behind is not among them."""
        known = {DESCRIPTION_NAME, *self.sha256}
        return sorted(name for name in self._list() if name not in known and not _is_litter(name))

    def _compare(self, name: str, found: str) -> None:
        if found != self.sha256.get(name):
            message = f"the package {str(self.path)!r} is damaged: {name!r} is not what it was; copy it again."
            raise PackageError(message)

    def _word_missing(self, name: str) -> PackageError:
        return PackageError(f"the package {str(self.path)!r} is not complete: {name!r} is missing; copy it again.")

    @contextmanager
    def _open_part(self, name: str) -> Iterator[IO[bytes]]:
        if name not in self.sha256:
            raise self._word_missing(name)
        try:
            with self._open(name) as stream:
                yield stream
        except PackageError:
            # It is a ValueError, too, and says better what is wrong.
            raise
        except OSError as error:
            message = (
                f"the package {str(self.path)!r}: {name!r} cannot be read ({error.strerror or error}): "
                "check its permissions."
            )
            raise PackageError(message) from error
        except _DAMAGE as error:
            message = f"the package {str(self.path)!r} is damaged: {name!r} cannot be read ({error}); copy it again."
            raise PackageError(message) from error

    @abstractmethod
    def _read_description(self) -> bytes:
        """The bytes of `package.json`."""

    @abstractmethod
    def _is_inside(self, name: str) -> bool:
        """Whether a name can be nothing but a file of this package."""

    @abstractmethod
    def _open(self, name: str) -> IO[bytes]:
        """Opens a part; raises what the system raises."""

    @abstractmethod
    def _list(self) -> Iterator[str]:
        """Names of all files that are there."""


class FolderFiles(PackageFiles):
    """The parts of a package that is a folder."""

    def _read_description(self) -> bytes:
        place = self.path / DESCRIPTION_NAME
        if not place.is_file():
            if not self.path.exists():
                message = f"there is no package {str(self.path)!r}: check the path."
                raise PackageError(message)
            inside = self.path / "package"
            hint = f" Did you mean {str(inside)!r}?" if (inside / DESCRIPTION_NAME).is_file() else ""
            message = f"{str(self.path)!r} is not a model package: it holds no {DESCRIPTION_NAME}.{hint}"
            raise PackageError(message)
        try:
            with place.open("rb") as stream:
                return stream.read(_MOST_DESCRIPTION_BYTES + 1)
        except OSError as error:
            message = (
                f"the package {str(self.path)!r}: {DESCRIPTION_NAME} cannot be read ({error.strerror or error}): "
                "check its permissions."
            )
            raise PackageError(message) from error

    def _is_inside(self, name: str) -> bool:
        try:
            return is_plain(name) and (self.path / name).resolve().is_relative_to(self.path.resolve())
        except (OSError, RuntimeError, ValueError):
            # Links that lead in a circle, or a name that no file can have.
            return False

    def _open(self, name: str) -> IO[bytes]:
        place = self.path / name
        # A pipe would be waited for without end; a link may have been laid since the name was looked at.
        if not place.is_file() or not self._is_inside(name):
            raise self._word_missing(name)
        return place.open("rb")

    def _list(self) -> Iterator[str]:
        for place in self.path.rglob("*"):
            if not place.is_dir() or place.is_symlink():
                yield place.relative_to(self.path).as_posix()


class ArchiveFiles(PackageFiles):
    """The parts of a package that is one `.phyto` file, a zip archive; it is opened anew for every part."""

    def __init__(self, path: Path) -> None:
        """Looks at the directory of the archive before anything in it is read.

        Args:
            path: The file.

        Raises:
            PackageError: It is not a package, or an entry was made to do harm.
        """
        self.path = path
        try:
            size = path.stat().st_size
            check_end(path, size)
            with zipfile.ZipFile(path) as archive:
                self._entries = check_entries(archive.infolist(), size, path)
        except PackageError:
            raise
        except OSError as error:
            message = f"the package {str(path)!r} cannot be read ({error.strerror or error}): check its permissions."
            raise PackageError(message) from error
        except _DAMAGE as error:
            message = f"the package {str(path)!r} is damaged ({error}): copy it again."
            raise PackageError(message) from error
        super().__init__(path)

    def _read_description(self) -> bytes:
        if DESCRIPTION_NAME not in self._entries:
            inside = next((name for name in self._entries if name.endswith(f"/{DESCRIPTION_NAME}")), None)
            hint = "" if inside is None else f" It holds {inside!r}: unzip it, and pack the folder with `phytoscope "
            hint += "" if inside is None else f"package pack FOLDER -o FILE{PHYTO_SUFFIX}`."
            message = f"{str(self.path)!r} is not a model package: it holds no {DESCRIPTION_NAME}.{hint}"
            raise PackageError(message)
        try:
            with self._open(DESCRIPTION_NAME) as stream:
                return stream.read(_MOST_DESCRIPTION_BYTES + 1)
        except (*_DAMAGE, OSError) as error:
            message = f"the package {str(self.path)!r} is damaged: {DESCRIPTION_NAME} cannot be read ({error})."
            raise PackageError(message) from error

    def _is_inside(self, name: str) -> bool:
        return is_plain(name)

    def _open(self, name: str) -> IO[bytes]:
        if name not in self._entries:
            raise self._word_missing(name)
        archive = zipfile.ZipFile(self.path)
        # The entry's stream keeps the file open, and closes it with itself.
        with archive:
            return archive.open(self._entries[name])

    def _list(self) -> Iterator[str]:
        yield from self._entries


def open_files(path: Path) -> PackageFiles:
    """Opens a package: a folder, or a `.phyto` file, which is read where it is.

    Nothing is kept open: every part is opened when it is read, and may be read by several threads.

    Args:
        path: The folder or the file.

    Raises:
        PackageError: It is not a package, of an unknown format, or was made to do harm.
    """
    try:
        return ArchiveFiles(path) if path.is_file() else FolderFiles(path)
    except OSError as error:
        # A folder above it may not be looked into.
        message = f"the package {str(path)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise PackageError(message) from error


def read_beside(place: Path, name: str) -> bytes | None:
    """Reads a part that a package may have, or the file of the same name in the folder of a run.

    Args:
        place: The package, a folder or a `.phyto` file, or the folder of the run.
        name: Name of the part.

    Returns:
        None where there is none.

    Raises:
        ArtifactError: The file of a run cannot be read.
        PackageError: The package cannot be opened, or the part is not what it was.
    """
    if place.is_file() or (place / DESCRIPTION_NAME).is_file():
        files = open_files(place)
        return files.read(name) if name in files.names else None
    try:
        return (place / name).read_bytes() if (place / name).is_file() else None
    except OSError as error:
        message = f"{str(place / name)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise ArtifactError(message) from error


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return any(part in _LITTER for part in parts) or parts[-1].startswith("._")
