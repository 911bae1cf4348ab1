"""Long pieces of work beside each other, such as the folds of a cross-validation or the trials of a sweep."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from phytoscope.schema.engine import EngineConfig, EngineKind

Item = TypeVar("Item")
Result = TypeVar("Result")

Ask = Callable[[Any], Any]
"""Sends a message from a job to whoever started it, and waits for the reply."""


class JobEngine(Protocol):
    """Does the same work on items that take long, here or on other machines."""

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        ...

    def run(
        self,
        work: Callable[[Item, Ask], Result],
        take: Callable[[], Item | None],
        *,
        answer: Callable[[Item, Any], Any],
        at_once: int | None = None,
        on_lost: Callable[[Item], bool] | None = None,
    ) -> Iterator[tuple[Item, Result]]:
        """Works on items until there are none, and gives results as they are finished, in any order.

        `take`, `answer` and `on_lost` are called in this process and in this thread, one at a time.

        Args:
            work: Does one item. It may be sent to another process, so it is a function of a module, or a
                `functools.partial` of one with plain values.
            take: Gives the next item when there is room for one more; None when there is none now. It is asked again
                after each result, and the end is reached when it gives None and nothing is at work.
            answer: Answers what the work on an item asks.
            at_once: Items at work at the same time, at most; `EngineConfig.workers` when None. Locally it is one.
            on_lost: Told of an item whose worker or machine was lost; says whether to do it again here. When None it is
                done again `EngineConfig.retries` times.

        Raises:
            ClusterError: The cluster cannot be reached or has no room for such work, or an item lost its worker again
                and again.
            PhytoscopeError: What the work raises; other items at work are given up.
            KeyboardInterrupt: The user interrupted; items at work are interrupted too.
        """
        ...


@dataclass(frozen=True)
class LocalJobs:
    """One item after the other in this process; see `JobEngine`."""

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return True

    def run(
        self,
        work: Callable[[Item, Ask], Result],
        take: Callable[[], Item | None],
        *,
        answer: Callable[[Item, Any], Any],
        at_once: int | None = None,
        on_lost: Callable[[Item], bool] | None = None,
    ) -> Iterator[tuple[Item, Result]]:
        """Works on one item after the other; see `JobEngine.run`."""
        del at_once, on_lost
        while (item := take()) is not None:

            def ask(message: Any, item: Item = item) -> Any:
                return answer(item, message)

            yield item, work(item, ask)


@contextlib.contextmanager
def open_jobs(config: EngineConfig, say: Callable[[str], None] = lambda _: None) -> Iterator[JobEngine]:
    """Opens the place where jobs are done, and leaves it at the end; a cluster that was started here is ended here.

    Args:
        config: Which place.
        say: Told sentences for the user.

    Raises:
        ClusterError: The cluster cannot be reached.
        MissingDependencyError: Ray is not installed.
    """
    if config.kind is EngineKind.local:
        yield LocalJobs()
        return
    from phytoscope.cluster.ray_jobs import open_ray_jobs

    with open_ray_jobs(config, say) as jobs:
        yield jobs
