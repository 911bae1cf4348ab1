"""Shards that several machines share: those of a cache at an address, taken over one by one and published whole.

A cache at an address has two levels. Programs map the shards of the near one, a folder on this computer. What is
missing there is looked for at the address before it is computed: first the small indexes are read, then only those
shards are fetched that hold something that is needed. A shard never changes and is named by what it holds, so two
machines that make the same one at the same time make the same object, and nobody has to wait.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from phytoscope.data.cache.shards import INDEX_NAME, Shard, ShardForm, list_shard_folders, parse_index, read_shard
from phytoscope.schema.artifact import write_folder_atomic
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.storage.mirror import find_address
from phytoscope.storage.publishing import ObjectFolder
from phytoscope.transforms.stream import map_ordered

_READERS: Final = 16
"""Indexes that are asked for at a time: an answer takes its time, and is small."""


def fetch_shards(place: Path, form: ShardForm, missing: Iterable[str], progress: Progress) -> int:
    """Fetches shards from the address of a cache until nothing is missing that is to be had there.

    Args:
        place: Folder of the shards of one kind, on this computer; the caller holds it.
        form: What each array looks like.
        missing: SHA-256 of the image files whose arrays are needed.
        progress: Told about every shard.

    Returns:
        Number of shards that were fetched; 0 when the cache lives on this computer alone.

    Raises:
        StorageError: The store does not answer, or refuses; or the folder cannot be written.
    """
    url = find_address(place)
    wanted = set(missing)
    if url is None or not wanted:
        return 0
    store = ObjectFolder(url)
    here = {shard.name for shard in list_shard_folders(place)}
    names = [name for name in store.list_folders() if name not in here]
    chosen = _choose(store, names, form, wanted)
    if not chosen:
        return 0
    progress.start("Fetching what other machines have computed", len(chosen))
    fetched = 0
    for name in chosen:
        fetched += _fetch(store, name, place / name, form)
        progress.advance()
    progress.finish()
    return fetched


def share_shards(place: Path, shards: Sequence[Shard]) -> int:
    """Publishes the shards that the address of a cache does not hold yet.

    Args:
        place: Folder of the shards of one kind, on this computer.
        shards: The whole shards in it.

    Returns:
        Number of shards that were sent; 0 when the cache lives on this computer alone.

    Raises:
        StorageError: The store does not answer, or refuses.
    """
    url = find_address(place)
    if url is None:
        return 0
    store = ObjectFolder(url)
    there = set(store.list_folders())
    sent = 0
    for shard in shards:
        name = shard.place.name
        # A folder without an index is a publication that was cut.
        if name in there and store.read(f"{name}/{INDEX_NAME}") is not None:
            continue
        store.put(shard.file, f"{name}/{shard.file.name}")
        store.put(shard.place / INDEX_NAME, f"{name}/{INDEX_NAME}")
        sent += 1
    return sent


def _choose(store: ObjectFolder, names: list[str], form: ShardForm, wanted: set[str]) -> list[str]:
    """Names of shards that together hold all of `wanted` that is there, those first that hold most."""

    def look(name: str) -> set[str]:
        return wanted.intersection(parse_index(store.read(f"{name}/{INDEX_NAME}") or b"", form))

    held = dict(zip(names, map_ordered(look, names, _READERS, SilentProgress()), strict=True))
    chosen, left = [], set(wanted)
    for name in sorted(held, key=lambda name: (-len(held[name]), name)):
        if held[name] & left:
            chosen.append(name)
            left -= held[name]
    return chosen


def _fetch(store: ObjectFolder, name: str, place: Path, form: ShardForm) -> int:
    with write_folder_atomic(place) as temporary:
        whole = all(store.get(f"{name}/{file}", temporary / file) for file in (form.file_name, INDEX_NAME))
    # Checked by content, because it is new here; what was damaged on its way counts as not there, and is made again.
    return int(whole and read_shard(place, form) is not None)
