"""One process at a time in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from phytoscope.errors import ArtifactError, storage_error


@contextlib.contextmanager
def hold_folder(lock: Path, taken: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Keeps other processes out of a folder; it is made when it is not there. The system lets go when a process dies.

    Args:
        lock: File in the folder that stands for it.
        taken: What to say when another process holds it: what it does, and what to do.
        patience_s: How long to wait for the other process, in seconds.

    Raises:
        ArtifactError: Another process holds the folder; the text is `taken`.
        StorageError: The place cannot be written.
    """
    held = filelock.FileLock(lock, timeout=patience_s)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except filelock.Timeout as error:
        raise ArtifactError(taken) from error
    except OSError as error:
        raise storage_error(lock.parent, error) from error
    try:
        yield
    finally:
        held.release()
