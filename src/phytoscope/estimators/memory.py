"""Features that this process has computed, remembered by the content of the picture, so that folds share them."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES: Final = 256 << 20


class FeatureMemory:
    """Remembers features up to a number of bytes; those that were not asked for longest are forgotten first.

    Several threads may use it at once.
    """

    def __init__(self, max_bytes: int = _MOST_BYTES) -> None:
        """Starts with nothing.

        Args:
            max_bytes: Bytes of all features together, at most.
        """
        self.max_bytes = max_bytes
        self._known: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of features that are remembered."""
        return len(self._known)

    @property
    def nbytes(self) -> int:
        """Bytes of all features that are remembered."""
        return self._bytes

    def recall(self, keys: Iterable[Hashable]) -> dict[Hashable, NDArray[np.float32]]:
        """The features that are known among some, shape (feature_dim,), float32 each.

        Args:
            keys: Backbone, preparation, view and content of each.
        """
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
            for key in found:
                self._known.move_to_end(key)
        return found

    def keep(self, key: Hashable, features: NDArray[np.float32]) -> None:
        """Remembers the features of one picture, and forgets others where there is no room.

        Args:
            key: Backbone, preparation, view and content.
            features: Array of shape (feature_dim,), float32; more than fit in all are not kept.
        """
        if features.nbytes > self.max_bytes:
            return
        # A row of a batch would keep the whole batch in memory.
        own = features.copy()
        own.flags.writeable = False
        with self._lock:
            old = self._known.pop(key, None)
            self._bytes += own.nbytes - (0 if old is None else old.nbytes)
            self._known[key] = own
            while self._bytes > self.max_bytes:
                self._bytes -= self._known.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._known.clear()
            self._bytes = 0


MEMORY: Final = FeatureMemory()
"""What this process remembers."""
