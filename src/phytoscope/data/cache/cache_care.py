"""What lies in a cache folder, and how it is kept small: what was used last goes last, what is foreign never."""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import filelock

from phytoscope.data.cache.shard_folder import ABOUT_NAME, ARRAYS_FOLDER, FACTS_FOLDER, PIXELS_FOLDER, lock_folder
from phytoscope.data.cache.shards import INDEX_NAME, LAST_USE_NAME, SHARD_FILES, list_shard_folders
from phytoscope.data.cache_tag import TAG_NAME, is_tagged
from phytoscope.data.facts.facts_store import LOCK_NAME, is_of_store, lock_facts
from phytoscope.errors import ArtifactError, ConfigError, DataNotFoundError, StorageError, storage_error
from phytoscope.schema.artifact import read_json

BYTES_PER_GB = 1e9
_KEY = re.compile(r"[0-9a-f]{24}")
_TEMPORARY = re.compile(
    r"\.(?:shard-[0-9a-f]{16}|[0-9a-f]{24}|index\.json|about\.json)\.[a-z0-9_]{8}\.(?:tmp|old)(?:\.\w+)?"
)
_OLD_FILES = frozenset({"pixels.npy", "sha256.txt"})
_SHARD_FOLDERS = (PIXELS_FOLDER, ARRAYS_FOLDER)
_JUST_OPENED_S = 600.0
"""What was opened this short a time ago may belong to a run that is about to start processes which open it again."""


class PieceKind(StrEnum):
    """What a part of a cache folder is."""

    pixels = "pixels"
    old_pixels = "pixels of an older version"
    features = "features"
    activations = "activations"
    facts = "facts of images"
    leftovers = "leftovers"
    other = "other"


SHARD_KINDS = frozenset({PieceKind.pixels, PieceKind.features, PieceKind.activations})
"""What lies in shards: it is computed again when a run needs it, so that those unused for longest may go."""


@dataclass(frozen=True)
class CachePiece:
    """The smallest part of a cache that is removed as a whole.

    Attributes:
        place: Folder or file.
        kind: What it is.
        size_bytes: Space it takes.
        last_use: Time of its last use, seconds since 1970.
        pictures: Number of squares, features or activations.
        size_px: Side of the squares (pixels only).
    """

    place: Path
    kind: PieceKind
    size_bytes: int
    last_use: float
    pictures: int = 0
    size_px: int = 0


@dataclass(frozen=True)
class Pruned:
    """What was removed from a cache.

    Attributes:
        removed: Pieces that are gone, or that would go.
        busy: Pieces that another process holds, and which stayed.
        left_bytes: Space that the cache takes now.
    """

    removed: list[CachePiece]
    busy: list[CachePiece]
    left_bytes: int

    @property
    def freed_bytes(self) -> int:
        """Space that was freed."""
        return sum(piece.size_bytes for piece in self.removed)


def list_cache(folder: Path) -> list[CachePiece]:
    """Lists what lies in a cache folder.

    Raises:
        ConfigError: The folder holds files but no cache of ours.
        DataNotFoundError: There is no such folder.
        StorageError: It cannot be opened.
    """
    if not folder.is_dir():
        message = (
            f"there is no cache in {str(folder)!r}: name the folder with --cache-dir (paths.cache_dir of the runs)."
        )
        raise DataNotFoundError(message)
    try:
        pieces = list(_iterate_pieces(folder))
    except OSError as error:
        raise error if isinstance(error, StorageError) else storage_error(folder, error) from error
    if not is_tagged(folder) and pieces and all(piece.kind is PieceKind.other for piece in pieces):
        shown = ", ".join(repr(piece.place.name) for piece in pieces[:5]) + (", ..." if len(pieces) > 5 else "")
        message = (
            f"{str(folder)!r} is not a cache of phytoscope (it holds {shown}): name the right folder with --cache-dir; "
            "nothing was touched."
        )
        raise ConfigError(message)
    return pieces


