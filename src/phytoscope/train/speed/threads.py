"""How many processes prepare batches, and with how many threads the network computes."""

import contextlib
import dataclasses
from collections.abc import Iterator

import torch

from phytoscope.schema.train_config import TrainerConfig
from phytoscope.transforms.stream import count_cores

_FEW_BATCHES, _MOST_WORKERS = 4, 8


def choose_num_workers(
    config: TrainerConfig, n_batches: int, *, prepare_s: float | None = None, step_s: float | None = None
) -> int:
    """Number of processes that prepare training batches.

    Args:
        config: `num_workers` is taken where it is given.
        n_batches: Batches an epoch; for a handful the start of a process costs more than it saves.
        prepare_s: Seconds in which one process prepares an image; None when it was not measured.
        step_s: Seconds that the network takes for an image.

    Returns:
        As many as keep the network busy, with a quarter to spare, but no more than there are cores beside the one that
        trains, and at least one. Without a measurement, one for each spare core, four at most.
    """
    if config.num_workers is not None:
        return config.num_workers
    if n_batches <= _FEW_BATCHES:
        return 0
    spare = max(1, count_cores() - 1)
    if prepare_s is None or step_s is None:
        return min(4, spare)
    needed = int(1.25 * prepare_s / max(step_s, 1e-9)) + 1
    return max(1, min(_MOST_WORKERS, spare, needed))


def share_cores(config: TrainerConfig, cores: int) -> TrainerConfig:
    """Settings of a training that has only some cores of its machine; what the user has set stays.

    Args:
        config: `threads` and `num_workers` are filled in.
        cores: How many it has.
    """
    threads = cores if config.threads is None else config.threads
    num_workers = max(0, cores - 1) if config.num_workers is None else config.num_workers
    return dataclasses.replace(config, threads=threads, num_workers=num_workers)


@contextlib.contextmanager
def use_threads(threads: int | None) -> Iterator[None]:
    """Lets torch compute with a number of threads, and puts the old number back.

    Args:
        threads: How many; None leaves them as they are: one a core, or what OMP_NUM_THREADS says.
    """
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
