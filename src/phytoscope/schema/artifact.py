"""How artefacts reach the disk: whole or not at all, and known by the hash of their content."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, ConfigError, PhytoscopeError, storage_error
from phytoscope.schema.address import as_url, word_refusal

_CHUNK_BYTES = 1 << 20
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.(?P<kind>tmp|old)(?:\.\w+)?")


@contextlib.contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on success the file there takes the name `path`, else it is removed.

    A reader therefore sees the old file or the new one, never half of one, also after a kill or a power cut.

    Args:
        path: Where the finished file shall stand; parent folders are created.

    Raises:
        StorageError: The place cannot be written or the disk is full; `path` is as it was before.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # Windows flushes only what is open for writing.
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except PhytoscopeError:
        # Some of ours are OSErrors too, and say better what happened.
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_folder_atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `path`; on success it takes the name `path`, else it is removed.

    An older folder of that name is put aside first and removed last, so at no time is there half of one. A process that
    is killed between the two leaves it as a hidden `.old` folder: see `clear_leftovers`.

    Args:
        path: Where the finished folder shall stand.

    Raises:
        StorageError: The place cannot be written or the disk is full; `path` is as it was before.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}.", suffix=".tmp", dir=path.parent))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        aside = temporary.with_suffix(".old")
        if path.exists():
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    except PhytoscopeError:
        # Some of ours are OSErrors too, and say better what happened.
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Removes what killed writers left half written in a folder, and puts back a folder that they had put aside.

    Only names that `write_atomic` and `write_folder_atomic` give are touched. Nobody may be writing there meanwhile.

    Args:
        folder: Folder whose direct entries are looked at.

    Raises:
        StorageError: The place cannot be written.
    """
    try:
        for entry in list(folder.iterdir()):
            match = _LEFTOVER.fullmatch(entry.name)
            if match is None:
                continue
            name = folder / match["name"]
            if match["kind"] == "old" and not name.exists():
                entry.rename(name)
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically.

    Args:
        path: File to write.
        content: Anything `json` knows; a value that is not finite is refused, because JSON has no word for it.

    Raises:
        StorageError: The place cannot be written or the disk is full.
        ValueError: A value is not finite.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    with write_atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON artefact.

    Raises:
        ArtifactError: The file is missing, cannot be opened or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{str(path)!r} is missing: run the step that writes it first."
        raise ArtifactError(message) from error
    except OSError as error:
        message = f"{str(path)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise ArtifactError(message) from error
    except ValueError as error:
        message = f"{str(path)!r} is damaged ({error}): remove it and run the step that writes it again."
        raise ArtifactError(message) from error


def resolve_path(value: str, key: str) -> Path:
    """Makes a path of the settings absolute.

    Args:
        value: What the user wrote.
        key: The setting it was written for, for the error.

    Raises:
        ConfigError: It names a home directory that does not exist, or is an address of a store.
    """
    if as_url(value) is not None:
        message = word_refusal(value, key)
        raise ConfigError(message)
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        message = f"{key}: {value!r} names a home directory that does not exist: write the whole path."
        raise ConfigError(message) from error


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_content(content: Any) -> str:
    """SHA-256 of a JSON-like value, the same whatever the order of its keys, as 64 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def find_user_cache() -> Path:
    """The user's folder for what can be made again: `phytoscope` in XDG_CACHE_HOME, else in `~/.cache`."""
    named = os.environ.get("XDG_CACHE_HOME", "").strip()
    # What is relative there means nothing, says the standard.
    base = Path(named) if named and Path(named).is_absolute() else Path.home() / ".cache"
    return base / "phytoscope"
