"""A queue in which a request with many photographs does not stand before one with a single one."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class FairQueue(Generic[_Item]):
    """First in, first out for each owner; the owners take turns."""

    def __init__(self) -> None:
        """Starts empty."""
        self._items: dict[Hashable, deque[_Item]] = {}
        self._turns: deque[Hashable] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, owner: Hashable, item: _Item) -> None:
        """Adds an item behind those of the same owner."""
        waiting = self._items.get(owner)
        if waiting is None:
            self._items[owner] = deque((item,))
            self._turns.append(owner)
        else:
            waiting.append(item)
        self._count += 1

    def pop(self) -> _Item:
        """Takes the first item of the owner whose turn it is.

        Raises:
            IndexError: The queue is empty.
        """
        owner = self._turns.popleft()
        waiting = self._items[owner]
        item = waiting.popleft()
        if waiting:
            self._turns.append(owner)
        else:
            del self._items[owner]
        self._count -= 1
        return item
