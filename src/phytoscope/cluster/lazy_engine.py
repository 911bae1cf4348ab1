"""An engine that is opened when there is something to do, so that a command that finds all done starts no cluster."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

from phytoscope.cluster.choose import open_engine
from phytoscope.schema.engine import EngineConfig, EngineKind, Result, Row, RowEngine, RowWork


class LazyEngine:
    """Opens the place of work at the first piece of work; see `RowEngine`."""

    def __init__(self, config: EngineConfig, say: Callable[[str], None], stack: contextlib.ExitStack) -> None:
        """Takes what it needs to open the place.

        Args:
            config: Which place.
            say: Told sentences for the user.
            stack: Leaves the place when it is left itself.
        """
        self._config, self._say, self._stack = config, say, stack
        self._engine: RowEngine | None = None

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return self._config.kind is EngineKind.local

    def map(
        self, work: RowWork[Row, Result], rows: Callable[[], Iterable[Row]], *, title: str, task_rows: int | None = None
    ) -> Iterator[Result]:
        """Works on rows; see `RowEngine.map`."""
        if self._engine is None:
            self._engine = self._stack.enter_context(open_engine(self._config, self._say))
        yield from self._engine.map(work, rows, title=title, task_rows=task_rows)


@contextlib.contextmanager
def open_lazily(config: EngineConfig, say: Callable[[str], None] = lambda _: None) -> Iterator[RowEngine]:
    """Gives the place of work; it is opened when it is used first, and left at the end.

    Args:
        config: Which place.
        say: Told sentences for the user.

    Raises:
        ClusterError: The cluster cannot be reached.
        MissingDependencyError: Ray is not installed.
    """
    with contextlib.ExitStack() as stack:
        yield LazyEngine(config, say, stack)
