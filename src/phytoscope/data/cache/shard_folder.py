"""A folder of shards of one kind that several processes fill: one writes, the others wait and take what it made."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from phytoscope.data.cache.shards import Shard, ShardForm, list_shard_folders, read_shards
from phytoscope.data.cache_tag import tag_cache
from phytoscope.errors import StorageError, storage_error
from phytoscope.schema.artifact import clear_leftovers, write_json
from phytoscope.schema.progress import Progress

PIXELS_FOLDER, ARRAYS_FOLDER, FACTS_FOLDER = "pixels", "arrays", "facts"
"""Folders of a cache, each with one folder of shards a kind (facts: see `data.facts`)."""
ABOUT_NAME = "about.json"
KEY_LENGTH = 24


@contextlib.contextmanager
def lock_folder(place: Path, *, timeout: float) -> Iterator[None]:
    """Keeps other writers away from the shards of one kind.

    Args:
        place: Folder of the shards.
        timeout: Seconds to wait for another writer; -1 waits for ever.

    Raises:
        StorageError: The lock file cannot be written.
        Timeout: Another process builds or removes there (of `filelock`).
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place.with_name(place.name + ".lock"), timeout=timeout)
        lock.acquire()
    except filelock.Timeout:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def hold_folder(place: Path, progress: Progress) -> Iterator[None]:
    """Waits until nobody else writes the shards of one kind, says so, and keeps others away.

    Args:
        place: Folder of the shards.
        progress: Told while this waits.

    Raises:
        StorageError: The lock file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(place, timeout=0))
        except filelock.Timeout:
            progress.start("Waiting for another run that fills the cache", None)
            stack.enter_context(lock_folder(place, timeout=-1))
            progress.finish()
        yield


def begin_folder(place: Path, form: ShardForm, about: dict[str, Any]) -> list[Shard]:
    """Creates a folder of shards, or clears it of what killed writers left and of damaged shards.

    Args:
        place: Folder of the shards, two levels below the cache; the caller holds it.
        form: What each array looks like.
        about: Plain values that tell a person, and `phytoscope cache`, what the shards are.

    Returns:
        The whole shards in it.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        clear_leftovers(place)
        shards = read_shards(place, form)
        for damaged in set(list_shard_folders(place)) - {shard.place for shard in shards}:
            shutil.rmtree(damaged)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    tag_cache(place.parents[1])
    if not (place / ABOUT_NAME).is_file():
        write_json(place / ABOUT_NAME, about)
    return shards


def find_missing(names: list[str], shards: list[Shard]) -> set[str]:
    """Names that no shard holds."""
    return set(names).difference(*(shard.names for shard in shards))


def check_space(place: Path, needed_bytes: int, what: str) -> None:
    """Makes sure that the disk has room.

    Args:
        place: Folder that will be written.
        needed_bytes: Space that is needed.
        what: What needs it, for the error.

    Raises:
        StorageError: The disk has less.
    """
    free_bytes = shutil.disk_usage(place).free
    if needed_bytes > free_bytes:
        message = (
            f"cannot write {str(place)!r} ({what} need {needed_bytes / 1e9:.2f} GB, the disk has "
            f"{free_bytes / 1e9:.2f} GB left): free some space (`phytoscope cache prune`), or choose another "
            "paths.cache_dir."
        )
        raise StorageError(message)
