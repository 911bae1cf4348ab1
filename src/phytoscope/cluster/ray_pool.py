"""Worker processes on the machines of a Ray cluster, as many as fit, of which any may be lost at any time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from phytoscope.cluster.row_blocks import Block, BlockWorker
from phytoscope.errors import ClusterError
from phytoscope.schema.engine import EngineConfig

_IN_HAND: Final = 2
"""One block that is worked on, and one that waits so that the worker has not to."""
_LOOK_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 60.0


@dataclass
class _Worker:
    actor: Any
    opened: Any
    is_open: bool = False
    in_hand: list[tuple[Any, Block]] = field(default_factory=list)


class RayPool:
    """Workers that hold an opened work each."""

    def __init__(
        self, ray: Any, config: EngineConfig, settings: tuple[Any, ...], say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Starts workers.

        Args:
            ray: The module, connected.
            config: What a worker takes, and how many there are at most.
            settings: Arguments of `BlockWorker`.
            say: Told that the cluster is full.

        Raises:
            ClusterError: No machine of the cluster has the cores or GPUs that one worker takes.
        """
        self._ray, self._config, self._say = ray, config, say
        self._kind = ray.remote(num_cpus=config.cores, num_gpus=config.gpus, max_restarts=0)(BlockWorker)
        self._settings = ray.put(settings)
        self._workers: list[_Worker] = []
        self._looked_at = self._useful_at = time.monotonic()
        self._told, self._failed_starts = False, 0
        self._room = count_room(config, ray.nodes())
        self._grow()

    @property
    def size(self) -> int:
        """Workers that are there or starting."""
        return len(self._workers)

    def has_room(self) -> bool:
        """Whether a worker can take a block."""
        return any(worker.is_open and len(worker.in_hand) < _IN_HAND for worker in self._workers)

    def give(self, block: Block) -> None:
        """Gives a block to the worker that has the fewest."""
        open_ones = [worker for worker in self._workers if worker.is_open]
        worker = min(open_ones, key=lambda one: len(one.in_hand))
        worker.in_hand.append((worker.actor.work.remote(block), block))

    def wait(self, seconds: float) -> list[tuple[Block, Block | str]]:
        """Waits until something happens.

        Args:
            seconds: How long, at most.

        Returns:
            Blocks with their results; with a text, why its worker was lost, for the block that it was working on; with
            an empty text for a block that was lost with it and not begun.

        Raises:
            ClusterError: There has been no machine for a worker for a minute, or workers cannot start.
        """
        self._look()
        watched = [worker.opened for worker in self._workers if not worker.is_open]
        watched += [worker.in_hand[0][0] for worker in self._workers if worker.in_hand]
        if not watched:
            time.sleep(seconds)
            return []
        ready = set(self._ray.wait(watched, num_returns=1, timeout=seconds)[0])
        found: list[tuple[Block, Block | str]] = []
        for worker in list(self._workers):
            found += self._take(worker, ready)
        return found

    def close(self) -> None:
        """Ends all workers."""
        workers, self._workers = self._workers, []
        # Results that nobody took any more may be forgotten when the connection is closed already; the library would
        # start a cluster of its own to answer.
        if self._ray.is_initialized():
            for worker in workers:
                self._ray.kill(worker.actor)

    def _take(self, worker: _Worker, ready: set[Any]) -> Iterator[tuple[Block, Block | str]]:
        errors = self._ray.exceptions
        try:
            if not worker.is_open and worker.opened in ready:
                self._ray.get(worker.opened)
                worker.is_open, self._useful_at, self._failed_starts = True, time.monotonic(), 0
            if worker.in_hand and worker.in_hand[0][0] in ready:
                results = self._ray.get(worker.in_hand[0][0])
                yield worker.in_hand.pop(0)[1], results
        except errors.RayTaskError:
            # A fault in our own program: the worker packs all others.
            raise
        except errors.RayError as error:
            self._workers.remove(worker)
            self._ray.kill(worker.actor)
            if not worker.is_open:
                self._count_failed_start(error)
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            for place, (_, block) in enumerate(worker.in_hand):
                yield block, why if place == 0 else ""
            self._look(now=True)

    def _count_failed_start(self, error: Exception) -> None:
        self._failed_starts += 1
        if self._failed_starts > self._config.retries:
            text = " ".join(str(error).split())[-500:]
            message = (
                f"workers of the cluster ended {self._failed_starts} times before they had begun ({text}): check that "
                "the same versions of phytoscope and its libraries are on all machines, and that they have the memory."
            )
            raise ClusterError(message) from error

    def _look(self, *, now: bool = False) -> None:
        """Starts workers on machines that have come, and in place of those that were lost."""
        moment = time.monotonic()
        if not now and moment - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = moment
        try:
            self._room = count_room(self._config, self._ray.nodes())
        except ClusterError:
            self._room = 0
        self._grow()
        if any(worker.is_open for worker in self._workers):
            self._useful_at = moment
        elif self._room == 0 and moment - self._useful_at > _PATIENCE_SECONDS:
            message = (
                "all machines of the cluster on which work was done were lost, and none has come back for "
                f"{_PATIENCE_SECONDS:.0f} seconds: start machines, and run the command again."
            )
            raise ClusterError(message)
        elif not self._told and moment - self._useful_at > _PATIENCE_SECONDS:
            self._told = True
            self._say("the cluster is busy with other work: waiting for room")

    def _grow(self) -> None:
        # Workers that were asked for wait for machines, which tells a cluster that starts machines by itself to do so.
        wanted = self._room if self._config.workers is None else self._config.workers
        while len(self._workers) < wanted:
            actor = self._kind.remote(self._settings)
            self._workers.append(_Worker(actor, actor.tell_open.remote()))


def count_room(config: EngineConfig, nodes: list[dict[str, Any]]) -> int:
    """Workers that fit into a cluster as it is now.

    Args:
        config: What one worker takes, and how many there are at most.
        nodes: What Ray tells of its machines.

    Raises:
        ClusterError: Not even one fits.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    room = 0
    for resources in alive:
        fits = int(resources.get("CPU", 0) // config.cores)
        if config.gpus > 0:
            fits = min(fits, int(resources.get("GPU", 0) / config.gpus))
        room += fits
    if room == 0:
        most = max((resources.get("CPU", 0) for resources in alive), default=0)
        gpus = max((resources.get("GPU", 0) for resources in alive), default=0)
        message = (
            f"a worker takes engine.cores={config.cores} and engine.gpus={config.gpus:g}, but the largest of the "
            f"{len(alive)} machines of the cluster has {most:g} cores and {gpus:g} GPUs: lower them, or start a larger "
            "machine."
        )
        raise ClusterError(message)
    return room if config.workers is None else min(room, config.workers)
