"""Reads files wherever they are, and tells their state without reading them."""

import datetime
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phytoscope.errors import PlaceFaultError
from phytoscope.storage.patience import with_patience
from phytoscope.storage.place import as_local, as_url
from phytoscope.storage.stores import find_store

State = tuple[int, int, int]
"""Size in bytes, time of the last change in ns, and a number that differs when the content or entry was replaced."""
ABSENT: State = (-1, 0, 0)
_TAGS = ("ETag", "etag", "generation", "md5Hash")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def read_place(place: Path | str) -> bytes:
    """Reads a whole file.

    Args:
        place: Path or address.

    Raises:
        OSError: A path on this computer cannot be read: what the system raises.
        PlaceFaultError: The object does not exist, or this user may not read it.
        StorageError: The store cannot be reached, or refuses.
        MissingDependencyError: The library of that store is not installed.
    """
    url = as_url(place)
    if url is None:
        return Path(as_local(place)).read_bytes()
    store, key = find_store(url)
    content: bytes = with_patience(lambda: store.cat_file(key), url)
    return content


def stat_place(place: Path | str) -> State:
    """State of one file; `ABSENT` where there is none, or none that this user may see.

    Args:
        place: Path or address; for an address that is one request.

    Raises:
        StorageError: The store cannot be reached, or refuses.
        MissingDependencyError: The library of that store is not installed.
    """
    url = as_url(place)
    if url is None:
        try:
            found = Path(as_local(place)).stat()
        except (OSError, ValueError):
            return ABSENT
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns
    store, key = find_store(url)
    try:
        info = with_patience(lambda: store.info(key), url)
    except PlaceFaultError:
        return ABSENT
    return ABSENT if info.get("type") == "directory" else state_of(info)


def state_of(info: Mapping[str, Any]) -> State:
    """State of an object from what a store says of it, the same from a listing and from a question for one object."""
    tag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), "")
    moment = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    changed, size = _read_time(moment), info.get("size")
    size_bytes = 0 if size is None else int(size)
    if not tag:
        return size_bytes, changed, changed
    # Listings give parts of a second, questions for one object do not.
    digest = hashlib.sha256(tag.encode()).digest()
    return size_bytes, changed // 10**9 * 10**9, int.from_bytes(digest[:8], "big") >> 1


def _read_time(moment: object) -> int:
    if isinstance(moment, str):
        moment = datetime.datetime.fromisoformat(moment)
    if isinstance(moment, datetime.datetime):
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
        passed = aware - _EPOCH
        return (passed.days * 86400 + passed.seconds) * 10**9 + passed.microseconds * 1000
    return int(moment * 1e9) if isinstance(moment, int | float) else 0
