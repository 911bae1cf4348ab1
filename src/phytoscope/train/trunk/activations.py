"""Activations at the cut: computed once for some views of each image, kept in half precision, read as batches."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.data.cache.array_store import HALF, ArrayKind, ArrayStore, open_array_store
from phytoscope.data.cache.shards import ShardedArrays
from phytoscope.data.datamodule import Samples
from phytoscope.errors import DataValidationError
from phytoscope.models.runtime import Extractor, build_extractor
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.choices import AugmentPreset
from phytoscope.train.features.views import iterate_view
from phytoscope.train.job import TrainingJob
from phytoscope.train.speed.device import choose_device
from phytoscope.train.trunk.cut import TrunkCut, TrunkNetwork
from phytoscope.train.trunk.tail import to_squares
from phytoscope.transforms.augment import name_changes

_FORMAT = 1


@dataclass(frozen=True)
class ViewReader:
    """Gives, for an image and an epoch, the activations of one of its views; it stands where images are augmented.

    Attributes:
        views: Activations of all images, one array a view.
    """

    views: tuple[ShardedArrays, ...]

    def __call__(self, pixels: NDArray[Any], *, index: int, epoch: int) -> NDArray[Any]:
        """Reads one view.

        Args:
            pixels: Not read.
            index: Draw of the image: its position in the training split, plus the number of images for each time that
                it was drawn before in the epoch.
            epoch: Number of the epoch, from 0.

        Returns:
            Shape (H, W, C), float16.
        """
        # A draw beyond the number of images is an image that comes twice in an epoch, and is then seen in another view.
        turn, position = divmod(index, len(self.views[0]))
        # Images change their view one after the other, so that every epoch is a mixture of views.
        found: NDArray[Any] = self.views[(turn + position + epoch) % len(self.views)][position]
        return found


class RowNumbers:
    """Stands where pixels are read when what is read depends on the epoch, too."""

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """One number a row, shape (N, 1), which nobody reads."""
        return np.zeros((np.size(rows), 1), dtype=np.uint8)


class TrunkRunner:
    """Computes activations at one cut of one network."""

    def __init__(self, job: TrainingJob, cut: TrunkCut) -> None:
        """Takes what the activations depend on.

        Args:
            job: Network, preparation, augmentation and settings; its network is not changed.
            cut: Where the network is cut.
        """
        self._job = job
        self._cut = cut
        self._weights_hash = _hash_trunk(job, cut)
        self._trunk = TrunkNetwork(job.network, cut).eval()
        self._extractor: Extractor | None = None
        self._expected = 0
        size = job.preprocess.size_px
        with torch.no_grad():
            example = self._trunk(torch.zeros((1, 3, size, size), dtype=torch.uint8))
        self._shape = tuple(to_squares(example).shape[1:])
        self.dimensions = int(example.ndim)

    def expect(self, images: int) -> None:
        """Says how many images will be seen in all, which decides what computes."""
        self._expected = images

    @property
    def bytes_per_view(self) -> int:
        """Space that one view of one image takes in the cache."""
        return 2 * int(np.prod(self._shape))

    def open_store(self, view: int) -> ArrayStore:
        """Names the cache of one view.

        Args:
            view: 0 for images as they are, else the number of an augmented view.
        """
        job = self._job
        augmented = view > 0
        preset = job.config.data.augment if augmented else AugmentPreset.none
        about = {
            "trunk_format": _FORMAT,
            "trunk": self._weights_hash,
            "cut": self._cut.name,
            "pixels": job.preprocess.pixel_hash,
            "scale": [list(job.preprocess.mean), list(job.preprocess.std)],
            "augment": name_changes(job.augmentation, preset) if augmented else preset.value,
            "seed": job.config.seed if augmented else 0,
            "view": view,
        }
        return open_array_store(job.cache_dir, ArrayKind.activations, about, self._shape, HALF)

    def complete(self, samples: Samples, view: int) -> ShardedArrays:
        """Computes what is missing of one view, and reads it.

        Args:
            samples: The images.
            view: 0 for images as they are, else the number of an augmented view.

        Returns:
            Shape (N, H, W, C), float16.

        Raises:
            DataValidationError: The images come without the hashes of their files.
            StorageError: The cache cannot be written or the disk is full; what was finished is kept.
        """
        if len(samples.sha256) != len(samples):
            message = (
                f"{len(samples)} images come with {len(samples.sha256)} file hashes, under which activations are kept: "
                "give each its hash, or use trainer.mode=plain."
            )
            raise DataValidationError(message)

        def compute(positions: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
            yield from self._compute(samples, positions, view)

        return self.open_store(view).complete(samples.sha256, compute, self._job.progress)

    def _compute(self, samples: Samples, positions: NDArray[np.int64], view: int) -> Iterator[NDArray[Any]]:
        job = self._job
        job.progress.start(f"Running the trunk, view {view}", len(positions))
        try:
            extractor = self._prepare(len(positions))
            batches = iterate_view(
                samples,
                positions,
                augmentation=job.augmentation if view > 0 else None,
                view=view,
                batch_size=extractor.batch_size,
                num_workers=job.config.trainer.num_workers,
            )
            began, done = time.monotonic(), 0
            for activations in extractor.stream(batches):
                yield to_squares(torch.from_numpy(activations))
                done += len(activations)
                rate = done / max(1e-9, time.monotonic() - began)
                job.progress.advance(len(activations), f"{rate:.0f} images/s")
        finally:
            job.progress.finish()

    def _prepare(self, images: int) -> Extractor:
        if self._extractor is None:
            job = self._job
            self._extractor = build_extractor(
                self._trunk,
                job.preprocess.size_px,
                job.config.trainer.runtime,
                images=max(images, self._expected),
                device=choose_device(job.config.trainer),
                threads=job.config.trainer.threads,
                say=job.say,
            )
        return self._extractor


def _hash_trunk(job: TrainingJob, cut: TrunkCut) -> str:
    """Hash of everything below the cut; what is above may change as it likes."""
    parts: list[Any] = [job.config.model.backbone]
    for name, value in sorted(job.network.backbone.state_dict().items()):
        if any(element.holds(name) for element in cut.trunk):
            array = value.detach().cpu().contiguous().numpy()
            parts.append([name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()])
    return hash_content(parts)
