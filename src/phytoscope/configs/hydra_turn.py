"""Hydra's state: one for the whole process, which may be in use by another thread or by the caller's own program."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hydra.core.global_hydra import GlobalHydra

_LOCK: Final = threading.RLock()


@contextmanager
def take_turn() -> Iterator[None]:
    """Gives an empty state, to one thread at a time, and what was there before back in the end."""
    with _LOCK:
        known = GlobalHydra.instance().hydra
        GlobalHydra.instance().hydra = None
        try:
            yield
        finally:
            GlobalHydra.instance().hydra = known
