"""Which images come in which batch: a function of seed, epoch and the number of devices alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

FEWEST_IMAGES = 2
"""Images that every device needs in a training batch: batch statistics of one image are no statistics."""


class EpochBatchSampler(Sampler[Any]):
    """Batches of positions in an order that depends on seed and epoch alone, so that a resumed run sees the same.

    With several devices all of them go through the same batches, and each one takes every so-manieth image of them:
    together they see what one device would have seen, in as many steps. A last batch that is too small to be divided is
    taken whole by every device. So an epoch has the same batches whatever the number of devices, and a training can go
    on with another number of them.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        seed: int | None,
        limit_batches: int | None = None,
        classes: NDArray[np.int64] | None = None,
    ) -> None:
        """Plans the batches.

        Args:
            n: Number of samples.
            batch_size: Samples a batch, over all devices; the last one may be smaller, but in training never a single
                sample.
            seed: Seed of the order; None keeps the samples in order.
            limit_batches: Batches an epoch at most.
            classes: Class of each sample, shape (n,), int64: every class is drawn equally often instead of every
                sample once.
        """
        self._n = n
        self._batch_size = batch_size
        self._seed = seed
        self._limit = limit_batches
        self._classes = classes
        self._epoch = 0
        self._first = 0
        self._rank, self._world = 0, 1

    @property
    def first_batch(self) -> int:
        """Batch at which the present epoch begins: above 0 only where a training goes on within an epoch."""
        return self._first

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also after a restart."""
        if epoch != self._epoch:
            self._first = 0
        self._epoch = epoch

    def start_at(self, epoch: int, batch: int) -> None:
        """Goes on within an epoch.

        Args:
            epoch: Counted from 0.
            batch: First batch that is given in this epoch, counted from 0.
        """
        self._epoch, self._first = epoch, batch

    def divide(self, rank: int, world: int) -> None:
        """Leaves only the part of one device in each batch.

        Args:
            rank: Which device, from 0.
            world: Number of devices; parts of a batch that it does not divide differ by one sample.
        """
        self._rank, self._world = rank, world

    def size(self, batch: int) -> int:
        """Samples of a whole training batch, over all devices.

        Args:
            batch: Counted from 0.
        """
        return min(self._batch_size, self._n - batch * self._batch_size)

    def __len__(self) -> int:
        """Number of batches an epoch, the same on every device."""
        full, rest = divmod(self._n, self._batch_size)
        too_few = rest < FEWEST_IMAGES and self._seed is not None and full > 0
        count = full + (1 if rest > 0 and not too_few else 0)
        return count if self._limit is None else min(count, self._limit)

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yields the epoch and the draws of each batch; the position of a draw is its remainder modulo n.

        A draw of n or more is a sample that was drawn before in the same epoch.
        """
        order = self._order()
        for batch in range(self._first, len(self)):
            whole = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            # Every device needs a part of every batch, and its batch statistics more than one image.
            is_shared = self._seed is not None and len(whole) < FEWEST_IMAGES * self._world
            yield self._epoch, whole if is_shared else whole[self._rank :: self._world]

    def _order(self) -> NDArray[np.int64]:
        if self._seed is None:
            # Every device must take as many steps as the others: the first samples come again at the end, and whoever
            # puts the answers of the devices together leaves these out.
            return np.resize(np.arange(self._n), -(-self._n // self._world) * self._world)
        rng = np.random.default_rng([self._seed, self._epoch])
        if self._classes is None:
            return rng.permutation(self._n)
        return _draw_balanced(self._classes, rng)


def _draw_balanced(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    # As many draws as samples. Within a class no sample comes again before all others have come.
    n = len(classes)
    present = rng.permutation(np.unique(classes))
    quotas = np.full(len(present), n // len(present))
    quotas[: n % len(present)] += 1
    draws = []
    for label, quota in zip(present, quotas, strict=True):
        members = np.flatnonzero(classes == label)
        rounds = -(-int(quota) // len(members))
        draws.append(np.concatenate([rng.permutation(members) + turn * n for turn in range(rounds)])[:quota])
    return rng.permutation(np.concatenate(draws))