def prune_cache(
    folder: Path,
    *,
    max_bytes: float | None = None,
    older_than_s: float | None = None,
    everything: bool = False,
    keep: frozenset[Path] = frozenset(),
    dry_run: bool = False,
) -> Pruned:
    """Removes from a cache what killed processes left, what older versions wrote, and what was not used for longest.

    Pixels that another process has mapped stay readable for it where the system allows to remove them (Linux, macOS);
    elsewhere they stay.

    Args:
        folder: The cache.
        max_bytes: Pixels, features and activations beyond this size go, those first that were not used for longest.
        older_than_s: Those that were not used for so many seconds go.
        everything: Whether all goes that is ours, facts of images too.
        keep: Shards that stay whatever their age.
        dry_run: Whether to leave everything and only tell what would go.

    Raises:
        ConfigError: The folder holds files but no cache of ours.
        DataNotFoundError: There is no such folder.
        StorageError: Something cannot be removed.
    """
    pieces = list_cache(folder)
    chosen = _choose(pieces, max_bytes, older_than_s, everything=everything, keep=keep)
    busy: list[CachePiece] = []
    if not dry_run:
        busy = [piece for piece in chosen if not _remove(piece, folder)]
        _remove_empty(folder)
    held = {piece.place for piece in busy}
    removed = [piece for piece in chosen if piece.place not in held]
    total = sum(piece.size_bytes for piece in pieces if piece.kind is not PieceKind.other)
    return Pruned(removed, busy, total - sum(piece.size_bytes for piece in removed))


def bound_cache(folder: Path, max_bytes: float, in_use: frozenset[Path]) -> Pruned:
    """Brings a cache below its bound after a run has opened it; see `prune_cache`.

    Args:
        folder: The cache.
        max_bytes: Bound of all pixels, features and activations.
        in_use: Shards that this run has opened; they stay, and so do those that were opened a few minutes ago.

    Raises:
        PhytoscopeError: As `prune_cache`.
    """
    now = time.time()
    just_opened = {piece.place for piece in list_cache(folder) if now - piece.last_use < _JUST_OPENED_S}
    return prune_cache(folder, max_bytes=max_bytes, keep=in_use | just_opened)


def _choose(
    pieces: list[CachePiece],
    max_bytes: float | None,
    older_than_s: float | None,
    *,
    everything: bool,
    keep: frozenset[Path],
) -> list[CachePiece]:
    ours = [piece for piece in pieces if piece.kind is not PieceKind.other and piece.place not in keep]
    if everything:
        return ours
    chosen = [piece for piece in ours if piece.kind in (PieceKind.leftovers, PieceKind.old_pixels)]
    shards = sorted(
        (piece for piece in ours if piece.kind in SHARD_KINDS), key=lambda piece: (piece.last_use, piece.place)
    )
    total = sum(piece.size_bytes for piece in pieces if piece.kind in SHARD_KINDS)
    now = time.time()
    for shard in shards:
        is_old = older_than_s is not None and now - shard.last_use > older_than_s
        if is_old or (max_bytes is not None and total > max_bytes):
            chosen.append(shard)
            total -= shard.size_bytes
    return chosen


def _iterate_pieces(folder: Path) -> Iterator[CachePiece]:
    for entry in sorted(folder.iterdir()):
        if entry.name in _SHARD_FOLDERS and _is_folder(entry):
            yield from _iterate_shards(entry)
        elif entry.name == FACTS_FOLDER and _is_folder(entry) and _holds_only(entry, is_of_store):
            # What is left of facts that were removed is the lock alone.
            if not _holds_only(entry, LOCK_NAME.__eq__):
                yield _measure(entry, PieceKind.facts if is_tagged(entry) else PieceKind.other)
        elif _KEY.fullmatch(entry.name) and _is_folder(entry) and _holds_only(entry, _OLD_FILES.__contains__):
            yield _measure(entry, PieceKind.old_pixels)
        elif _TEMPORARY.fullmatch(entry.name):
            yield _measure(entry, PieceKind.leftovers)
        elif entry.name != TAG_NAME:
            yield _measure(entry, PieceKind.other)


