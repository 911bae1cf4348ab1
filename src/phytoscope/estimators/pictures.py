"""Pictures as people hand them to an estimator: pixels of one size or of several, or paths, read when needed."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from phytoscope.errors import DataValidationError
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import decode_with_facts, read_bytes
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered

_WHAT = (
    "pictures are an array of shape (n, H, W, 3), uint8, RGB, 0-255, a list of such pictures of shape (H, W, 3), or a "
    "list of paths"
)
_GREY = "Of grey pictures make three channels (np.repeat(X[..., np.newaxis], 3, axis=-1))"


class Pictures:
    """Some pictures, none of them decoded yet."""

    def __init__(self, sources: Sequence[NDArray[np.uint8] | str]) -> None:
        """Takes the pictures.

        Args:
            sources: Pixels of shape (H, W, 3), uint8, RGB, 0-255, or paths.
        """
        self.sources = sources

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.sources)

    @cached_property
    def sha256(self) -> tuple[str, ...]:
        """Hash of the content of each: of a file's bytes, or of shape and pixels.

        Raises:
            ImageReadError: A file cannot be read.
        """
        return tuple(map_ordered(_hash_source, self.sources, None, SilentProgress()))

    def read_squares(self, places: Sequence[int], preprocess: Preprocess) -> NDArray[np.uint8]:
        """Some of the pictures as the network sees them, shape (len(places), S, S, 3), uint8, RGB, 0-255.

        Args:
            places: Which of them, one or more.
            preprocess: How the squares are made.

        Raises:
            ImageReadError: A picture cannot be read.
        """

        def read(place: int) -> NDArray[np.uint8]:
            return read_photo(self.sources[place], preprocess, f"picture {place}").square

        return np.stack(list(map_ordered(read, places, None, SilentProgress())))

    def list_sides_px(self, max_megapixels: float) -> NDArray[np.int64]:
        """Longer side of each picture in pixels, shape (n,), int64.

        Args:
            max_megapixels: Larger pictures are refused.

        Raises:
            ImageReadError: A picture cannot be read.
        """

        def measure(source: NDArray[np.uint8] | str) -> int:
            if isinstance(source, np.ndarray):
                return int(max(source.shape[:2]))
            # A part of the pixels is enough to learn how large the picture is.
            content = read_bytes(source)
            image = decode_with_facts(content, name=source, max_megapixels=max_megapixels, least_px=1)
            return max(image.width_px, image.height_px)

        return np.array(list(map_ordered(measure, self.sources, None, SilentProgress())), dtype=np.int64)


def find_pictures(given: Any) -> Pictures | None:
    """Takes what was handed to an estimator for pictures, where it can be nothing else.

    Args:
        given: An array of pictures, a list or object array of pictures or paths, a column of paths, or anything else.

    Returns:
        The pictures; None for anything else, which a table of numbers may be.

    Raises:
        DataValidationError: It has the shape of pictures and is not what pictures are, or mixes pictures with paths.
    """
    if isinstance(given, pd.DataFrame) and given.shape[1] == 1 and not pd.api.types.is_numeric_dtype(given.iloc[:, 0]):
        given = given.iloc[:, 0]
    if isinstance(given, pd.Series):
        given = given.to_numpy(dtype=object) if not pd.api.types.is_numeric_dtype(given) else given.to_numpy()
    if isinstance(given, str | Path):
        message = f"X is one path ({str(given)[:40]!r}): give a list of paths, such as [X]."
        raise DataValidationError(message)
    if isinstance(given, np.ndarray):
        if given.ndim == 4:
            return Pictures(_check_pixels(given))
        if given.ndim == 3:
            message = f"X has the shape {given.shape}: {_WHAT}. For a single picture, give X[np.newaxis]."
            raise DataValidationError(message)
        # What tools that insist on two dimensions make of a column of paths.
        if given.ndim == 2 and given.shape[1] == 1 and given.dtype.kind in "OUT":
            given = given[:, 0]
        return _read_list(list(given)) if given.ndim == 1 and given.dtype.kind in "OUT" else None
    return _read_list(list(given)) if isinstance(given, list | tuple) else None


def _check_pixels(pixels: NDArray[Any]) -> Sequence[NDArray[np.uint8]]:
    if pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape[1:]:
        message = (
            f"X holds pictures of shape {pixels.shape[1:]} and type {pixels.dtype}, but {_WHAT}. {_GREY}; leave a "
            "fourth channel out (X[..., :3]); bring shares of 0-1 to 0-255 ((255 * X).round().astype('uint8'))."
        )
        raise DataValidationError(message)
    if len(pixels) == 0:
        message = f"Found array with 0 sample(s) (shape={pixels.shape}) while a minimum of 1 is required."
        raise DataValidationError(message)
    return list(pixels)


def _read_list(items: list[Any]) -> Pictures | None:
    if not items:
        return None
    kinds = [_name_kind(item) for item in items]
    found = set(kinds)
    if found == {"path"}:
        return Pictures([str(item) for item in items])
    if found == {"picture"}:
        return Pictures([_check_pixels(item[np.newaxis])[0] for item in items])
    if found != {""}:
        place = next(place for place, kind in enumerate(kinds) if kind != kinds[0])
        message = (
            f"X mixes kinds: its first item is {type(items[0]).__name__}, item {place} is {type(items[place]).__name__}"
            f" ({str(items[place])[:40]}). {_WHAT[0].upper()}{_WHAT[1:]}; leave out what is missing."
        )
        raise DataValidationError(message)
    if any(isinstance(item, Image.Image) or getattr(item, "ndim", 0) > 1 for item in items):
        message = (
            f"X is a list of {type(items[0]).__name__}, but {_WHAT}. {_GREY}; np.asarray(picture.convert('RGB')) makes "
            "an array of a picture of Pillow."
        )
        raise DataValidationError(message)
    return None


def _name_kind(item: Any) -> str:
    if isinstance(item, str | Path):
        return "path"
    return "picture" if isinstance(item, np.ndarray) and item.ndim == 3 else ""


def _hash_source(source: NDArray[np.uint8] | str) -> str:
    if isinstance(source, np.ndarray):
        digest = hashlib.sha256(f"pixels {source.shape}".encode())
        digest.update(np.ascontiguousarray(source).tobytes())
        return digest.hexdigest()
    return hashlib.sha256(read_bytes(source)).hexdigest()
