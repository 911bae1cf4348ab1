"""Mixes pairs of training images and their answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class BatchMixer:
    """Mixes every batch with itself in another order: mixup, cutmix, or one of them by turns.

    mixup takes a weighted mean of two images (Zhang 2018, arXiv 1710.09412); cutmix puts a box of one into the other
    (Yun 2019, doi 10.1109/ICCV.2019.00612). The answers are mixed by the same share.

    Attributes:
        mixup: The share is drawn from Beta(mixup, mixup); 0 for no mixup.
        cutmix: The share is drawn from Beta(cutmix, cutmix); 0 for no cutmix.
        classes: Number of classes; None where numbers are learned.
    """

    mixup: float
    cutmix: float
    classes: int | None

    def __call__(
        self, images: Tensor, target: Tensor, covariates: Tensor, place: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mixes one batch.

        Args:
            images: Shape (N, 3, S, S), 0-255.
            target: Class indices of shape (N,), or numbers of shape (N, targets).
            covariates: Shape (N, covariate_dim), float32.
            place: Whole numbers, 0 or above, that everything random depends on: seed, epoch, batch, and so on.

        Returns:
            Images of the same shape, float32 (mixup) or as they were (cutmix); probabilities of shape (N, classes) or
            mixed numbers, float32; mixed covariates.
        """
        rng = np.random.default_rng([*place, *b"mix"])
        cut = self.cutmix > 0 and (self.mixup == 0 or place[-1] % 2 == 1)
        strength = self.cutmix if cut else self.mixup
        keep = float(rng.beta(strength, strength))
        partner = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        if cut:
            images, keep = _paste_box(images, partner, keep, rng)
        else:
            images = _blend(images.float(), partner, keep).contiguous(memory_format=torch.channels_last)
        if self.classes is not None:
            target = functional.one_hot(target, self.classes).float()
        return images, _blend(target, partner, keep), _blend(covariates, partner, keep)


def _blend(values: Tensor, partner: Tensor, keep: float) -> Tensor:
    return keep * values + (1 - keep) * values[partner]


def _paste_box(images: Tensor, partner: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    height, width = images.shape[2:]
    side = math.sqrt(1 - keep)
    middle_y, middle_x = rng.uniform(0, height), rng.uniform(0, width)
    top, bottom = _clip(middle_y - side * height / 2, height), _clip(middle_y + side * height / 2, height)
    left, right = _clip(middle_x - side * width / 2, width), _clip(middle_x + side * width / 2, width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    # A box over the edge covers less than was drawn.
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _clip(value: float, highest: int) -> int:
    return min(highest, max(0, round(value)))
