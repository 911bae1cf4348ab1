"""How much the service takes on: photographs that it promises to answer, and bytes that it holds meanwhile."""

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from phytoscope.api.errors import RequestError, refuse_busy

_FIRST_GUESS: Final = 20.0
_MEMORY: Final = 0.2
_LONGEST_WAIT_S: Final = 60.0


class Admission:
    """Counts what was taken and not finished.

    Attributes:
        images: Photographs that were taken and not answered.
        held_bytes: Bytes of requests that are held.
    """

    def __init__(self, most_images: int, most_bytes: int) -> None:
        """Starts empty.

        Args:
            most_images: Photographs that may be under way.
            most_bytes: Bytes that may be held.
        """
        self.images = 0
        self.held_bytes = 0
        self._most_images, self._most_bytes = most_images, most_bytes
        self._rate = _FIRST_GUESS
        self._counted, self._since = 0, time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether not even one more photograph may be under way."""
        return self.images >= self._most_images

    @contextlib.contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Takes photographs on, until the block ends.

        Args:
            count: How many. A request that is larger than the queue is taken when nothing else is under way.

        Raises:
            RequestError: There are too many already (429), with the time after which they should be done.
        """
        if self.images > 0 and self.images + count > self._most_images:
            raise self.refuse()
        self.images += count
        try:
            yield
        finally:
            self.images -= count
            self._count(count)

    @contextlib.contextmanager
    def hold(self) -> Iterator["Holding"]:
        """Gives an account of bytes, which is settled when the block ends."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self.held_bytes -= holding.size

    def has_room(self, more: int) -> bool:
        """Whether so many more bytes may be held."""
        return self.held_bytes + more <= self._most_bytes

    def refuse(self) -> RequestError:
        """Tells a client to come back when what was taken should be done."""
        return refuse_busy(min(_LONGEST_WAIT_S, self.images / self._rate))

    def _count(self, count: int) -> None:
        # Photographs per second while there is enough to do; quiet times say nothing about it.
        self._counted += count
        now = time.monotonic()
        if now - self._since >= 1.0:
            if self.images > 0:
                self._rate += _MEMORY * (self._counted / (now - self._since) - self._rate)
            self._counted, self._since = 0, now


class Holding:
    """The bytes of one request.

    Attributes:
        size: How many.
    """

    def __init__(self, admission: Admission) -> None:
        """Starts with none.

        Args:
            admission: Counts all requests together.
        """
        self.size = 0
        self._admission = admission

    def add(self, more: int) -> None:
        """Holds more bytes.

        Raises:
            RequestError: All requests together hold too many (429).
        """
        if not self._admission.has_room(more):
            raise self._admission.refuse()
        self.size += more
        self._admission.held_bytes += more
