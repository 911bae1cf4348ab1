"""Objects of a store: written whole, read, copied and removed, each patiently; what a mirror and an output are made of.

An object appears under its name when all of its bytes have arrived, never half of it; that is what object stores
promise, and a local file system that is addressed by a URL is made to keep the same promise.
"""

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from phytoscope.errors import ConfigError, PhytoscopeError, PlaceFaultError, StorageError
from phytoscope.schema.artifact import write_atomic
from phytoscope.storage.patience import with_patience
from phytoscope.storage.place import as_url
from phytoscope.storage.stores import find_store
from phytoscope.storage.trouble import Trouble, judge

Answer = TypeVar("Answer")


class _AbsentError(PhytoscopeError):
    """There is no such object."""


class _PresentError(PhytoscopeError):
    """There is such an object already."""


class ObjectFolder:
    """The objects below one address.

    Attributes:
        url: The address, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        """Names the place; nothing is asked of the store yet.

        Args:
            url: Address of a folder, such as `s3://bucket/runs/first`.

        Raises:
            ConfigError: It is no address, or one of an unknown kind.
            MissingDependencyError: The library of that store is not installed.
            StorageError: There are no credentials that could be tried.
        """
        address = as_url(url)
        if address is None:
            message = f"{url!r} is no address of a store: write it like s3://bucket/folder."
            raise ConfigError(message)
        self.url = address.rstrip("/")
        self._system, root = find_store(self.url)
        self._root = root.rstrip("/")

    def read(self, key: str) -> bytes | None:
        """Content of an object; None when there is none.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        try:
            return bytes(self._ask(lambda: self._system.cat_file(self._path(key)), key))
        except _AbsentError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Writes an object; an older one of that name is replaced.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        self._ask(lambda: self._pipe(key, content), key)

    def create(self, key: str, content: bytes) -> bool:
        """Writes an object unless there is one of that name; whether it was written.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        try:
            self._ask(lambda: self._pipe(key, content, mode="create"), key)
        except _PresentError:
            # An answer that was lost on its way makes the second try meet what the first one wrote.
            return self.read(key) == content
        return True

    def put(self, file: Path, key: str) -> None:
        """Copies a file into the store, a large one in several parts at a time.

        Raises:
            StorageError: The store does not answer, or refuses.
        """

        def send() -> None:
            if _has_folders(self._system):
                self._system.makedirs(self._path(key).rpartition("/")[0], exist_ok=True)
                aside = f"{self._path(key)}.{secrets.token_hex(4)}.tmp"
                self._system.put_file(str(file), aside)
                self._system.mv(aside, self._path(key))
                return
            self._system.put_file(str(file), self._path(key))

        self._ask(send, key)

    def get(self, key: str, file: Path) -> bool:
        """Copies an object onto this computer, whole or not at all; whether there is one.

        Raises:
            StorageError: The store does not answer, or refuses, or the file cannot be written.
        """
        try:
            with write_atomic(file) as temporary:
                self._get(key, temporary)
        except _AbsentError:
            return False
        return True

    def copy(self, source: str, target: str) -> None:
        """Copies an object within the store.

        Raises:
            StorageError: The store does not answer, or refuses.
        """

        def copy() -> None:
            if _has_folders(self._system):
                self._system.makedirs(self._path(target).rpartition("/")[0], exist_ok=True)
            self._system.cp_file(self._path(source), self._path(target))

        self._ask(copy, source)

    def remove(self, key: str) -> None:
        """Removes an object; one that is gone already is passed over.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        with contextlib.suppress(_AbsentError):
            self._ask(lambda: self._system.rm_file(self._path(key)), key)

    def list_folders(self, key: str = "") -> list[str]:
        """Names of the folders directly below a key, sorted; none when there is nothing.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        return sorted(name for name, kind in self._list(key) if kind == "directory")

    def list_files(self, key: str = "") -> list[str]:
        """Names of the objects directly below a key, sorted; none when there is nothing.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        return sorted(name for name, kind in self._list(key) if kind != "directory")

    def name(self, key: str) -> str:
        """The whole address of an object, for sentences."""
        return f"{self.url}/{key}" if key else self.url

    def _get(self, key: str, file: Path) -> None:
        self._ask(lambda: self._system.get_file(self._path(key), str(file)), key)

    def _list(self, key: str) -> list[tuple[str, str]]:
        def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self._system.ls(self._path(key), detail=True)
            return found

        path = self._path(key).rstrip("/")
        try:
            entries = self._ask(look, key)
        except _AbsentError:
            return []
        named = [(str(entry["name"]).rstrip("/"), str(entry["type"])) for entry in entries]
        # Some stores list the folder itself as an empty object.
        return [(name.rpartition("/")[2], kind) for name, kind in named if name.strip("/") != path.strip("/")]

    def _pipe(self, key: str, content: bytes, mode: str = "overwrite") -> None:
        if _has_folders(self._system):
            self._system.makedirs(self._path(key).rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(self._path(key), content, mode=mode)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else str(self._root)

    def _ask(self, function: Callable[[], Answer], key: str) -> Answer:
        def ask() -> Answer:
            try:
                return function()
            except FileExistsError as error:
                raise _PresentError(key) from error
            except FileNotFoundError as error:
                # That there is no bucket is another matter.
                if judge(error) is Trouble.missing:
                    raise _AbsentError(key) from error
                raise

        try:
            return with_patience(ask, self.name(key))
        except PlaceFaultError as error:
            message = f"{self.name(key)!r} cannot be read or written ({error}): check your access rights there."
            raise StorageError(message) from error


def publish_file(file: Path, url: str) -> None:
    """Copies a file to an address; whoever looks there sees the old object or the new one, never half of one.

    Args:
        file: File on this computer.
        url: Address of the object.

    Raises:
        ConfigError: It is no address of an object.
        MissingDependencyError: The library of that store is not installed.
        StorageError: The store does not answer, or refuses.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    ObjectFolder(parent).put(file, name)


def _has_folders(system: Any) -> bool:
    # Object stores know no folders; these do, and a file must not be seen half written in them.
    kinds = system.protocol if isinstance(system.protocol, tuple | list) else (system.protocol,)
    return bool({"file", "local", "memory", "sftp", "ssh", "smb", "hdfs"} & set(kinds))
