"""A folder that lives at an address and is worked on here: fetched, changed locally, and published whole.

Locks, memory-mapped files and SQLite need a real disk, so the work is done in a copy under the user's cache. At the
address every file lies under its own name, because people want to open `report.html` there, beside `.phytoscope/`
with an index of all files and their SHA-256. The index is what counts. It is written after what it names, so another
machine sees the state before or the state after, as long as nothing that the old index names is overwritten first:

1. a new file is sent under its own name, which no index knows yet; a changed one is sent to `.phytoscope/objects/`;
2. the new index is written, and names the changed files where they lie now: this is the moment of publication;
3. the changed files are copied to their own names within the store, the index that names them there is written, and
   the copies under `.phytoscope/objects/` and files that are no more are removed; the index names them till then.

A machine that dies in between leaves a whole state each time, and whoever comes next tidies up. A reader whom step 3
overtakes meets another hash, or nothing, and begins again with the newest index.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, StorageError, storage_error
from phytoscope.schema.artifact import find_user_cache, hash_content, hash_file, read_json, write_json
from phytoscope.storage.lease import Lease
from phytoscope.storage.place import as_url
from phytoscope.storage.publishing import ObjectFolder

INDEX_KEY, LEASE_KEY, OBJECTS_KEY = ".phytoscope/index.json", ".phytoscope/lease.json", ".phytoscope/objects"
_FORMAT = 1
_ATTEMPTS = 5
_SMALL_BYTES = 8 << 20
"""Size of files that are sent in one piece."""
_ADDRESS, _STATE = "address.json", "state.json"
_OPEN: dict[Path, "_Mirror"] = {}
"""Mirrors that this process works in: a step publishes by the folder alone."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Entry:
    """Where one file of the folder lies in the store."""

    sha256: str
    size: int
    key: str

    def to_dict(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "size": self.size, "key": self.key}


@dataclass
class _State:
    """What a working copy knows: the index it began from, files with their size and time, and what is sent already."""

    base: str = ""
    files: dict[str, list[Any]] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)


_Index = dict[str, _Entry]


def working_folder(url: str) -> Path:
    """The folder on this computer in which what lives at an address is worked on; made, and perhaps empty.

    Args:
        url: Address of a folder.

    Returns:
        A folder under the user's cache, whose name is the last part of the address.

    Raises:
        StorageError: The cache cannot be written.
    """
    address = (as_url(url) or url).rstrip("/")
    place = _mirrors() / hash_content(address)[:24]
    folder = place / (address.rpartition("/")[2] or "root")
    if not (place / _ADDRESS).is_file():
        write_json(place / _ADDRESS, {"url": address})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def find_address(folder: Path) -> str | None:
    """The address of a working folder or of something in it; None for any other path on this computer."""
    try:
        inside = folder.relative_to(_mirrors()).parts
    except ValueError:
        return None
    # The first part is the name of the copy, the second the folder itself.
    if len(inside) < len((_ADDRESS, "folder")):
        return None
    try:
        url = str(read_json(_mirrors() / inside[0] / _ADDRESS)["url"])
    except (ArtifactError, KeyError, TypeError):
        return None
    return "/".join([url, *inside[2:]])


@contextlib.contextmanager
def kept_folder(place: str | Path, say: Say | None = None) -> Iterator[Path]:
    """Gives a folder to work in, brought up to date, and publishes it when the work ends or breaks off.

    Args:
        place: A path on this computer, which is given back as it is; or an address, or the working folder of one.
        say: Told what is fetched and published.

    Yields:
        A folder on this computer.

    Raises:
        ArtifactError: Another machine or process works there.
        MissingDependencyError: The library of that store is not installed.
        StorageError: The store does not answer, or refuses.
    """
    url = as_url(place) or find_address(Path(place))
    if url is None:
        yield Path(place)
        return
    folder = working_folder(url) if as_url(place) else Path(place)
    if _find_open(folder) is not None:
        yield folder
        return
    mirror = _Mirror(ObjectFolder(url), folder, say or (lambda _: None))
    mirror.lease.acquire()
    try:
        mirror.bring()
        _OPEN[folder] = mirror
        try:
            yield folder
        finally:
            # Also after an error or a Ctrl-C: what was finished is finished.
            _OPEN.pop(folder, None)
            mirror.publish()
    finally:
        mirror.lease.release()


