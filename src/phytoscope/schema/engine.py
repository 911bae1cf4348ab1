"""Where rows are worked on: in this process, or on a cluster. The interface that both sides of the border know."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

Row_contra = TypeVar("Row_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Row = TypeVar("Row")
Result = TypeVar("Result")


class EngineKind(StrEnum):
    """Where rows are worked on."""

    local = "local"
    ray = "ray"


@dataclass
class EngineConfig:
    """Where the work is done that can be divided by rows, by trials or by folds.

    Attributes:
        kind: `local` is this process and needs nothing else; `ray` is a Ray cluster.
        address: Address of a running Ray cluster (`auto`, `ray://HOST:10001` or `HOST:6379`); None starts one on this
            machine for as long as the command runs.
        workers: Processes that work at the same time, at most; None takes as many as the cluster has room for.
        cores: Processor cores that each of them takes.
        gpus: GPUs that each of them takes; below 1 they share one.
        rows_per_task: Rows that are handed out together; what a lost worker had in hand is done again.
        retries: Times that a task is handed out again when its worker was lost, before it is given up; trials of a
            sweep are tried three times in all whatever it says.
    """

    kind: EngineKind = EngineKind.local
    address: str | None = None
    workers: int | None = None
    cores: int = 1
    gpus: float = 0.0
    rows_per_task: int = 1024
    retries: int = 3


class RowWork(Protocol[Row_contra, Result_co]):
    """What is done with rows. It is sent to other processes, so it holds plain values and opens files only there."""

    def open(self, cores: int | None) -> Callable[[Iterable[Row_contra]], Iterator[Result_co]]:
        """Loads what the work needs, once in each process that works.

        Args:
            cores: Processor cores that it may use; None leaves that to the machine.

        Returns:
            Takes rows, few at a time, and yields results in their order. It is called again for further rows.
        """
        ...


class RowEngine(Protocol):
    """Does the same work on many rows. Results come in the order of the rows, each once, whatever dies meanwhile."""

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        ...

    def map(
        self, work: RowWork[Row, Result], rows: Callable[[], Iterable[Row]], *, title: str, task_rows: int | None = None
    ) -> Iterator[Result]:
        """Works on rows, no more of which are in memory than are being worked on.

        Args:
            work: What is done.
            rows: Gives the rows, the same ones in the same order at each call; it may be sent to another process and
                called there, so places in it must be reachable from all machines.
            title: What to call the work in messages and dashboards.
            task_rows: Rows that are handed out together where they are divided; `EngineConfig.rows_per_task` if None.
                The results of the rows must not depend on it.

        Raises:
            ClusterError: The cluster cannot be reached, or a task was lost again and again.
            PhytoscopeError: What the work raises.
        """
        ...
