"""Training images that grow in the course of training: early epochs see less of a picture and cost less."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from timm.models import get_pretrained_cfg

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AugmentPreset
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import Task
from phytoscope.transforms.augment import Augmentation

_STEP_PX = 32
_GROWING_SHARE = 2 / 3
_DEFAULT_SHARE = 0.6
_SMALLEST_USEFUL_PX = 96
_ANY_SCALE = (AugmentPreset.leaf, AugmentPreset.field)


@dataclass(frozen=True)
class SizeSchedule:
    """Side of the training images in each epoch.

    The side grows linearly over the first two thirds of the epochs, in steps of 32 pixels, and stays at the network's
    own for the rest (progressive learning: Tan and Le 2021, arXiv 2104.00298; Touvron 2019, arXiv 1906.06423, for why
    the last epochs must see the size of the answers).

    Attributes:
        size_px: Side that the network sees in the end.
        smallest: First side as a share of it, 0-1.
        epochs: Epochs in all.
    """

    size_px: int
    smallest: float
    epochs: int

    def side(self, epoch: int) -> int:
        """Side of the training images in an epoch, counted from 0, in pixels."""
        growing = max(1, round(_GROWING_SHARE * self.epochs))
        share = self.smallest + (1 - self.smallest) * min(1.0, epoch / growing)
        if share >= 1 or epoch >= self.epochs - 1:
            return self.size_px
        return min(self.size_px, max(_STEP_PX, _STEP_PX * round(share * self.size_px / _STEP_PX)))

    def mean_cost(self) -> float:
        """Mean number of pixels of an epoch as a share of those at full size, 0-1."""
        sides = [self.side(epoch) for epoch in range(self.epochs)]
        return float(np.mean(np.square(sides))) / self.size_px**2 if sides else 1.0


class GrowingAugmentation:
    """Changes an image as another augmentation does, and brings it to the side of the epoch."""

    def __init__(self, augmentation: Augmentation, schedule: SizeSchedule) -> None:
        """Takes both.

        Args:
            augmentation: Gives squares of the network's own side.
            schedule: Side of each epoch.
        """
        self._augmentation = augmentation
        self._schedule = schedule

    def __call__(self, pixels: NDArray[np.uint8], *, index: int, epoch: int) -> NDArray[np.uint8]:
        """Changes one image.

        Args:
            pixels: Shape (S, S, 3), uint8, RGB, 0-255.
            index: Draw of the image.
            epoch: Number of the epoch, from 0.

        Returns:
            Shape (side, side, 3), uint8, RGB, 0-255.
        """
        changed = self._augmentation(pixels, index=index, epoch=epoch)
        side = self._schedule.side(epoch)
        if side == changed.shape[0]:
            return changed
        return np.asarray(cv2.resize(changed, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def plan_sizes(config: RunConfig, size_px: int) -> SizeSchedule:
    """Plans the side of the training images.

    Left open, classes of leaves start at 0.6 of the side; wherever the scale may be the answer (numbers, fixed cameras,
    images as they are) and for small images the side stays what it is.

    Args:
        config: Settings; `trainer.max_epochs` is filled in.
        size_px: Side that the network sees.

    Raises:
        ConfigError: The backbone takes images of one size only.
    """
    epochs = config.trainer.max_epochs or 1
    smallest = config.trainer.smallest_size
    if smallest is None:
        free = config.data.task is Task.classification and config.data.augment in _ANY_SCALE
        pays = free and not _takes_one_size(config.model.backbone) and _DEFAULT_SHARE * size_px >= _SMALLEST_USEFUL_PX
        smallest = _DEFAULT_SHARE if pays else 1.0
    elif smallest < 1 and _takes_one_size(config.model.backbone):
        message = (
            f"trainer.smallest_size={smallest:g}: {config.model.backbone} takes images of one size only; leave "
            "trainer.smallest_size out or set it to 1."
        )
        raise ConfigError(message)
    return SizeSchedule(size_px, smallest, epochs)


def _takes_one_size(backbone: str) -> bool:
    known = get_pretrained_cfg(backbone)
    return known is not None and known.fixed_input_size is True
