"""Who works on a folder in a store: one machine at a time, told by an object that it renews while it lives."""

import datetime
import json
import os
import secrets
import socket
import threading
from typing import Any

from phytoscope.errors import ArtifactError, PhytoscopeError
from phytoscope.storage.publishing import ObjectFolder

LEASE_SECONDS = 120.0
"""A lease that was not renewed for so long belongs to a machine that is gone; clocks may differ by a minute."""
_RENEWED_EVERY_S = 20.0


class Lease:
    """The right to write into a folder of a store."""

    def __init__(self, store: ObjectFolder, key: str) -> None:
        """Names the lease; `acquire` takes it.

        Args:
            store: The folder.
            key: Name of the object that tells who works there.
        """
        self._store, self._key = store, key
        self._token = secrets.token_hex(8)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Takes the lease, also from a process that died, and renews it from now on.

        Raises:
            ArtifactError: Another machine or process works there.
            StorageError: The store does not answer, or refuses.
        """
        if not self._store.create(self._key, self._describe()):
            other = _read(self._store, self._key)
            if other is not None and _is_alive(other):
                raise self._refuse(other)
            self._store.remove(self._key)
            if not self._store.create(self._key, self._describe()):
                raise self._refuse(_read(self._store, self._key) or {})
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Makes sure that the lease is still ours.

        Raises:
            ArtifactError: Another machine has taken it, because this one was silent for too long.
            StorageError: The store does not answer, or refuses.
        """
        holder = _read(self._store, self._key)
        if holder is None or holder.get("token") != self._token:
            name = "nobody" if holder is None else repr(holder.get("host"))
            message = (
                f"{self._store.url!r} was taken over by another machine ({name}) while this one could not be heard: "
                "nothing more is published from here; run the command again once the other has ended."
            )
            raise ArtifactError(message)

    def release(self) -> None:
        """Gives the lease back, if it is still ours.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _RENEWED_EVERY_S)
            self._thread = None
        holder = _read(self._store, self._key)
        if holder is not None and holder.get("token") == self._token:
            self._store.remove(self._key)

    def _renew(self) -> None:
        while not self._stop.wait(_RENEWED_EVERY_S):
            try:
                self.check()
                self._store.write(self._key, self._describe())
            except ArtifactError:
                return
            except PhytoscopeError:
                # The store may answer again; until then the lease grows old, and `check` tells who took it.
                continue

    def _describe(self) -> bytes:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        content = {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token, "renewed_at": now}
        return json.dumps(content).encode("utf-8")

    def _refuse(self, other: dict[str, Any]) -> ArtifactError:
        age = _find_age(other)
        heard = "" if age is None else f", last heard of {age:.0f} s ago"
        message = (
            f"another phytoscope process works in {self._store.url!r} (host {other.get('host')!r}, process "
            f"{other.get('pid')}{heard}): wait for it, or choose another address. One that has died is taken over "
            f"{LEASE_SECONDS:.0f} s after it was last heard of."
        )
        return ArtifactError(message)


def _read(store: ObjectFolder, key: str) -> dict[str, Any] | None:
    content = store.read(key)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    age = _find_age(holder)
    if age is None or age > LEASE_SECONDS:
        return False
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _find_age(holder: dict[str, Any]) -> float | None:
    try:
        renewed = datetime.datetime.fromisoformat(str(holder.get("renewed_at")))
        return (datetime.datetime.now(datetime.UTC) - renewed).total_seconds()
    except (TypeError, ValueError):
        return None
