"""Brings one file or a small folder from an address to this computer, for libraries that take paths only."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from phytoscope.errors import DataNotFoundError, storage_error
from phytoscope.schema.artifact import find_user_cache
from phytoscope.storage.listing import list_place
from phytoscope.storage.place import as_local, as_url
from phytoscope.storage.reading import ABSENT, State, read_place, stat_place
from phytoscope.storage.trouble import mask_secrets

_NAME_LENGTH = 24


def fetch_place(place: Path | str) -> Path:
    """Gives a path on this computer with the content of a file or folder.

    What was fetched stays in the user's cache and is used again as long as the objects are the same ones.

    Args:
        place: Path, which is given back as it is, or address of a file or folder that fits into the memory file by
            file.

    Raises:
        DataNotFoundError: There is nothing at this address.
        StorageError: The store cannot be reached or refuses, or the copy cannot be written.
        MissingDependencyError: The library of that store is not installed.
    """
    url = as_url(place)
    if url is None:
        return Path(as_local(place))
    url = url.rstrip("/")
    state = stat_place(url)
    files: list[tuple[str, str, State]] = [("", url, state)]
    if state == ABSENT:
        files = [(one.name, one.url, one.state) for one in list_place(url)]
    if not files:
        message = f"there is nothing at {mask_secrets(url)!r}: check the address."
        raise DataNotFoundError(message)
    key = hashlib.sha256(repr((url, [(name, state) for name, _, state in files])).encode()).hexdigest()
    target = find_user_cache() / "fetched" / key[:_NAME_LENGTH] / (url.rpartition("/")[2] or "fetched")
    if not target.parent.exists():
        _fetch(files, target)
    return target


def _fetch(files: list[tuple[str, str, State]], target: Path) -> None:
    try:
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix=".fetching-") as folder:
            whole = Path(folder, "whole")
            for name, url, _ in files:
                place = _place_inside(whole / target.name, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(read_place(url))
            try:
                os.rename(whole, target.parent)  # noqa: PTH104 (all or nothing; another process may be faster)
            except OSError:
                if not target.parent.exists():
                    raise
                shutil.rmtree(whole, ignore_errors=True)
    except OSError as error:
        if error.errno is None:
            # Ours: it says already what is wrong with the store.
            raise
        raise storage_error(target, error) from error


def _place_inside(folder: Path, name: str) -> Path:
    if any(part in ("", ".", "..") for part in name.split("/")) and name:
        message = f"the name {name!r} leads out of its folder: do not use what lies there."
        raise DataNotFoundError(message)
    return folder / name if name else folder
