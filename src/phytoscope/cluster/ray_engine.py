"""A Ray cluster as the place of work: blocks of rows go to workers that open the work once; see decision 0027."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from phytoscope.cluster.ray_pool import RayPool
from phytoscope.cluster.ray_session import ray_session
from phytoscope.cluster.row_blocks import Block, cut_blocks, tell_version, unpack
from phytoscope.errors import ClusterError
from phytoscope.schema.engine import EngineConfig, Result, Row, RowEngine, RowWork

_AHEAD = 4
"""Blocks for each worker that are read, worked on or waiting for their turn; reading goes no further."""
_WAIT_SECONDS = 1.0


@contextlib.contextmanager
def open_ray(config: EngineConfig, say: Callable[[str], None]) -> Iterator[RowEngine]:
    """Connects to a Ray cluster, or starts one on this machine; see `open_engine`."""
    with ray_session(config, say) as ray:
        yield RayEngine(config, ray, say)


class RayEngine:
    """Works on rows on a Ray cluster; see `RowEngine`."""

    def __init__(self, config: EngineConfig, ray: Any, say: Callable[[str], None]) -> None:
        """Uses a connection.

        Args:
            config: How work is divided.
            ray: The module, connected.
            say: Told sentences for the user.
        """
        self._config, self._ray, self._say = config, ray, say

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return False

    def map(
        self, work: RowWork[Row, Result], rows: Callable[[], Iterable[Row]], *, title: str, task_rows: int | None = None
    ) -> Iterator[Result]:
        """Hands blocks of rows to the workers of the cluster; see `RowEngine.map`."""
        size = self._config.rows_per_task if task_rows is None else task_rows
        # A relative path means the same to a worker as here.
        settings = (work, self._config.cores, tell_version(), os.getcwd())  # noqa: PTH109 (sent as text)
        pool = RayPool(self._ray, self._config, settings, self._say)
        try:
            for block in _Window(pool, cut_blocks(rows, size), self._config.retries, title).stream():
                yield from unpack(block)
        finally:
            pool.close()


class _Window:
    """Blocks on their way; they leave it in order."""

    def __init__(self, pool: RayPool, blocks: Iterator[Block], retries: int, title: str) -> None:
        self._pool, self._blocks, self._retries, self._title = pool, blocks, retries, title
        self._waiting: list[Block] = []
        self._done: dict[int, Block] = {}
        self._lost: dict[int, int] = {}
        self._next, self._read, self._whole = 0, 0, False

    def stream(self) -> Iterator[Block]:
        while True:
            while self._next in self._done:
                yield self._done.pop(self._next)
                self._next += 1
            self._fill()
            if self._whole and self._next == self._read:
                return
            self._hand_out()
            for block, answer in self._pool.wait(_WAIT_SECONDS):
                self._take(block, answer)

    def _fill(self) -> None:
        while not self._whole and self._read - self._next < _AHEAD * max(1, self._pool.size):
            block = next(self._blocks, None)
            if block is None:
                self._whole = True
                return
            self._read += 1
            if block.rows == 0:
                # What went wrong while rows were looked for is told when those before it are done.
                self._done[block.number] = block
            else:
                self._waiting.append(block)
            if self._waiting and self._pool.has_room():
                # Nobody waits for the whole window to be read.
                self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._pool.has_room():
            self._pool.give(self._waiting.pop(0))

    def _take(self, block: Block, answer: Block | str) -> None:
        if isinstance(answer, Block):
            self._done[block.number] = answer
            return
        self._waiting.insert(0, block)
        self._waiting.sort(key=lambda one: one.number)
        if not answer:
            return
        self._lost[block.number] = self._lost.get(block.number, 0) + 1
        if self._lost[block.number] > self._retries:
            message = (
                f"{self._title}: the rows {block.words} lost their worker {self._lost[block.number]} times ({answer}). "
                "One of them may need more memory than a worker has, or crash what reads it: leave it out, or raise "
                f"engine.retries (now {self._retries}) when machines are lost often."
            )
            raise ClusterError(message)
