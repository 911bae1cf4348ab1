"""Batches for training and validation, from the pixel cache."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from phytoscope.schema.pixels import PixelSource
from phytoscope.transforms.augment import Augmentation


class Batch(NamedTuple):
    """What a network sees and should answer at once.

    Attributes:
        images: Shape (N, 3, S, S), uint8, RGB, 0-255.
        target: Class indices of shape (N,), int64, or numbers of shape (N, targets), float32, on the learned scales,
            NaN where a row lacks one.
        covariates: Shape (N, covariate_dim), float32.
    """

    images: Tensor
    target: Tensor
    covariates: Tensor


@dataclass(frozen=True)
class Samples:
    """Images and answers of one split.

    Attributes:
        pixels: All pictures, read by their row as squares of shape (S, S, 3), uint8, RGB, 0-255: the pixel cache, which
            sends a loading process the names of its files, or an array.
        rows: Row in `pixels` of each sample, shape (N,), int64.
        target: Class indices of shape (N,), int64, or numbers of shape (N, targets), float32, on the learned scales,
            NaN where a row lacks one.
        covariates: What is seen beside the images, shape (N, covariate_dim), float32; empty when there is nothing.
        sha256: Hash of each image's file, the name under which what was computed of it is kept.
        group_ids: Group of each sample.
    """

    pixels: PixelSource
    rows: NDArray[np.int64]
    target: NDArray[Any]
    covariates: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    sha256: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)


class _BatchDataset(Dataset[Batch]):
    """Gives whole batches: its index is an epoch and the positions of the samples."""

    def __init__(self, samples: Samples, augmentation: Augmentation | None) -> None:
        self._samples = samples
        self._augmentation = augmentation

    def __getitem__(self, index: Any) -> Batch:
        epoch, positions = index
        samples, augmentation = self._samples, self._augmentation
        pixels = samples.pixels[samples.rows[positions]]
        if augmentation is not None:
            pairs = zip(pixels, positions.tolist(), strict=True)
            pixels = np.stack([augmentation(image, index=position, epoch=epoch) for image, position in pairs])
        # The memory stays in channels-last order, which convolutions on a CPU like best.
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        covariates = samples.covariates if len(samples.covariates) > 0 else np.zeros((len(samples), 0), np.float32)
        return Batch(images, torch.from_numpy(samples.target[positions]), torch.from_numpy(covariates[positions]))


class EpochBatchSampler(Sampler[Any]):
    """Batches of positions in an order that depends on seed and epoch alone, so that a resumed run sees the same."""

    def __init__(self, n: int, batch_size: int, *, seed: int | None, limit_batches: int | None = None) -> None:
        """Plans the batches.

        Args:
            n: Number of samples.
            batch_size: Samples a batch; the last one may be smaller, but never a single sample in training.
            seed: Seed of the order; None keeps the samples in order.
            limit_batches: Batches an epoch at most.
        """
        self._n = n
        self._batch_size = batch_size
        self._seed = seed
        self._limit = limit_batches
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also after a restart."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Number of batches an epoch."""
        full, rest = divmod(self._n, self._batch_size)
        # Batch statistics of one image are no statistics.
        single_dropped = rest == 1 and self._seed is not None and full > 0
        count = full + (1 if rest > 0 and not single_dropped else 0)
        return count if self._limit is None else min(count, self._limit)

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yields the epoch and the positions of each batch."""
        order = np.arange(self._n)
        if self._seed is not None:
            order = np.random.default_rng([self._seed, self._epoch]).permutation(self._n)
        for batch in range(len(self)):
            yield self._epoch, order[batch * self._batch_size : (batch + 1) * self._batch_size]


class PlantDataModule(lightning.LightningDataModule):
    """Training batches, shuffled and augmented, and validation batches, as they are."""

    def __init__(
        self,
        train: Samples,
        val: Samples,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        num_workers: int,
        limit_batches: int | None = None,
    ) -> None:
        """Holds the two splits.

        Args:
            train: Samples to learn from.
            val: Samples to choose the best epoch by.
            augmentation: Random change of training images.
            batch_size: Images a batch.
            seed: Seed of the order of the training images.
            num_workers: Processes that prepare training batches.
            limit_batches: Training batches an epoch at most.
        """
        super().__init__()
        self._train = train
        self._val = val
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._num_workers = num_workers
        self.train_sampler = EpochBatchSampler(len(train), batch_size, seed=seed, limit_batches=limit_batches)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches, shuffled and augmented."""
        return DataLoader(
            _BatchDataset(self._train, self._augmentation),
            sampler=self.train_sampler,
            batch_size=None,
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches, as they are and in order."""
        sampler = EpochBatchSampler(len(self._val), self._batch_size, seed=None)
        # Reading squares from the cache costs next to nothing: a process of its own would cost more.
        return DataLoader(_BatchDataset(self._val, None), sampler=sampler, batch_size=None)
