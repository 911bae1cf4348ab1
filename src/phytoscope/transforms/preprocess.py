"""The deterministic way from an image of any size to the square a network sees. It ships with the model."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.decode import DecodedImage

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# fixed_scale pays off only where one camera took all pictures; beyond this ratio of sizes it cannot have been one.
_SAME_CAMERA_RATIO = 2.0
_LONGEST_STRIP = 16
_SPARE = 2
# A picture that was decoded at a part of its size keeps twice the pixels that are needed, for the filter to work on.
_REDUCED_SPARE = 2

Box = tuple[float, float, float, float]
"""Left, top, right and lower edge of a part of a picture, in pixels."""


@dataclass(frozen=True)
class Preprocess:
    """Parameters of the preparation.

    Attributes:
        size_px: Side of the square.
        resize: How the square is filled; never `auto`.
        interpolation: Name of the resampling filter.
        mean: Mean of each channel on the 0-1 scale, subtracted inside the network.
        std: Standard deviation of each channel on the 0-1 scale, divided by inside the network.
        crop_pct: Share of the shorter side that the centre crop keeps, 0-1 (`crop` only).
        scale: Network pixels per image pixel (`fixed_scale` only).
        max_megapixels: Larger images are refused.
        reduced: Whether large JPEGs are decoded at a half, a quarter or an eighth of their size, where this leaves at
            least twice the pixels that the square needs. False in packages of earlier versions.
    """

    size_px: int
    resize: ResizeMode
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_pct: float = 1.0
    scale: float | None = None
    max_megapixels: float = 100.0
    reduced: bool = False

    def __post_init__(self) -> None:
        """Refuses parameters that could not work.

        Raises:
            ConfigError: The interpolation is unknown, `auto` was not resolved, `fixed_scale` has no scale, or a number
                is out of range.
        """
        if self.interpolation not in _FILTERS:
            message = f"unknown interpolation {self.interpolation!r}; {suggest(self.interpolation, _FILTERS)}"
            raise ConfigError(message)
        if self.resize is ResizeMode.auto:
            message = "resize 'auto' must be resolved from the images' sizes first (choose_resize)."
            raise ConfigError(message)
        if (self.resize is ResizeMode.fixed_scale) != (self.scale is not None):
            message = (
                f"resize {self.resize.value!r} and scale {self.scale!r} do not go together: "
                "fixed_scale has a scale, and no other has one."
            )
            raise ConfigError(message)
        faults = [
            f"{name}={value} must be {allowed}"
            for name, value, allowed, fits in (
                ("size_px", self.size_px, "1 or more", self.size_px >= 1),
                ("crop_pct", self.crop_pct, "above 0 and at most 1", 0 < self.crop_pct <= 1),
                ("scale", self.scale, "above 0", self.scale is None or self.scale > 0),
                ("reduced", self.reduced, "true or false", isinstance(self.reduced, bool)),
            )
            if not fits
        ]
        if faults:
            raise ConfigError("; ".join(faults) + ".")

    @property
    def pixel_hash(self) -> str:
        """Hash of everything that decides the pixels of the square (std acts later, in the network)."""
        content: dict[str, Any] = {
            "size_px": self.size_px,
            "resize": self.resize.value,
            "interpolation": self.interpolation,
        }
        if self.resize is ResizeMode.crop:
            content["crop_pct"] = self.crop_pct
        elif self.resize is not ResizeMode.squash:
            content |= {"fill": self._fill(), "scale": self.scale}
        # Left out where it is not so, because caches of earlier versions hold whole pictures.
        if self.reduced:
            content["reduced"] = _REDUCED_SPARE
        return hash_content(content)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "resize": self.resize.value, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Preprocess":
        """Rebuilds the parameters from `to_dict`'s result."""
        mean, std = (tuple(float(value) for value in content[name]) for name in ("mean", "std"))
        return cls(**{**content, "resize": ResizeMode(content["resize"]), "mean": mean, "std": std})

    def find_least_px(self, width_px: int, height_px: int) -> int:
        """The fewest pixels on the shorter side with which a picture may be decoded.

        Args:
            width_px: Width of the picture.
            height_px: Its height; the two may be exchanged.
        """
        shorter, longer = sorted((width_px, height_px))
        if not self.reduced:
            return shorter
        if self.scale is not None:
            needed = self.scale * shorter
        elif self.resize is ResizeMode.letterbox:
            needed = self.size_px * shorter / longer
        else:
            needed = self.size_px / (self.crop_pct if self.resize is ResizeMode.crop else 1.0)
        return max(1, math.ceil(_REDUCED_SPARE * needed))

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Brings one image to the square.

        Args:
            pixels: Shape (H, W, 3), uint8, RGB, 0-255, any size.

        Returns:
            Shape (size_px, size_px, 3), uint8, RGB, 0-255.
        """
        height, width = pixels.shape[:2]
        return self._fit(_Source(Image.fromarray(pixels), width, height, None))

    def prepare(self, image: DecodedImage) -> NDArray[np.uint8]:
        """Brings one decoded image to the square, at the place where the whole original would lie.

        Args:
            image: The image, perhaps decoded at a part of its size; its pixels of shape (H, W, 3), uint8, RGB.

        Returns:
            Shape (size_px, size_px, 3), uint8, RGB, 0-255.
        """
        height, width = image.pixels.shape[:2]
        whole = (width, height) == (image.width_px, image.height_px)
        picture = Image.fromarray(image.pixels)
        return self._fit(_Source(picture, image.width_px, image.height_px, None if whole else image.box))

    def _fit(self, source: "_Source") -> NDArray[np.uint8]:
        size, resample = self.size_px, _FILTERS[self.interpolation]
        if self.resize is ResizeMode.squash:
            return np.array(source.resize(size, size, resample))
        if self.resize is ResizeMode.crop:
            return _crop(source, size, self.crop_pct, resample)
        if self.scale is None:
            return self._centre(_scale(source, size / max(source.width, source.height), resample))
        visible = math.ceil(size / self.scale)
        return self._centre(_scale(source.trim(_SPARE * visible), self.scale, resample))

    def _fill(self) -> tuple[int, ...]:
        return tuple(round(255 * value) for value in self.mean)

    def _centre(self, image: Image.Image) -> NDArray[np.uint8]:
        size = self.size_px
        canvas = Image.new("RGB", (size, size), self._fill())
        canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        return np.array(canvas)


@dataclass(frozen=True)
class _Source:
    """A picture whose sides count as those of the original, of which it may be a smaller copy.

    Attributes:
        image: The picture.
        width: Width of the original, or of the part of it that is wanted.
        height: Its height.
        box: Where this lies in the picture; None where it is all of it, pixel by pixel.
    """

    image: Image.Image
    width: int
    height: int
    box: Box | None

    def resize(self, width: int, height: int, resample: Image.Resampling) -> Image.Image:
        """Scales the picture to this size."""
        return self.image.resize((width, height), resample, self.box)

    def trim(self, longest: int) -> "_Source":
        """The middle of the picture, with sides of `longest` original pixels at most."""
        # Far outside the square nothing can be seen, and enlarging it could fill the memory.
        width, height = min(self.width, longest), min(self.height, longest)
        if (width, height) == (self.width, self.height):
            return self
        left, top = (self.width - width) // 2, (self.height - height) // 2
        if self.box is None:
            return _Source(self.image.crop((left, top, left + width, top + height)), width, height, None)
        across, down = (self.box[2] - self.box[0]) / self.width, (self.box[3] - self.box[1]) / self.height
        first, above = self.box[0] + left * across, self.box[1] + top * down
        return _Source(self.image, width, height, (first, above, first + width * across, above + height * down))


def _crop(source: _Source, size: int, crop_pct: float, resample: Image.Resampling) -> NDArray[np.uint8]:
    # Rounded as torchvision and timm round, because pre-trained weights saw pixels cut in that way.
    source = source.trim(_LONGEST_STRIP * min(source.width, source.height))
    shorter = max(size, int(size / crop_pct + 1e-9))
    width, height = (shorter * side // min(source.width, source.height) for side in (source.width, source.height))
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.array(source.resize(width, height, resample).crop((left, top, left + size, top + size)))


def _scale(source: _Source, factor: float, resample: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in (source.width, source.height))
    return source.resize(width, height, resample)


def choose_resize(resize: ResizeMode, sides_px: NDArray[np.int64], size_px: int) -> tuple[ResizeMode, float | None]:
    """Resolves `auto` and finds the common scale of `fixed_scale`.

    Args:
        resize: What the settings ask for.
        sides_px: Longer side of each training image, shape (N,), pixels.
        size_px: Side of the network's square.

    Returns:
        The mode, never `auto`, and the scale in network pixels per image pixel (None unless `fixed_scale`).
    """
    largest, smallest = int(sides_px.max()), int(sides_px.min())
    if resize is ResizeMode.auto:
        resize = ResizeMode.fixed_scale if largest < _SAME_CAMERA_RATIO * smallest else ResizeMode.letterbox
    if resize is not ResizeMode.fixed_scale:
        return resize, None
    return resize, size_px / largest
