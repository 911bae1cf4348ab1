"""What must be the same on a machine that works for this one, so that it finds the same."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from phytoscope import __version__
from phytoscope.errors import ClusterError
from phytoscope.schema.engine import Result, Row, RowEngine, RowWork
from phytoscope.transforms.decode import read_decoder_versions

_STRETCH = 128 * 3200
"""Rows of names and hashes that take some tens of megabytes; a multiple of all batch sizes."""


def leave_out_local(engine: RowEngine | None) -> RowEngine | None:
    """The engine when its work is done by other processes; None when this process does it."""
    return None if engine is None or engine.is_local else engine


def map_stretches(
    engine: RowEngine, work: RowWork[Row, Result], rows: Sequence[Row], *, title: str, task_rows: int | None = None
) -> Iterator[Result]:
    """Works on many rows that this process knows one by one, sending no more of them at once than fit anywhere.

    Args:
        engine: Where the work is done.
        work: What is done.
        rows: The rows.
        title: What to call the work.
        task_rows: As `RowEngine.map`.

    Yields:
        Results in the order of the rows.

    Raises:
        ClusterError: The cluster cannot be reached, or a task was lost again and again.
        PhytoscopeError: What the work raises.
    """
    for first in range(0, len(rows), _STRETCH):
        stretch = rows[first : first + _STRETCH]
        yield from engine.map(work, partial(iter, stretch), title=title, task_rows=task_rows)


def read_versions() -> dict[str, str | None]:
    """Versions of all that decides what is found in an image file, on the machine where this is called."""
    return {"phytoscope": __version__, **read_decoder_versions()}


def check_versions(asked: Mapping[str, str | None], here: Mapping[str, str | None] | None = None) -> None:
    """Makes sure that this machine would find the same as the one that asks; to be called where the work is done.

    Args:
        asked: Versions on the machine that asks.
        here: Versions on this one; `read_versions` when None.

    Raises:
        ClusterError: A version is another one.
    """
    here = read_versions() if here is None else here
    other = [
        f"{name} {here.get(name)} instead of {version}" for name, version in asked.items() if here.get(name) != version
    ]
    if other:
        message = (
            f"a machine of the cluster has other versions ({', '.join(other)}), which would find other numbers: "
            "install the same packages on all machines, or use engine=local."
        )
        raise ClusterError(message)


def blame_reach(path: str, reason: str) -> ClusterError:
    """The error for a file that can be read here, but not where the work is done.

    Args:
        path: The file.
        reason: Why it could not be read there.
    """
    return ClusterError(
        f"the image {path!r} can be read here but not on a machine of the cluster ({reason}): put the images where all "
        "machines find them under the same path (a shared folder or an address such as s3://...), or use engine=local."
    )
