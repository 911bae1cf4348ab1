"""API keys: a file of their hashes, which is read again when it changes."""

import datetime
import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from phytoscope.errors import ConfigError, storage_error, suggest
from phytoscope.schema.artifact import write_atomic

_PREFIX: Final = "phy_"
_NAME: Final = re.compile(r"[\w.@-]{1,64}")
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class KeyEntry:
    """One key, without the key itself.

    Attributes:
        name: Whose it is.
        sha256: Hash of the key, 64 hexadecimal digits. Keys are random and long, so a slow hash would add nothing.
        created_at: When it was made, ISO 8601, UTC.
    """

    name: str
    sha256: str
    created_at: str


def read_keys(path: Path) -> list[KeyEntry]:
    """Reads a file of keys.

    Raises:
        ConfigError: It is missing, cannot be read, or is no file of keys.
    """
    try:
        entries = [KeyEntry(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["keys"]]
        if all(isinstance(value, str) for entry in entries for value in asdict(entry).values()):
            return entries
        reason = "an entry is no text"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
    message = f"the keys {str(path)!r} cannot be read ({reason}): make them with `phytoscope serve-keys add NAME`."
    raise ConfigError(message)


def add_key(path: Path, name: str) -> str:
    """Makes a key and keeps its hash.

    Args:
        path: File of keys; written when absent, readable for its owner alone.
        name: Whose key it is.

    Returns:
        The key; it cannot be found out again.

    Raises:
        ConfigError: The name is taken or no plain name, or the file is no file of keys.
        StorageError: The file cannot be written.
    """
    entries = read_keys(path) if path.exists() else []
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name of a key: letters, digits and . _ @ - are allowed, 64 at most."
        raise ConfigError(message)
    if any(entry.name == name for entry in entries):
        message = f"there is a key {name!r} already: choose another name, or remove it first."
        raise ConfigError(message)
    key = _PREFIX + secrets.token_urlsafe(32)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _write(path, [*entries, KeyEntry(name, _hash(key), now)])
    return key


def remove_key(path: Path, name: str) -> None:
    """Removes a key; a running service refuses it within a second.

    Raises:
        ConfigError: There is none of this name, or the file is no file of keys.
        StorageError: The file cannot be written.
    """
    entries = read_keys(path)
    kept = [entry for entry in entries if entry.name != name]
    if len(kept) == len(entries):
        message = f"there is no key {name!r}; {suggest(name, [entry.name for entry in entries])}"
        raise ConfigError(message)
    _write(path, kept)


class KeyRing:
    """The keys of a service."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            ConfigError: It cannot be read.
        """
        self._path = path
        self._sign = self._look()
        self._hashes = [entry.sha256 for entry in read_keys(path)]
        self._looked_at = time.monotonic()

    def allows(self, key: str) -> bool:
        """Whether a key is one of them; how long this takes says nothing about any of them."""
        self._refresh()
        asked = _hash(key)
        found = False
        for known in self._hashes:
            # All are compared, whichever fits.
            found |= hmac.compare_digest(asked, known)
        return found

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        sign = self._look()
        if sign == self._sign:
            return
        self._sign = sign
        try:
            self._hashes = [entry.sha256 for entry in read_keys(self._path)]
        except ConfigError:
            # A file that is gone or damaged opens the door to nobody.
            self._hashes = []

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _write(path: Path, entries: list[KeyEntry]) -> None:
    text = json.dumps({"keys": [asdict(entry) for entry in entries]}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        # Only hashes are in it, but whose keys there are is nobody else's business either.
        path.chmod(0o600)
    except OSError as error:
        raise storage_error(path, error) from error
