"""An engine that sends its work to nobody but behaves as if: rows in blocks, everything through pickle, blocks lost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import cloudpickle


@dataclass
class FarEngine:
    """Divides rows into blocks and copies work, rows and results as another process would receive them.

    Attributes:
        block_rows: Rows of a block where the caller does not say how many.
        lose_every: Each so many blocks one is done, thrown away and done again; 0 for never.
        titles: Titles of all work so far.
        rows: Rows that were worked on, those of lost blocks twice.
        opened: How often work was opened.
        largest_work_bytes: Size of the largest work that was sent.
    """

    block_rows: int = 5
    lose_every: int = 2
    titles: list[str] = field(default_factory=list)
    rows: int = 0
    opened: int = 0
    largest_work_bytes: int = 0

    @property
    def is_local(self) -> bool:
        """Never."""
        return False

    def map(
        self, work: Any, rows: Callable[[], Iterable[Any]], *, title: str, task_rows: int | None = None
    ) -> Iterator[Any]:
        """Works on rows block by block; see `RowEngine.map`."""
        self.titles.append(title)
        parcel = cloudpickle.dumps(work)
        self.largest_work_bytes = max(self.largest_work_bytes, len(parcel))
        given = iter(_copy(rows)())
        does = self._open(parcel)
        number = 0
        while block := list(islice(given, task_rows or self.block_rows)):
            number += 1
            if self.lose_every and number % self.lose_every == 0:
                self._do(does, block)
                does = self._open(parcel)
            yield from self._do(does, block)

    def _open(self, parcel: bytes) -> Callable[[Iterable[Any]], Iterator[Any]]:
        self.opened += 1
        does: Callable[[Iterable[Any]], Iterator[Any]] = cloudpickle.loads(parcel).open(1)
        return does

    def _do(self, does: Callable[[Iterable[Any]], Iterator[Any]], block: list[Any]) -> list[Any]:
        self.rows += len(block)
        results: list[Any] = _copy(list(does(_copy(block))))
        return results


def _copy(thing: Any) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(thing))
