"""Long pieces of work beside each other on a Ray cluster."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from phytoscope.cluster.error_parcels import ErrorParcel, pack_error, unpack_error
from phytoscope.cluster.jobs import Ask, Item, JobEngine, Result
from phytoscope.errors import ClusterError, PhytoscopeError, require
from phytoscope.schema.engine import EngineConfig

_LOOK_S = 1.0
_GRACE_S = 20.0


class Desk:
    """Takes what jobs ask, and gives back what the process that started them answers. Lives in a Ray actor."""

    def __init__(self) -> None:
        """Begins with nothing asked."""
        self._asked: list[tuple[int, int, Any]] = []
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Event()
        self._count = 0

    async def ask(self, job: int, message: Any) -> Any:
        """Waits for the reply to a message.

        Args:
            job: Number of the job that asks.
            message: What it asks.
        """
        self._count += 1
        ticket = self._count
        self._replies[ticket] = asyncio.get_running_loop().create_future()
        self._asked.append((ticket, job, message))
        self._news.set()
        return await self._replies[ticket]

    async def look(self) -> list[tuple[int, int, Any]]:
        """Waits for messages; gives ticket, job and message of each."""
        await self._news.wait()
        self._news.clear()
        asked, self._asked = self._asked, []
        return asked

    async def reply(self, ticket: int, reply: Any) -> None:
        """Answers one message.

        Args:
            ticket: Which one.
            reply: The answer.
        """
        self._replies.pop(ticket).set_result(reply)


@dataclass
class _AtWork(Generic[Item]):
    job: int
    item: Item
    losses: int = 0


@dataclass
class _Shift(Generic[Item]):
    """What is at work now, and what waits to be done again."""

    at_work: dict[Any, _AtWork[Item]] = field(default_factory=dict)
    again: list[tuple[Item, int]] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True)
class RayJobs:
    """Ray tasks, a bounded number of them at once; see `JobEngine`.

    Attributes:
        config: What each job takes, how many there are at once, and how often one is done again.
        say: Told sentences for the user.
    """

    config: EngineConfig
    say: Callable[[str], None]

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return False

    def run(
        self,
        work: Callable[[Item, Ask], Result],
        take: Callable[[], Item | None],
        *,
        answer: Callable[[Item, Any], Any],
        at_once: int | None = None,
        on_lost: Callable[[Item], bool] | None = None,
    ) -> Iterator[tuple[Item, Result]]:
        """Works on items on the machines of the cluster; see `JobEngine.run`."""
        ray = require("ray")
        desk = _open_desk(ray)
        shift: _Shift[Item] = _Shift()
        job = ray.remote(
            num_cpus=self.config.cores, num_gpus=self.config.gpus, max_retries=0, scheduling_strategy="SPREAD"
        )(_do)
        news = desk.look.remote()

        def fill() -> None:
            while len(shift.at_work) < self._count_room(ray, at_once):
                found: tuple[Item | None, int] = shift.again.pop(0) if shift.again else (take(), 0)
                item, losses = found
                if item is None:
                    return
                shift.count += 1
                place = job.remote(work, item, desk, shift.count, str(Path.cwd()), self.config.cores)
                shift.at_work[place] = _AtWork(shift.count, item, losses)

        try:
            fill()
            while shift.at_work:
                ready, _ = ray.wait([news, *shift.at_work], num_returns=1, timeout=_LOOK_S)
                if news in ready:
                    _answer_all(ray, desk, ray.get(news), shift, answer)
                    news = desk.look.remote()
                for place in [place for place in ready if place in shift.at_work]:
                    done = shift.at_work.pop(place)
                    found = self._collect(ray, place, done, shift, on_lost)
                    if found is not None:
                        yield done.item, found[0]
                fill()
        finally:
            # Where the connection is closed already, its jobs have ended; the library would start a cluster to answer.
            if ray.is_initialized():
                _give_up(ray, list(shift.at_work))
                ray.kill(desk)

    def _collect(
        self,
        ray: Any,
        place: Any,
        done: _AtWork[Item],
        shift: _Shift[Item],
        on_lost: Callable[[Item], bool] | None,
    ) -> tuple[Any] | None:
        try:
            result = ray.get(place)
        except _list_losses(ray) as error:
            losses = done.losses + 1
            if on_lost is None and losses > self.config.retries:
                message = (
                    f"a worker of the cluster was lost {losses} times with the same piece of work, which is more than "
                    f"engine.retries={self.config.retries} ({_shorten(error)}): look into the memory and the logs of "
                    "its machines, then run the same command again; it goes on."
                )
                raise ClusterError(message) from error
            if on_lost is None or on_lost(done.item):
                self.say("a worker of the cluster was lost; its work is done again")
                shift.again.append((done.item, losses))
            return None
        if isinstance(result, ErrorParcel):
            raise unpack_error(result)
        return (result,)

    def _count_room(self, ray: Any, at_once: int | None) -> int:
        asked = at_once if at_once is not None else self.config.workers
        if asked is not None and self.config.address is not None:
            return asked
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(_count_on_node(node, self.config) for node in nodes)
        # To a cluster of this machine alone nobody adds one: jobs would wait for ever.
        if room == 0:
            message = (
                f"no machine of the cluster has room for a worker with engine.cores={self.config.cores} and "
                f"engine.gpus={self.config.gpus:g}: lower them, or add a machine. Where machines are added on demand, "
                "say how many workers there shall be: engine.workers=NUMBER."
            )
            raise ClusterError(message)
        return room if asked is None else asked


@contextlib.contextmanager
def open_ray_jobs(config: EngineConfig, say: Callable[[str], None]) -> Iterator[JobEngine]:
    """Connects to a Ray cluster, or starts one on this machine; see `open_jobs`."""
    from phytoscope.cluster.ray_session import ray_session

    with ray_session(config, say):
        yield RayJobs(config, say)


def _open_desk(ray: Any) -> Any:
    # On the machine of this process: when another one is lost, the messages of all others must not be lost with it.
    here = ray.get_runtime_context().get_node_id()
    strategy = require("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(here, soft=False)
    return ray.remote(num_cpus=0, max_concurrency=1000, scheduling_strategy=strategy)(Desk).remote()


def _do(work: Callable[[Any, Ask], Any], item: Any, desk: Any, job: int, folder: str, cores: int) -> Any:
    """Does one job in a worker of Ray; errors of ours come back as values."""
    ray = require("ray")
    # Relative paths in the settings mean the same here as where the command was given.
    if Path(folder).is_dir():
        os.chdir(folder)
    require("torch").set_num_threads(cores)
    try:
        return work(item, lambda message: ray.get(desk.ask.remote(job, message)))
    except PhytoscopeError as error:
        return pack_error(error)


def _answer_all(
    ray: Any,
    desk: Any,
    asked: list[tuple[int, int, Any]],
    shift: _Shift[Item],
    answer: Callable[[Item, Any], Any],
) -> None:
    items = {done.job: done.item for done in shift.at_work.values()}
    # A job that was given up gets no answer and ends with the desk.
    known = [(ticket, items[job], message) for ticket, job, message in asked if job in items]
    ray.get([desk.reply.remote(ticket, answer(item, message)) for ticket, item, message in known])


def _give_up(ray: Any, places: list[Any]) -> None:
    """Interrupts jobs as Ctrl-C would, and ends those that do not listen."""
    for place in places:
        ray.cancel(place, force=False)
    _, left = ray.wait(places, num_returns=len(places), timeout=_GRACE_S) if places else ([], [])
    for place in left:
        ray.cancel(place, force=True)


def _list_losses(ray: Any) -> tuple[type[Exception], ...]:
    kinds = ray.exceptions
    return (
        *(kinds.WorkerCrashedError, kinds.NodeDiedError, kinds.LocalRayletDiedError, kinds.OutOfMemoryError),
        *(kinds.ObjectLostError, kinds.RpcError),
    )


def _count_on_node(node: dict[str, float], config: EngineConfig) -> int:
    by_cores = int(node.get("CPU", 0) // config.cores)
    return min(by_cores, int(node.get("GPU", 0) / config.gpus)) if config.gpus > 0 else by_cores


def _shorten(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
