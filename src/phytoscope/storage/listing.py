"""Lists what lies below an address: one flat question instead of one for each folder or file."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phytoscope.errors import ConfigError, PlaceFaultError
from phytoscope.storage.patience import with_patience
from phytoscope.storage.place import as_url
from phytoscope.storage.reading import ABSENT, State, stat_place, state_of
from phytoscope.storage.stores import find_store

# From so many files of one folder on, listing the folder costs fewer questions.
_LIST_FROM = 8
_THREADS = 16


@dataclass(frozen=True)
class ListedFile:
    """One object below an address.

    Attributes:
        name: Its place below that address, with `/` between folders.
        url: Its whole address.
        state: Its state, as `stat_place` gives it.
    """

    name: str
    url: str
    state: State


def list_place(root: Path | str) -> Iterator[ListedFile]:
    """Lists all objects below an address: the files of a folder by name, then its folders by name, as `os.walk` does.

    Objects that only mark a folder (their names end in `/`) are left out.

    Args:
        root: Address of a folder; empty and missing ones give nothing.

    Raises:
        ConfigError: It is a path on this computer.
        StorageError: The store cannot be reached, refuses, or has no such bucket.
        MissingDependencyError: The library of that store is not installed.
    """
    url = _need_url(root)
    found = [
        ListedFile(name, f"{url}/{name}", state_of(info))
        for name, info in _ask(url, flat=True).items()
        if info.get("type") != "directory" and name
    ]
    found.sort(key=lambda one: sort_key(one.name))
    yield from found


def holds_any(root: Path | str) -> bool:
    """Whether anything lies below an address; raises as `list_place` does."""
    return bool(_ask(_need_url(root), flat=False))


def list_names(root: Path | str) -> list[str]:
    """Names of the files and folders directly below an address, sorted; raises as `list_place` does."""
    return sorted(name for name in _ask(_need_url(root), flat=False) if name)


def sort_key(name: str) -> tuple[tuple[bool, str], ...]:
    """Key that puts the files of a folder before its folders."""
    *folders, file = name.split("/")
    return (*((True, folder) for folder in folders), (False, file))


def stat_places(urls: Sequence[str]) -> list[State]:
    """States of many objects with few questions: folders of which many files are asked for are listed.

    Args:
        urls: Addresses.

    Raises:
        StorageError: A store cannot be reached, or refuses.
    """
    of_folder: defaultdict[str, list[str]] = defaultdict(list)
    for url in urls:
        of_folder[url.rpartition("/")[0]].append(url)
    known: dict[str, State] = {}
    alone: list[str] = []
    for folder, members in of_folder.items():
        if len(members) < _LIST_FROM:
            alone += members
            continue
        try:
            listed = {f"{folder}/{name}": state_of(info) for name, info in _ask(folder, flat=False).items()}
        except PlaceFaultError:
            # Who may read objects may not be allowed to list them.
            alone += members
            continue
        known |= {url: listed.get(url, ABSENT) for url in members}
    with ThreadPoolExecutor(_THREADS) as pool:
        known |= dict(zip(alone, pool.map(stat_place, alone), strict=True))
    return [known[url] for url in urls]


def _need_url(root: Path | str) -> str:
    url = as_url(root)
    if url is None:
        message = f"{str(root)!r} is a path on this computer, expected an address such as s3://bucket/folder."
        raise ConfigError(message)
    return url.rstrip("/")


def _ask(url: str, *, flat: bool) -> dict[str, dict[str, Any]]:
    """Name below the address -> what the store says of it."""
    store, key = find_store(url)

    def ask() -> list[dict[str, Any]]:
        try:
            return list(store.find(key, detail=True).values()) if flat else list(store.ls(key, detail=True))
        except FileNotFoundError as error:
            # A bucket that is missing is another matter than a folder without files.
            if error.__cause__ is not None and "NoSuchBucket" in str(error.__cause__):
                raise
            return []

    head = f"{key.rstrip('/')}/"
    found = with_patience(ask, url)
    return {
        str(info["name"])[len(head) :]: info
        for info in found
        if str(info["name"]).startswith(head) and not str(info["name"]).endswith("/")
    }
