"""Batches for training and validation, from the pixel cache."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from phytoscope.data.batch_order import FEWEST_IMAGES, EpochBatchSampler
from phytoscope.errors import ConfigError
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
        paths: Each image's file, where other machines may have to read it.
    """

    pixels: PixelSource
    rows: NDArray[np.int64]
    target: NDArray[Any]
    covariates: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    sha256: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)


class _BatchDataset(Dataset[Batch]):
    """Gives whole batches: its index is an epoch and the draws of the sampler."""

    def __init__(self, samples: Samples, augmentation: Augmentation | None) -> None:
        self._samples = samples
        self._augmentation = augmentation

    def __getitem__(self, index: Any) -> Batch:
        epoch, draws = index
        samples, augmentation = self._samples, self._augmentation
        positions = draws % len(samples)
        pixels = samples.pixels[samples.rows[positions]]
        if augmentation is not None:
            # The draw and not the position: an image that comes twice in an epoch is changed in two ways.
            pairs = zip(pixels, draws.tolist(), strict=True)
            pixels = np.stack([augmentation(image, index=draw, epoch=epoch) for image, draw in pairs])
        # The memory stays in channels-last order, which convolutions on a CPU like best.
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        covariates = samples.covariates if len(samples.covariates) > 0 else np.zeros((len(samples), 0), np.float32)
        return Batch(images, torch.from_numpy(samples.target[positions]), torch.from_numpy(covariates[positions]))


class PlantDataModule(lightning.LightningDataModule):
    """Training batches, shuffled and augmented, and validation batches, as they are.

    On several devices each one gets its part of every batch.
    """

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
        balanced: bool = False,
    ) -> None:
        """Holds the two splits.

        Args:
            train: Samples to learn from.
            val: Samples to choose the best epoch by.
            augmentation: Random change of training images.
            batch_size: Images a batch, over all devices.
            seed: Seed of the order of the training images.
            num_workers: Processes that prepare training batches.
            limit_batches: Training batches an epoch at most.
            balanced: Whether every class is drawn equally often (classification).
        """
        super().__init__()
        self._train = train
        self._val = val
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._num_workers = num_workers
        self.train_sampler = EpochBatchSampler(
            len(train),
            batch_size,
            seed=seed,
            limit_batches=limit_batches,
            classes=train.target if balanced else None,
        )

    @property
    def val_size(self) -> int:
        """Number of validation images."""
        return len(self._val)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches, shuffled and augmented.

        Raises:
            ConfigError: The batches cannot be divided among the devices.
        """
        self._divide(self.train_sampler)
        return DataLoader(
            _BatchDataset(self._train, self._augmentation),
            sampler=self.train_sampler,
            batch_size=None,
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            # Batches then go to a GPU while it still computes the one before.
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches, as they are and in order; on several devices some images come twice, see `join_parts`."""
        # All devices answer the same number of images, so that their answers can be put together.
        world = 1 if self.trainer is None else self.trainer.world_size
        sampler = EpochBatchSampler(len(self._val), max(world, self._batch_size - self._batch_size % world), seed=None)
        self._divide(sampler)
        # Reading squares from the cache costs next to nothing: a process of its own would cost more.
        return DataLoader(_BatchDataset(self._val, None), sampler=sampler, batch_size=None)

    def join_parts(self, parts: Tensor) -> Tensor:
        """Puts together what the devices computed from their validation batches, each image once.

        Args:
            parts: Shape (N, M, ...) of N devices with M images each.

        Returns:
            Shape (N x M at most, ...), one row an image, in the order of the validation images.
        """
        return parts.transpose(0, 1).flatten(0, 1)[: self.val_size]

    def state_dict(self) -> dict[str, Any]:
        """Which batch comes next, for a checkpoint."""
        # Not what the sampler gave last: loading processes are some batches ahead of the training.
        loop: Any = self.trainer.fit_loop  # type: ignore[union-attr]
        epoch, batch = loop.epoch_progress.current.processed, loop.epoch_loop.batch_progress.current.processed
        return {"epoch": epoch, "batch": batch if batch < len(self.train_sampler) else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on at the batch that came next."""
        # Before Lightning asks for the first batches: its own way of resuming would start loading processes on the
        # order of the first epoch.
        self.train_sampler.start_at(state_dict["epoch"], state_dict["batch"])

    def _divide(self, sampler: EpochBatchSampler) -> None:
        if self.trainer is None or self.trainer.world_size == 1:
            return
        world = self.trainer.world_size
        if self._batch_size < FEWEST_IMAGES * world:
            message = (
                f"trainer.batch_size={self._batch_size} cannot be divided among {world} devices: it must be at least "
                f"{FEWEST_IMAGES * world}."
            )
            raise ConfigError(message)
        if len(self._train) < FEWEST_IMAGES * world:
            message = (
                f"{len(self._train)} training images are too few for {world} devices: each needs at least "
                f"{FEWEST_IMAGES}; lower trainer.devices."
            )
            raise ConfigError(message)
        sampler.divide(self.trainer.global_rank, world)
