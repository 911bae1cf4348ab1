"""Photo: one picture as the network sees it, with what the picture itself tells. It needs no torch."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ImageReadError
from phytoscope.transforms.decode import decode_with_facts, read_bytes
from phytoscope.transforms.photo_measures import measure_photo
from phytoscope.transforms.preprocess import Preprocess


@dataclass(frozen=True)
class Photo:
    """One image as the network sees it, and how large it was.

    Attributes:
        square: Shape (S, S, 3), uint8, RGB, 0-255.
        width_px: Width of the original, upright.
        height_px: Its height.
        measures: What `measure_photo` tells of it; empty when nobody measured yet.
    """

    square: NDArray[np.uint8]
    width_px: int
    height_px: int
    measures: dict[str, float] = field(default_factory=dict)

    def measure(self) -> dict[str, float]:
        """Its measures, computed now if nobody has."""
        return self.measures or measure_photo(self.square, self.width_px, self.height_px)


def read_photo(
    source: Path | str | bytes | NDArray[np.uint8],
    preprocess: Preprocess,
    name: str = "image",
    *,
    measured: bool = False,
) -> Photo:
    """Brings one image to the network's square, and keeps how large it was.

    Args:
        source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
        preprocess: How the square is made.
        name: What to call bytes or pixels in an error.
        measured: Whether to measure the photograph at once, where this is done by another thread or process than the
            one that answers.

    Raises:
        ImageReadError: The image cannot be read.
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
            raise ImageReadError(name, f"expected uint8 pixels of shape (H, W, 3), got {source.dtype} {source.shape}")
        (height, width), square = source.shape[:2], preprocess(source)
    else:
        if isinstance(source, str | Path):
            name = str(source)
            source = read_bytes(Path(source))
        least_px = preprocess.find_least_px if preprocess.reduced else None
        image = decode_with_facts(source, name=name, max_megapixels=preprocess.max_megapixels, least_px=least_px)
        width, height, square = image.width_px, image.height_px, preprocess.prepare(image)
    return Photo(square, width, height, measure_photo(square, width, height) if measured else {})
