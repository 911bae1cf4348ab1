"""ImageStore: photographs under the hash of the file that was sent, without what the camera noted in them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from phytoscope.api.records.bare_image import make_bare
from phytoscope.errors import ImageReadError, StorageError, storage_error
from phytoscope.schema.artifact import write_atomic

_SUFFIXES: Final = (".jpg", ".png", ".webp")


class ImageStore:
    """A folder of photographs, one file each, however often it was sent.

    Attributes:
        folder: `ab/abcd....jpg` lies in it for the hash `abcd...`.
    """

    def __init__(self, folder: Path) -> None:
        """Names the folder; it is made when the first photograph is kept.

        Args:
            folder: Where files are.
        """
        self.folder = folder

    def keep(self, sha256: str, content: bytes) -> Path:
        """Keeps a photograph without place, names and notes.

        Args:
            sha256: Hash of the file as it was sent.
            content: Its bytes.

        Raises:
            StorageError: The file cannot be written, or what it holds beside the picture cannot be taken out.
        """
        known = self.find(sha256)
        if known is not None:
            _touch(known)
            return known
        try:
            bare, suffix = make_bare(content)
        except ImageReadError as error:
            message = f"it cannot be told from what the camera noted in it: {error.reason}."
            raise StorageError(message) from error
        # Nobody else on this computer may look into the folder.
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.folder, error) from error
        path = self.folder / sha256[:2] / f"{sha256}{suffix}"
        with write_atomic(path) as temporary:
            temporary.write_bytes(bare)
        return path

    def find(self, sha256: str) -> Path | None:
        """The file of a photograph; None where it is not kept."""
        paths = (self.folder / sha256[:2] / f"{sha256}{suffix}" for suffix in _SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def delete(self, sha256: str) -> bool:
        """Deletes a photograph; false when there was none.

        Raises:
            StorageError: The file cannot be deleted.
        """
        path = self.find(sha256)
        if path is None:
            return False
        _unlink(path)
        return True

    def older_than(self, seconds: float) -> Iterator[str]:
        """Hashes of all photographs that nobody has sent since then; what was left half written is deleted."""
        limit = time.time() - seconds
        for path in sorted(self.folder.glob("??/*")):
            try:
                is_old = path.stat().st_mtime <= limit
            except FileNotFoundError:
                continue
            if is_old and path.name.startswith("."):
                _unlink(path)
            elif is_old and path.suffix in _SUFFIXES:
                yield path.stem


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError as error:
        raise storage_error(path, error) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
