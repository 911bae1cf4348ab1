"""`phytoscope cache info|prune`: what is kept so that nothing is computed twice, and how it is made smaller."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.command import CommandApp
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import err, out
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.config import PathsConfig
from phytoscope.storage.place import as_url

if TYPE_CHECKING:
    from phytoscope.data.cache.cache_care import CachePiece

_HELP = """Show and prune what is kept so that nothing is computed twice.

Examples:
    phytoscope cache info
    phytoscope cache prune --max-gb 10
"""
cache_app = CommandApp(help=_HELP)
_DEFAULT = Path(PathsConfig.runs_dir) / "cache"
CacheDir = Annotated[
    Path, typer.Option("--cache-dir", help="Folder of the cache (paths.cache_dir of the runs).", metavar="DIR")
]


@cache_app.command()
def info(cache_dir: CacheDir = _DEFAULT, as_json: AsJson = False) -> None:
    """Show what lies in the cache: pixels of each preparation, features and activations of networks, facts of images.

    Examples:
        phytoscope cache info
        phytoscope cache info --cache-dir runs/cache --json
    """
    from phytoscope.data.cache.cache_care import BYTES_PER_GB, SHARD_KINDS, PieceKind, list_cache

    folder = _find_cache(cache_dir)
    groups: dict[tuple[str, str], list[CachePiece]] = {}
    for piece in list_cache(folder):
        name = piece.place.parent.name[:8] if piece.kind in SHARD_KINDS else ""
        groups.setdefault((piece.kind.value, name), []).append(piece)
    if as_json:
        print_json(_describe(folder, groups))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("what", "preparation", "px", "pictures", "files", "GB", "last use"):
        table.add_column(title, justify="left" if title in ("what", "preparation") else "right")
    for (kind, name), pieces in groups.items():
        is_pixels = kind == PieceKind.pixels.value
        table.add_row(
            kind,
            name,
            str(pieces[0].size_px) if is_pixels else "",
            str(sum(piece.pictures for piece in pieces)) if pieces[0].kind in SHARD_KINDS else "",
            str(len(pieces)),
            _word_gb(sum(piece.size_bytes for piece in pieces)),
            _read_time(max(piece.last_use for piece in pieces)).strftime("%Y-%m-%d %H:%M"),
        )
    out.print(table)
    total, bounded = _sum_bytes(groups)
    out.print(
        f"\n{escape(str(folder))}: {_word_gb(total)} GB in all, {_word_gb(bounded)} GB of it pixels and features."
    )
    bound = _word_gb(PathsConfig.cache_max_gb * BYTES_PER_GB)
    out.print(f"Runs keep these below paths.cache_max_gb ({bound} GB when not set); `phytoscope cache prune` removes.")


def _sum_bytes(groups: "Mapping[tuple[str, str], list[CachePiece]]") -> tuple[int, int]:
    """Bytes of all that is the cache's, and of those of them that are kept below the bound."""
    from phytoscope.data.cache.cache_care import SHARD_KINDS, PieceKind

    pieces = [piece for group in groups.values() for piece in group if piece.kind is not PieceKind.other]
    bounded = [piece for piece in pieces if piece.kind in SHARD_KINDS or piece.kind is PieceKind.old_pixels]
    return sum(piece.size_bytes for piece in pieces), sum(piece.size_bytes for piece in bounded)


def _describe(folder: Path, groups: "Mapping[tuple[str, str], list[CachePiece]]") -> dict[str, Any]:
    total, bounded = _sum_bytes(groups)
    return {
        "folder": folder,
        "pieces": [
            {
                "kind": kind,
                "preparation": name or None,
                "size_px": pieces[0].size_px or None,
                "pictures": sum(piece.pictures for piece in pieces),
                "files": len(pieces),
                "size_bytes": sum(piece.size_bytes for piece in pieces),
                "last_use": _read_time(max(piece.last_use for piece in pieces)),
            }
            for (kind, name), pieces in groups.items()
        ],
        "total_bytes": total,
        "bounded_bytes": bounded,
    }


@cache_app.command()
def prune(
    cache_dir: CacheDir = _DEFAULT,
    max_gb: Annotated[
        float | None,
        typer.Option(min=0, help="Remove pixels and features beyond this size, first those unused for longest."),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, help="Remove pixels and features that were not used for so many days.", metavar="DAYS"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all pixels, features and facts of images; runs and packages stay.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the cache smaller: leftovers and pixels of older versions always go, the rest as the options say.

    Nothing is lost but time: what a run needs and does not find is computed again. Files that are not the cache's are
    never touched. Without an option what is beyond 50 GB goes.

    Examples:
        phytoscope cache prune --max-gb 10
        phytoscope cache prune --older-than 30 --dry-run
    """
    from phytoscope.data.cache.cache_care import BYTES_PER_GB, prune_cache

    if everything and (max_gb is not None or older_than is not None):
        message = "--all removes everything: leave out --max-gb and --older-than, or leave out --all."
        raise ConfigError(message)
    if max_gb is None and older_than is None:
        max_gb = PathsConfig.cache_max_gb
    folder = _find_cache(cache_dir)
    pruned = prune_cache(
        folder,
        max_bytes=None if max_gb is None else max_gb * BYTES_PER_GB,
        older_than_s=None if older_than is None else older_than * 24 * 3600,
        everything=everything,
        dry_run=dry_run,
    )
    if as_json:
        pieces = {"removed": pruned.removed, "busy": pruned.busy}
        shown = {name: [_describe_piece(piece, folder) for piece in found] for name, found in pieces.items()}
        sizes = {"freed_bytes": pruned.freed_bytes, "left_bytes": pruned.left_bytes}
        print_json({"folder": folder, "dry_run": dry_run} | shown | sizes)
        return
    verb = "would be removed" if dry_run else "removed"
    for piece in pruned.removed:
        name = piece.place.relative_to(folder).as_posix()
        out.print(escape(f"{verb}: {piece.kind.value} {name}, {_word_gb(piece.size_bytes)} GB"))
    for piece in pruned.busy:
        out.print(escape(f"kept, another process uses it: {piece.place.relative_to(folder).as_posix()}"))
    freed = "would be freed" if dry_run else "freed"
    out.print(escape(f"{_word_gb(pruned.freed_bytes)} GB {freed}, {_word_gb(pruned.left_bytes)} GB left in {folder}"))


def _describe_piece(piece: "CachePiece", folder: Path) -> dict[str, Any]:
    name = piece.place.relative_to(folder).as_posix()
    return {"kind": piece.kind.value, "name": name, "size_bytes": piece.size_bytes}


def _find_cache(cache_dir: Path) -> Path:
    """The folder of a cache; of one at an address its near level on this computer."""
    address = as_url(cache_dir)
    if address is None:
        return resolve_path(str(cache_dir), "--cache-dir")
    from phytoscope.storage.mirror import working_folder

    folder = working_folder(address)
    err.print(
        escape(
            f"what this computer keeps of {address}, in {folder}; what lies at the address is shared by all machines "
            "and only removed with the tools of the store (a rule that removes objects that are old does no harm)"
        )
    )
    return folder


def _word_gb(size_bytes: float) -> str:
    gb = size_bytes / 1e9
    return f"{gb:.2f}" if gb >= 0.01 or size_bytes <= 0 else f"{gb:.6f}"


def _read_time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds).astimezone()