def publish(folder: Path) -> None:
    """Publishes what has changed since in the kept folder that holds this one; does nothing for other folders.

    Raises:
        ArtifactError: Another machine has taken over.
        StorageError: The store does not answer, or refuses.
    """
    mirror = _find_open(folder)
    if mirror is not None:
        mirror.publish()


def fetch_folder(url: str, folder: Path, say: Say | None = None) -> bool:
    """Brings a folder of this computer to the state that was last published; nothing is written at the address.

    Args:
        url: Address of the folder.
        folder: Becomes like it: other files in it are removed.
        say: Told what is fetched.

    Returns:
        Whether anything was ever published there.

    Raises:
        StorageError: The store does not answer, or refuses; or others keep publishing.
    """
    index = _fetch(ObjectFolder(url), folder, _State(), say or (lambda _: None))
    return index is not None


def publish_folder(folder: Path, url: str, say: Say | None = None) -> None:
    """Publishes a folder of this computer: afterwards the address holds the same files.

    Args:
        folder: What is published; hidden files and links in it are not.
        url: Address of the folder.
        say: Told what is published.

    Raises:
        ArtifactError: Another machine or process works there.
        StorageError: The store does not answer, or refuses.
    """
    store = ObjectFolder(url)
    mirror = _Mirror(store, folder, say or (lambda _: None), remembers=False)
    mirror.lease.acquire()
    try:
        mirror.publish()
    finally:
        mirror.lease.release()


class _Mirror:
    """One working folder and its address."""

    def __init__(self, store: ObjectFolder, folder: Path, say: Say, *, remembers: bool = True) -> None:
        self.lease = Lease(store, LEASE_KEY)
        self._store, self._folder, self._say = store, folder, say
        self._memory = folder.parent / _STATE if remembers else None
        self._state = _read_state(self._memory)

    def bring(self) -> None:
        """Takes over what others have published since; else what lies here stays, and is newer."""
        raw = self._store.read(INDEX_KEY)
        if raw is None and self._state.base:
            # Somebody has removed what was there, and with it what was sent.
            self._state.base, self._state.sent = "", {}
        if raw is None or _mark(raw) == self._state.base:
            if raw is not None:
                _restore(self._store, self._folder, self._state)
            return
        self._state.sent = {}
        _fetch(self._store, self._folder, self._state, self._say)
        self._remember()

    def publish(self) -> None:
        """Sends what has changed, then the index."""
        raw = self._store.read(INDEX_KEY)
        old, leftover = ({}, set()) if raw is None else _parse(raw, self._store)
        now = _survey(self._folder, self._state)
        changed = [name for name, (digest, _) in now.items() if name not in old or old[name].sha256 != digest]
        settled = not leftover and all(entry.key == name for name, entry in old.items())
        if raw is not None and not changed and set(old) == set(now) and settled:
            self._finish(raw)
            return
        if changed:
            size = sum(now[name][1] for name in changed) / 1e6
            self._say(f"publishing {len(changed)} files ({size:.1f} MB) at {self._store.url}")
        index = {
            name: self._send(name, old.get(name), digest) if name in changed else old[name]
            for name, (digest, _) in sorted(now.items())
        }
        self.lease.check()
        gone = (leftover | set(old)) - set(now) - {entry.key for entry in index.values()}
        raw = self._write(index, gone)
        self._settle(index, gone, raw)

    def _send(self, name: str, old: _Entry | None, digest: str) -> _Entry:
        file = self._folder / name
        size_bytes = file.stat().st_size
        # A log grows while it is sent: what is named is what was read.
        content = file.read_bytes() if size_bytes <= _SMALL_BYTES else None
        if content is not None:
            digest, size_bytes = hashlib.sha256(content).hexdigest(), len(content)
        key = name if old is None else f"{OBJECTS_KEY}/{digest}"
        # What a cut publication had sent already is not sent again.
        if self._state.sent.get(key) != digest:
            if content is not None:
                self._store.write(key, content)
            else:
                self._store.put(file, key)
                if hash_file(file) != digest:
                    message = f"{str(file)!r} was changed while it was published: run the command again."
                    raise ArtifactError(message)
            self._state.sent[key] = digest
            self._remember()
        return _Entry(digest, size_bytes, key)

    def _settle(self, index: _Index, gone: set[str], raw: bytes) -> None:
        moved = {name: entry.key for name, entry in index.items() if entry.key != name}
        for name, key in moved.items():
            self._store.copy(key, name)
        index = {name: _Entry(entry.sha256, entry.size, name) for name, entry in index.items()}
        gone = gone | set(moved.values())
        if moved:
            self._write(index, gone)
        for key in sorted(gone):
            self._store.remove(key)
        # What is still to be removed is remembered until it is.
        self._finish(self._write(index, set()) if gone else raw)

    def _write(self, index: _Index, gone: set[str]) -> bytes:
        files = {name: entry.to_dict() for name, entry in sorted(index.items())}
        raw = json.dumps({"format": _FORMAT, "files": files, "gone": sorted(gone)}, indent=1).encode("utf-8")
        self._store.write(INDEX_KEY, raw)
        return raw

    def _finish(self, raw: bytes) -> None:
        self._state.base, self._state.sent = _mark(raw), {}
        self._remember()

    def _remember(self) -> None:
        if self._memory is not None:
            write_json(self._memory, vars(self._state))


