"""Blocks of rows on their way to workers and back, and what a worker does with them."""

import contextlib
import os
import platform
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from phytoscope import __version__
from phytoscope.cluster.error_parcels import ErrorParcel, pack_error, unpack_error
from phytoscope.errors import ClusterError, PhytoscopeError
from phytoscope.schema.engine import RowWork

_VERSION: Final = f"phytoscope {__version__} on Python {'.'.join(platform.python_version_tuple()[:2])}"


class WorkFault(RuntimeError):  # noqa: N818 (a fault of the program)
    """The program failed on a worker; the text says where."""


@dataclass(frozen=True)
class Block:
    """Some rows, or their results.

    Attributes:
        number: Its place among the blocks, from 0.
        rows: Number of rows; 0 when there is only a fault.
        content: The rows or results.
        words: Its first and last row in words.
        fault: What went wrong with it; None when nothing did.
    """

    number: int
    rows: int
    content: list[Any]
    words: str = ""
    fault: ErrorParcel | str | None = None


def cut_blocks(rows: Callable[[], Iterable[Any]], size: int) -> Iterator[Block]:
    """Packs rows into blocks as they are asked for.

    Args:
        rows: Gives the rows.
        size: Rows of a block.

    Returns:
        Blocks; what goes wrong while rows are looked for is a last block, without rows.
    """
    number = 0
    try:
        left = iter(rows())
        while block := list(islice(left, size)):
            yield Block(number, len(block), block, f"{_word(block[0])} to {_word(block[-1])}")
            number += 1
    except PhytoscopeError as error:
        yield Block(number, 0, [], fault=pack_error(error))


class BlockWorker:
    """Opens a work once and does it on one block after the other; lives in a process of the cluster."""

    def __init__(self, settings: tuple[RowWork[Any, Any], int, str, str]) -> None:
        """Opens the work; what goes wrong is told with the first block.

        Side effect: changes the working directory of the process.

        Args:
            settings: What is done, the processor cores that it may use, what `tell_version` gave where the work was
                sent from, and the working directory there.
        """
        work, cores, version, folder = settings
        self._fault: ErrorParcel | str | None = None
        with contextlib.suppress(OSError):
            os.chdir(folder)
        try:
            _refuse_version(version)
            self._run = work.open(cores)
        except Exception as error:  # noqa: BLE001 (the border of a worker)
            self._fault = _pack_fault(error)

    def tell_open(self) -> bool:
        """Answers when the work is open."""
        return self._fault is None

    def work(self, block: Block) -> Block:
        """Does the work on one block.

        Args:
            block: Rows.

        Returns:
            Results, or a fault.
        """
        fault, results = self._fault, []
        if fault is None:
            try:
                results = list(self._run(block.content))
            except Exception as error:  # noqa: BLE001 (the border of a worker)
                fault = _pack_fault(error)
        return Block(block.number, block.rows, results, fault=fault)


def unpack(block: Block) -> list[Any]:
    """The results of a block.

    Raises:
        PhytoscopeError: What was raised where the work was done.
        WorkFault: The program failed there.
    """
    if isinstance(block.fault, ErrorParcel):
        raise unpack_error(block.fault)
    if block.fault is not None:
        raise WorkFault(block.fault)
    return block.content


def tell_version() -> str:
    """What must be the same where work is sent from and where it is done."""
    return _VERSION


def _refuse_version(version: str) -> None:
    if version != _VERSION:
        message = (
            f"this command is {version}, a worker of the cluster has {_VERSION}: install the same versions on all "
            "machines."
        )
        raise ClusterError(message)


def _word(row: Any) -> str:
    return repr(" ".join(str(getattr(row, "name", row)).split())[:200])


def _pack_fault(error: Exception) -> ErrorParcel | str:
    if isinstance(error, PhytoscopeError):
        return pack_error(error)
    return f"{type(error).__name__}: {error}\non a worker of the cluster:\n{''.join(traceback.format_exception(error))}"