def _iterate_shards(folder: Path) -> Iterator[CachePiece]:
    for key in sorted(folder.iterdir()):
        if key.suffix == ".lock" and _KEY.fullmatch(key.stem):
            continue
        if not _KEY.fullmatch(key.name) or not _is_folder(key):
            yield _measure(key, PieceKind.other)
            continue
        kind, size_px = _read_about(key, folder.name)
        shards = set(list_shard_folders(key))
        for entry in sorted(key.iterdir()):
            if entry in shards and _holds_only(entry, _is_of_shard):
                yield _measure(entry, kind, size_px)
            elif _TEMPORARY.fullmatch(entry.name):
                yield _measure(entry, PieceKind.leftovers)
            elif entry.name != ABOUT_NAME:
                yield _measure(entry, PieceKind.other)


def _is_of_shard(name: str) -> bool:
    return name in SHARD_FILES or _TEMPORARY.fullmatch(name) is not None


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _holds_only(folder: Path, is_ours: Callable[[str], object]) -> bool:
    return all(bool(is_ours(entry.name)) and not _is_folder(entry) for entry in folder.iterdir())


def _read_about(key: Path, folder_name: str) -> tuple[PieceKind, int]:
    is_pixels = folder_name == PIXELS_FOLDER
    kind, size_px = PieceKind.pixels if is_pixels else PieceKind.features, 0
    with contextlib.suppress(ArtifactError, KeyError, TypeError, ValueError):
        about = read_json(key / ABOUT_NAME)
        if is_pixels:
            size_px = int(about["size_px"])
        elif about["kind"] == PieceKind.activations:
            kind = PieceKind.activations
    return kind, size_px


def _measure(place: Path, kind: PieceKind, size_px: int = 0) -> CachePiece:
    files = [place] if not _is_folder(place) else [file for file in place.rglob("*") if not _is_folder(file)]
    size, changed = 0, 0.0
    for file in files:
        # Others may remove files while they are counted.
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            size += status.st_size
            changed = max(changed, status.st_mtime)
    pictures = 0
    if kind in SHARD_KINDS:
        with contextlib.suppress(OSError):
            changed = (place / LAST_USE_NAME).stat().st_mtime
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            pictures = len(json.loads((place / INDEX_NAME).read_text(encoding="ascii"))["sha256"])
    return CachePiece(place, kind, size, changed, pictures, size_px)


def _remove(piece: CachePiece, folder: Path) -> bool:
    """Whether the piece is gone; False when another process holds it."""
    place = piece.place
    try:
        with contextlib.ExitStack() as stack:
            if place.parent.parent in [folder / name for name in _SHARD_FOLDERS]:
                stack.enter_context(lock_folder(place.parent, timeout=0))
            if piece.kind is PieceKind.facts:
                stack.enter_context(lock_facts(place, timeout=0))
                _remove_facts(place)
                return True
            if not _is_folder(place):
                place.unlink(missing_ok=True)
                return True
            if piece.kind in SHARD_KINDS:
                # Renamed first: a kill in the middle leaves a leftover and not half a shard.
                aside = place.with_name(f".{place.name}.removing.tmp")
                place.rename(aside)
                place = aside
            shutil.rmtree(place)
    except (filelock.Timeout, FileNotFoundError):
        return not piece.place.exists()
    except PermissionError as error:
        # Windows does not let go of a file that somebody has mapped.
        if piece.kind in SHARD_KINDS and getattr(error, "winerror", None) is not None:
            return False
        raise storage_error(place, error) from error
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(place, error) from error
    return True


def _remove_facts(place: Path) -> None:
    # The lock stays: it is held, and others may wait for it.
    for entry in place.iterdir():
        if entry.name != LOCK_NAME and is_of_store(entry.name) and not _is_folder(entry):
            entry.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    roots = [folder / name for name in _SHARD_FOLDERS if _is_folder(folder / name)]
    keys = [key for root in roots for key in root.iterdir() if _KEY.fullmatch(key.name)]
    for key in keys:
        with contextlib.suppress(OSError, filelock.Timeout), lock_folder(key, timeout=0):
            if {entry.name for entry in key.iterdir()} <= {ABOUT_NAME}:
                (key / ABOUT_NAME).unlink(missing_ok=True)
                key.rmdir()