def _fetch(store: ObjectFolder, folder: Path, state: _State, say: Say) -> _Index | None:
    for _ in range(_ATTEMPTS):
        raw = store.read(INDEX_KEY)
        if raw is None:
            return None
        index, _ = _parse(raw, store)
        here = _survey(folder, state)
        wanted = [name for name, entry in index.items() if name not in here or here[name][0] != entry.sha256]
        if wanted:
            size = sum(index[name].size for name in wanted) / 1e6
            say(f"fetching {len(wanted)} files ({size:.1f} MB) from {store.url}")
        # A file that others have replaced meanwhile has another hash: then their index counts.
        if all(_take(store, index[name], folder / name) for name in wanted):
            for name in set(here) - set(index):
                (folder / name).unlink(missing_ok=True)
            state.base = _mark(raw)
            return index
    message = f"{store.url!r} was changed again and again while it was read: run the command again."
    raise StorageError(message)


def _restore(store: ObjectFolder, folder: Path, state: _State) -> None:
    # The working copy is a cache, of which somebody may have removed a part or all.
    if any(folder.iterdir()):
        return
    state.files = {}
    _fetch(store, folder, state, lambda _: None)


def _take(store: ObjectFolder, entry: _Entry, file: Path) -> bool:
    return store.get(entry.key, file) and hash_file(file) == entry.sha256


def _survey(folder: Path, state: _State) -> dict[str, tuple[str, int]]:
    """SHA-256 and size of every file that is published; files whose size and time stayed are not read again."""
    found: dict[str, tuple[str, int]] = {}
    known, state.files = state.files, {}
    for name, file in _walk(folder):
        try:
            status = file.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            before = known.get(name)
            digest = str(before[2]) if before is not None and before[:2] == stamp else hash_file(file)
        except FileNotFoundError:
            continue
        state.files[name] = [*stamp, digest]
        found[name] = (digest, status.st_size)
    return found


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    # Locks, half-written files and spools have hidden names.
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(files):
            file = Path(parent, name)
            if not name.startswith(".") and not name.endswith(".lock") and not file.is_symlink():
                yield file.relative_to(folder).as_posix(), file


def _find_open(folder: Path) -> _Mirror | None:
    return next((_OPEN[place] for place in (folder, *folder.parents) if place in _OPEN), None)


def _parse(raw: bytes, store: ObjectFolder) -> tuple[_Index, set[str]]:
    """What an index names, and what was still to be removed when it was written."""
    try:
        content = json.loads(raw)
        if content["format"] != _FORMAT:
            message = f"{store.name(INDEX_KEY)!r} was written by another version of phytoscope: use that one."
            raise ArtifactError(message)
        index = {
            str(name): _Entry(str(entry["sha256"]), int(entry["size"]), str(entry["key"]))
            for name, entry in content["files"].items()
        }
        gone = {str(key) for key in content["gone"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{store.name(INDEX_KEY)!r} is damaged ({error}): choose another address."
        raise ArtifactError(message) from error
    if any(name.startswith("/") or ".." in name.split("/") for name in (*index, *gone)):
        message = f"{store.name(INDEX_KEY)!r} names files outside of the folder: choose another address."
        raise ArtifactError(message)
    return index, gone


def _read_state(file: Path | None) -> _State:
    if file is None or not file.is_file():
        return _State()
    try:
        return _State(**read_json(file))
    except (ArtifactError, TypeError):
        # What is unknown is compared by content.
        return _State()


def _mark(raw: bytes) -> str:
    return hash_content(raw.decode("utf-8", "replace"))


def _mirrors() -> Path:
    return find_user_cache() / "mirrors"
