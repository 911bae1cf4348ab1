"""torch's random state: one for the whole process, which belongs to the caller."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

# Several threads may fit estimators at once.
_LOCK: Final = threading.RLock()


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Seeds torch for what is done inside, one thread at a time, and gives the caller's random state back.

    Args:
        seed: The seed; whatever it is where nothing is drawn that counts.
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
