"""Many images at once, with few of them in memory."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from phytoscope.schema.progress import Progress

_QUEUED_PER_WORKER = 4
# Each thread may hold a photograph of many megapixels.
_MOST_THREADS = 8
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def count_cores() -> int:
    """Number of processor cores that this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ordered(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int | None, progress: Progress
) -> Iterator[_Result]:
    """Applies a function in threads and yields the results in order, with few items in flight.

    Threads suffice because decoding, hashing and resizing leave the interpreter lock.

    Args:
        function: What to do with one item.
        items: Anything iterable; it is read only as fast as results are taken.
        workers: Number of threads; None takes one per core, eight at most.
        progress: Advanced by one for each result.
    """
    count = workers if workers is not None else min(_MOST_THREADS, count_cores())
    with ThreadPoolExecutor(count) as pool:
        queue: list[Future[_Result]] = []
        try:
            for item in items:
                queue.append(pool.submit(function, item))
                if len(queue) >= _QUEUED_PER_WORKER * count:
                    yield queue.pop(0).result()
                    progress.advance()
            for future in queue:
                yield future.result()
                progress.advance()
        finally:
            pool.shutdown(cancel_futures=True)
