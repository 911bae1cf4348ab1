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
    """

    size_px: int
    resize: ResizeMode
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_pct: float = 1.0
    scale: float | None = None
    max_megapixels: float = 100.0

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
        return hash_content(content)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "resize": self.resize.value, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Preprocess":
        """Rebuilds the parameters from `to_dict`'s result."""
        mean, std = (tuple(float(value) for value in content[name]) for name in ("mean", "std"))
        return cls(**{**content, "resize": ResizeMode(content["resize"]), "mean": mean, "std": std})

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Brings one image to the square.

        Args:
            pixels: Shape (H, W, 3), uint8, RGB, 0-255, any size.

        Returns:
            Shape (size_px, size_px, 3), uint8, RGB, 0-255.
        """
        image = Image.fromarray(pixels)
        size, resample = self.size_px, _FILTERS[self.interpolation]
        if self.resize is ResizeMode.squash:
            return np.array(image.resize((size, size), resample))
        if self.resize is ResizeMode.crop:
            return _crop(image, size, self.crop_pct, resample)
        if self.scale is None:
            return self._centre(_scale(image, size / max(image.size), resample))
        visible = math.ceil(size / self.scale)
        return self._centre(_scale(_trim(image, _SPARE * visible), self.scale, resample))

    def _fill(self) -> tuple[int, ...]:
        return tuple(round(255 * value) for value in self.mean)

    def _centre(self, image: Image.Image) -> NDArray[np.uint8]:
        size = self.size_px
        canvas = Image.new("RGB", (size, size), self._fill())
        canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        return np.array(canvas)


def _crop(image: Image.Image, size: int, crop_pct: float, resample: Image.Resampling) -> NDArray[np.uint8]:
    # Rounded as torchvision and timm round, because pre-trained weights saw pixels cut in that way.
    image = _trim(image, _LONGEST_STRIP * min(image.size))
    shorter = max(size, int(size / crop_pct + 1e-9))
    width, height = (shorter * side // min(image.size) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.array(image.resize((width, height), resample).crop((left, top, left + size, top + size)))


def _trim(image: Image.Image, longest: int) -> Image.Image:
    # Far outside the square nothing can be seen, and enlarging it could fill the memory.
    width, height = (min(side, longest) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _scale(image: Image.Image, factor: float, resample: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), resample)


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
