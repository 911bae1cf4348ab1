"""One view of each image: as it is, or changed at random in a way that depends on its content alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from phytoscope.data.cache.feature_cache import number_image
from phytoscope.data.datamodule import Samples
from phytoscope.transforms.augment import Augmentation
from phytoscope.transforms.stream import count_cores

# One process changes about a thousand images a second, as many as two cores run through a small network.
_CORES_A_WORKER, _MOST_WORKERS = 4, 8
_IMAGES_WORTH_WORKERS = 2000


class ViewBatches(Dataset[NDArray[np.uint8]]):
    """Gives batches of one view of some images; its index is an array of positions."""

    def __init__(self, samples: Samples, augmentation: Augmentation | None, view: int) -> None:
        """Takes the images.

        Args:
            samples: The images and the hashes of their files.
            augmentation: Random change; None for images as they are.
            view: Number of the view, which takes the place of the epoch.
        """
        self._samples, self._augmentation, self._view = samples, augmentation, view

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Pixels of the images at some positions, shape (N, S, S, 3), uint8, RGB, 0-255."""
        samples, augmentation = self._samples, self._augmentation
        pixels = samples.pixels[samples.rows[index]]
        if augmentation is None:
            return pixels
        numbers = [number_image(samples.sha256[place]) for place in index]
        changed = [
            augmentation(image, index=number, epoch=self._view) for image, number in zip(pixels, numbers, strict=True)
        ]
        return np.stack(changed)


def iterate_view(
    samples: Samples,
    positions: NDArray[np.int64],
    *,
    augmentation: Augmentation | None,
    view: int,
    batch_size: int,
    num_workers: int | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Reads one view of some images, a batch after the other.

    Args:
        samples: The images and the hashes of their files.
        positions: Positions in `samples`, shape (M,), int64.
        augmentation: Random change; None for images as they are.
        view: Number of the view.
        batch_size: Images a batch.
        num_workers: Processes that change images; None takes one for four cores, none on a small machine, where this
            process does it while the network runs in threads of its own.

    Yields:
        Pixels of shape (N, S, S, 3), uint8, RGB, 0-255.
    """
    batches = [positions[first : first + batch_size] for first in range(0, len(positions), batch_size)]
    dataset = ViewBatches(samples, augmentation, view)
    workers = _count_workers(len(positions), num_workers) if augmentation is not None else 0
    if workers == 0:
        # OpenCV's threads and those of the network would wait for each other.
        cv2.setNumThreads(1)
        yield from map(dataset.__getitem__, batches)
        return
    loader: DataLoader[Any] = DataLoader(
        dataset, sampler=batches, batch_size=None, num_workers=workers, collate_fn=_keep, prefetch_factor=8
    )
    for batch in loader:
        yield np.asarray(batch)


def _count_workers(images: int, num_workers: int | None) -> int:
    if num_workers is not None:
        return num_workers
    if images < _IMAGES_WORTH_WORKERS:
        return 0
    return min(_MOST_WORKERS, count_cores() // _CORES_A_WORKER)


def _keep(batch: Sequence[Any]) -> Sequence[Any]:
    return batch
