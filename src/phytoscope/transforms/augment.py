"""Random changes of training images, behind one small interface so that the library below it can be exchanged."""

import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AugmentPreset
from phytoscope.transforms.backgrounds import NO_BACKGROUNDS, Backgrounds, replace_background
from phytoscope.transforms.light import change_light

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

# Raised when the same numbers would give other pictures, so that views kept by an earlier version are not taken.
_FIELD_VERSION = 1


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


class FieldAugmentation:
    """Leaves from the laboratory as the field would show them: before other backgrounds and in other light.

    Attributes:
        seed: Seed of all random choices.
        backgrounds: Pictures that leaves are set before, beside drawn textures.
        replaced: Share of the images whose background is replaced, where the leaf can be cut out.
        relit: Share of the images whose light, air and camera change strongly; those of the others change as in the
            preset `leaf`.
    """

    def __init__(
        self,
        size_px: int,
        *,
        seed: int,
        backgrounds: Backgrounds = NO_BACKGROUNDS,
        replaced: float = 0.6,
        relit: float = 0.5,
    ) -> None:
        """Takes the parts.

        Args:
            size_px: Side of the square images.
            seed: Seed of all random choices.
            backgrounds: Pictures that leaves are set before, beside drawn textures.
            replaced: Share of the images whose background is replaced, 0-1.
            relit: Share of the images whose light, air and camera change strongly, 0-1.
        """
        self.seed = seed
        self.backgrounds = backgrounds
        self.replaced = replaced
        self.relit = relit
        self._poses = A.Compose(_leaf_poses(size_px))
        self._leaf = A.Compose(_leaf_transforms(size_px))

    def __call__(self, pixels: NDArray[np.uint8], *, index: int, epoch: int) -> NDArray[np.uint8]:
        """Changes one image of shape (S, S, 3), uint8; see `Augmentation`."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch, index]))
        is_replaced, is_relit = rng.random() < self.replaced, rng.random() < self.relit
        if is_replaced:
            pixels = replace_background(pixels, rng, self.backgrounds)
        compose = self._poses if is_relit else self._leaf
        compose.set_random_seed(int(rng.integers(2**31)))
        changed: NDArray[np.uint8] = compose(image=pixels)["image"]
        return change_light(changed, rng) if is_relit else changed


def build_augmentation(
    preset: AugmentPreset, *, size_px: int, seed: int, backgrounds: Backgrounds = NO_BACKGROUNDS
) -> Augmentation:
    """Builds the random changes of one preset.

    `top_view` and `side_view` never change the scale, because there the size of the plant is the answer.

    Args:
        preset: Which preset.
        size_px: Side of the square images.
        seed: Seed of all random choices.
        backgrounds: Pictures that `field` sets leaves before, beside drawn textures.

    Raises:
        ConfigError: Backgrounds are given, but the preset replaces none.
    """
    if backgrounds.pictures and preset is not AugmentPreset.field:
        message = (
            f"data.backgrounds is given, but data.augment={preset.value} replaces no background: "
            "use data.augment=field, or leave data.backgrounds out."
        )
        raise ConfigError(message)
    if preset is AugmentPreset.none:
        return _NoAugmentation()
    # OpenCV's own threads fight with the data-loading processes for the same cores.
    cv2.setNumThreads(0)
    if preset is AugmentPreset.field:
        return FieldAugmentation(size_px, seed=seed, backgrounds=backgrounds)
    build: dict[AugmentPreset, Callable[[], list[A.BasicTransform]]] = {
        AugmentPreset.leaf: partial(_leaf_transforms, size_px),
        AugmentPreset.top_view: _top_view_transforms,
        AugmentPreset.side_view: _side_view_transforms,
    }
    return _AlbumentationsAugmentation(build[preset](), seed)


def name_changes(augmentation: Augmentation, preset: AugmentPreset) -> str:
    """Names what decides an augmented view beside its seed and its number, for the keys of caches.

    Args:
        augmentation: The random change.
        preset: Its preset.
    """
    if not isinstance(augmentation, FieldAugmentation):
        return preset.value
    parts = (_FIELD_VERSION, augmentation.replaced, augmentation.relit, augmentation.backgrounds.content_hash)
    return "-".join(str(part) for part in (preset.value, *parts))


def _leaf_poses(size_px: int) -> list[A.BasicTransform]:
    return [
        A.RandomResizedCrop(size=(size_px, size_px), scale=(0.4, 1.0), ratio=(0.75, 1.33)),
        A.D4(),
        A.Rotate(limit=30, border_mode=cv2.BORDER_REFLECT_101, p=0.4),
    ]


def _leaf_transforms(size_px: int) -> list[A.BasicTransform]:
    # Strong changes of light and focus: another day's series of photographs differs from this one most of all in these.
    return [
        *_leaf_poses(size_px),
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
