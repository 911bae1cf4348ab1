"""What a drawn data set leaves on disk, and how its planted faults are made."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from phytoscope.data.synthetic.drawing import ByteImage
from phytoscope.errors import ConfigError, storage_error

__all__ = [
    "DrawnDataset",
    "check_at_least",
    "check_common",
    "copy_file",
    "empty_file",
    "make_folder",
    "random_stream",
    "random_uuid",
    "truncate_file",
    "write_bytes",
    "write_image",
]

_SMALLEST_PICTURE_PX = 32
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class DrawnDataset:
    """A drawn data set on disk, with the truth about its faults.

    Attributes:
        root: Folder of the data set.
        images: Image files on disk, broken and duplicate ones included.
        planted_faults: Kind of fault to the files that have it. Leaves: POSIX paths relative to `root`; rosettes:
            values of the column `filename`.
    """

    root: Path
    images: int
    planted_faults: dict[str, list[str]]


def check_at_least(name: str, value: int, minimum: int) -> None:
    """Refuse a number that is too small to draw with.

    Args:
        name: Name of the argument, for the text of the error.
        value: Value received.
        minimum: Smallest value allowed.

    Raises:
        ConfigError: The value is below the minimum.
    """
    if value < minimum:
        message = f"{name} is {value}; allowed are whole numbers from {minimum}: give a larger {name}."
        raise ConfigError(message)


def random_stream(seed: int, *keys: int) -> np.random.Generator:
    """Open the stream of random numbers that belongs to one leaf, plant or photograph.

    Args:
        seed: Seed of the data set, 0 or more.
        keys: Place of the object in the data set; objects do not share numbers, whatever is drawn before them.

    Returns:
        The generator.
    """
    return np.random.default_rng([seed, *keys])


def random_uuid(rng: np.random.Generator) -> str:
    """Draw a UUID of version 4 that depends on the generator alone.

    Args:
        rng: Source of randomness.

    Returns:
        The UUID as text, lower case with hyphens.
    """
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def make_folder(folder: Path) -> None:
    """Create a folder with its parents, or keep the one that is there.

    Args:
        folder: Folder to create.

    Raises:
        StorageError: The folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, replacing one that is there.

    Args:
        path: File to write.
        content: Bytes to write.

    Raises:
        StorageError: The file cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise storage_error(path, error) from error


def write_image(path: Path, picture: ByteImage) -> None:
    """Encode a picture in the format that the file's suffix names and write it.

    Args:
        path: File to write, `.png` or `.jpg` in any case.
        picture: Picture of shape (H, W, 3), uint8, sRGB in RGB order.

    Raises:
        StorageError: The file cannot be written.
    """
    # The encoder is kept apart from the writing: OpenCV opens no path with non-ASCII characters on some systems.
    suffix = path.suffix.lower()
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    write_bytes(path, encoded.tobytes())


def truncate_file(path: Path) -> None:
    """Cut a file short, as a broken copy would; changes the file.

    Args:
        path: File to damage.

    Raises:
        StorageError: The file cannot be written.
    """
    content = path.read_bytes()
    write_bytes(path, content[: len(content) * 2 // 5])


def empty_file(path: Path) -> None:
    """Leave nothing of a file but its name; changes the file.

    Args:
        path: File to damage.

    Raises:
        StorageError: The file cannot be written.
    """
    write_bytes(path, b"")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte by byte.

    Args:
        source: File to copy.
        target: File to write.

    Raises:
        StorageError: The copy cannot be written.
    """
    write_bytes(target, source.read_bytes())


def check_common(size_px: int, seed: int) -> None:
    """Refuse a picture size or a seed that cannot be drawn with.

    Args:
        size_px: Side of the pictures in pixels.
        seed: Seed of the data set.

    Raises:
        ConfigError: One of them is too small.
    """
    check_at_least("size_px", size_px, _SMALLEST_PICTURE_PX)
    check_at_least("seed", seed, 0)
