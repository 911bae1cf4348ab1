"""This process as the place of work: nothing is sent anywhere."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from phytoscope.schema.engine import Result, Row, RowWork


@dataclass(frozen=True)
class LocalEngine:
    """Works on rows in this process; see `RowEngine`."""

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return True

    def map(
        self, work: RowWork[Row, Result], rows: Callable[[], Iterable[Row]], *, title: str, task_rows: int | None = None
    ) -> Iterator[Result]:
        """Works on all rows as one stream; see `RowEngine.map`."""
        del title, task_rows
        yield from work.open(None)(rows())
