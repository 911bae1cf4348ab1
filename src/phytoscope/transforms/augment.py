"""Random changes of training images, behind one small interface so that the library below it can be exchanged."""

import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import AugmentPreset

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A


class Augmentation(Protocol):
    """A random change that is the same for the same image in the same epoch, whoever computes it."""

    def __call__(self, pixels: NDArray[np.uint8], *, index: int, epoch: int) -> NDArray[np.uint8]:
        """Changes one image.

        Args:
            pixels: Shape (S, S, 3), uint8, RGB, 0-255.
            index: Position of the image in the training split.
            epoch: Number of the epoch, from 0.

        Returns:
            Shape (S, S, 3), uint8, RGB, 0-255.
        """


class _NoAugmentation:
    def __call__(self, pixels: NDArray[np.uint8], *, index: int, epoch: int) -> NDArray[np.uint8]:
        return pixels


class _AlbumentationsAugmentation:
    def __init__(self, transforms: list[A.BasicTransform], seed: int) -> None:
        self._compose = A.Compose(transforms)
        self._seed = seed

    def __call__(self, pixels: NDArray[np.uint8], *, index: int, epoch: int) -> NDArray[np.uint8]:
        # One generator per image and epoch: the result does not depend on the number of workers or on a restart.
        seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)[0]
        self._compose.set_random_seed(int(seed))
        changed: NDArray[np.uint8] = self._compose(image=pixels)["image"]
        return changed


def build_augmentation(preset: AugmentPreset, *, size_px: int, seed: int) -> Augmentation:
    """Builds the random changes of one preset.

    `top_view` and `side_view` never change the scale, because there the size of the plant is the answer.

    Args:
        preset: Which preset.
        size_px: Side of the square images.
        seed: Seed of all random choices.
    """
    if preset is AugmentPreset.none:
        return _NoAugmentation()
    # OpenCV's own threads fight with the data-loading processes for the same cores.
    cv2.setNumThreads(0)
    build: dict[AugmentPreset, Callable[[], list[A.BasicTransform]]] = {
        AugmentPreset.leaf: partial(_leaf_transforms, size_px),
        AugmentPreset.top_view: _top_view_transforms,
        AugmentPreset.side_view: _side_view_transforms,
    }
    return _AlbumentationsAugmentation(build[preset](), seed)


def _leaf_transforms(size_px: int) -> list[A.BasicTransform]:
    # Strong changes of light and focus: another day's series of photographs differs from this one most of all in these.
    return [
        A.RandomResizedCrop(size=(size_px, size_px), scale=(0.4, 1.0), ratio=(0.75, 1.33)),
        A.D4(),
        A.Rotate(limit=30, border_mode=cv2.BORDER_REFLECT_101, p=0.4),
        A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(-0.05, 0.05), p=0.85),
        A.RandomGamma(gamma_limit=(70, 140), p=0.3),
        A.OneOf(
            [
                A.GaussianBlur(blur_limit=(3, 5)),
                A.GaussNoise(std_range=(0.01, 0.05)),
                A.Downscale(scale_range=(0.5, 0.8)),
            ],
            p=0.3,
        ),
    ]


def _top_view_transforms() -> list[A.BasicTransform]:
    shift = A.Affine(translate_percent=(-0.06, 0.06), rotate=(-45, 45), border_mode=cv2.BORDER_REPLICATE, p=0.7)
    return [A.D4(), shift, *_light_transforms()]


def _side_view_transforms() -> list[A.BasicTransform]:
    shift = A.Affine(translate_percent=(-0.06, 0.06), rotate=(-6, 6), border_mode=cv2.BORDER_REPLICATE, p=0.7)
    return [A.HorizontalFlip(), shift, *_light_transforms()]


def _light_transforms() -> list[A.BasicTransform]:
    return [A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.8)]
