"""One look at one image file. What is imported here is imported by every helping process, so it stays light."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.data.facts.camera import read_camera
from phytoscope.data.facts.image_features import SCALE_PX, measure_pixels
from phytoscope.errors import ImageReadError
from phytoscope.schema.image_facts import CHANGED_NS, CHANNELS, FORMAT, GREEN_FRACTION, MODIFIED_NS, REASON, SIZE_BYTES
from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, PATH, SHA256, WIDTH_PX
from phytoscope.storage.listing import stat_places
from phytoscope.storage.place import as_url
from phytoscope.storage.reading import ABSENT, stat_place
from phytoscope.transforms.decode import IMAGE_SUFFIXES, decode_with_facts, read_bytes

_TRIES = 3


def look_at_file(path: str, max_megapixels: float) -> tuple[dict[str, Any], bool]:
    """Reads and decodes one image file and computes all its facts.

    Args:
        path: The file.
        max_megapixels: A larger image is rejected before it is decoded.

    Returns:
        What was found, column by column, and whether it stays true as long as the file does not change.
    """
    row: dict[str, Any] = {PATH: path}
    suffix = Path(path).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return {**row, REASON: f"unknown image extension {suffix!r}"}, False
    try:
        content, state = _read_unchanging(path)
    except ImageReadError as error:
        return {**row, REASON: error.reason}, False
    row |= dict(zip((SIZE_BYTES, MODIFIED_NS, CHANGED_NS), state, strict=True))
    try:
        image = decode_with_facts(content, name=path, max_megapixels=max_megapixels, least_px=SCALE_PX)
    except ImageReadError as error:
        # Memory may be there the next time.
        return {**row, REASON: error.reason}, not isinstance(error.__cause__, MemoryError)
    row |= {
        SHA256: hashlib.sha256(content).hexdigest(),
        FORMAT: image.format,
        CHANNELS: image.mode,
        WIDTH_PX: image.width_px,
        HEIGHT_PX: image.height_px,
        **measure_pixels(image.pixels),
        **read_camera(image.exif),
    }
    row[GREEN_PX] = int(row[GREEN_FRACTION] * image.width_px * image.height_px + 0.5)
    return row, True


def _read_unchanging(path: str) -> tuple[bytes, tuple[int, int, int]]:
    """Bytes and state of a file that may be written meanwhile."""
    url = as_url(path)
    if url is not None:
        # An object is replaced at once or not at all; if that happens here, its old state makes the next pass read it.
        state = stat_place(url)
        return read_bytes(url), state
    for _ in range(_TRIES):
        before = stat_file(path)
        content = read_bytes(path)
        if before == stat_file(path):
            break
    # If it never came to rest, the times are those of before, and the next pass reads it again.
    return content, (len(content), *before[1:])


def stat_file(path: str) -> tuple[int, int, int]:
    """Size in bytes, and times of the last change of content and of entry in ns; -1, 0, 0 where there is no file.

    For an address the third number stands for the object's tag; see `stat_place`.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a million times, and paths are slow to build
    except (OSError, ValueError):
        return ABSENT if as_url(path) is None else stat_place(path)
    # A file that was put in the place of another may carry its size and time, but never the system's own.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def stat_files(paths: Sequence[str]) -> NDArray[np.int64]:
    """States of many files, those of addresses by few questions; see `stat_file`.

    Args:
        paths: Paths and addresses.

    Returns:
        Shape (N, 3).

    Raises:
        StorageError: The store of an address cannot be reached, or refuses.
    """
    urls = {path: url for path in paths if "://" in path and (url := as_url(path)) is not None}
    states = dict(zip(urls, stat_places(list(urls.values())), strict=True)) if urls else {}
    found = [states[path] if path in states else stat_file(path) for path in paths]
    return np.array(found, dtype=np.int64).reshape(-1, 3)
