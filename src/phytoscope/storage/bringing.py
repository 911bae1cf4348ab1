"""Brings what a command only reads from an address: the folder of a run as it was last published, a package, a file."""

from collections.abc import Callable
from pathlib import Path

from phytoscope.errors import DataNotFoundError, storage_error
from phytoscope.schema.address import as_url
from phytoscope.schema.artifact import find_user_cache, hash_content
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.listing import list_names
from phytoscope.storage.mirror import fetch_folder
from phytoscope.storage.reading import ABSENT, stat_place
from phytoscope.storage.trouble import mask_secrets

_MARKS = frozenset({"config.yaml", "package.json", "manifest.parquet"})
"""What lies in the folder of a run, of a package, of an inspection."""


def bring_here(place: Path | str, say: Callable[[str], None] | None = None) -> Path:
    """Gives a path on this computer with the content of a run, a package or a file; nothing is written at the address.

    A run is copied apart from the folder in which it would be worked on, so that unpublished work is left alone.

    Args:
        place: Path, which is given back as it is, or address.
        say: Told what is fetched.

    Raises:
        DataNotFoundError: There is no file, no run and no package at this address.
        MissingDependencyError: The library of that store is not installed.
        StorageError: The store cannot be reached or refuses, or the copy cannot be written.
    """
    address = as_url(place)
    if address is None:
        return fetch_place(place)
    url = address.rstrip("/")
    folder = find_user_cache() / "read" / hash_content(url)[:24] / (url.rpartition("/")[2] or "root")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    if fetch_folder(url, folder, say):
        return folder
    # Whatever lies there otherwise may be a whole bucket, which nobody wants to copy.
    if stat_place(url) != ABSENT or not _MARKS.isdisjoint(list_names(url)):
        return fetch_place(url)
    message = f"there is no run, no package and no file at {mask_secrets(url)!r}: check the address."
    raise DataNotFoundError(message)
