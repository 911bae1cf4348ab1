"""`phytoscope data ...`: what belongs to the data themselves, before and beside every run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from phytoscope.cli.addresses import read_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import Overwrite, refuse_existing, write_to
from phytoscope.cli.terminal import EXIT_FINDINGS, out
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path

if TYPE_CHECKING:
    from phytoscope.data.versions import ManifestDiff

_HELP = """Fetch public data sets, import other layouts, compare versions of the data.

Examples:
    phytoscope data list
    phytoscope data fetch plantvillage
"""
data_app = CommandApp(help=_HELP)
_EXAMPLES = 3
_SHOWN_HASH = 12


@data_app.command()
def diff(
    before: Annotated[
        Path,
        typer.Argument(
            callback=read_here, help="Folder of a run or of an inspection, or a manifest.parquet.", metavar="A"
        ),
    ],
    after: Annotated[Path, typer.Argument(callback=read_here, help="The same of the later version.", metavar="B")],
    output: Annotated[
        Path | None,
        write_to("Table of all changes to write: .csv or .json.", "FILE"),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Say what changed from one version of the data to another: added, removed, relabelled, renamed, regrouped.

    Exit code 0 when nothing changed, 3 when something did.

    Examples:
        phytoscope data diff runs/spring runs/autumn --output changes.csv
        phytoscope data diff runs/spring runs/autumn --json
    """
    from phytoscope.data.versions import compare_manifests, read_version

    target = None if output is None else _check_output(output, overwrite=overwrite)
    tables = [read_version(resolve_path(str(path), name)) for path, name in ((before, "A"), (after, "B"))]
    found = compare_manifests(*tables)
    if target is not None:
        _write(found, target)
    if as_json:
        print_json(_describe(found) | {"files": list_files(changes=target)})
    else:
        _show(found)
        if target is not None:
            out.print(f"All changes: {escape(str(target))}")
    if not found.is_equal:
        raise typer.Exit(EXIT_FINDINGS)


def _show(found: "ManifestDiff") -> None:
    for name, digest, count in (("A", found.hash_before, found.rows_before), ("B", found.hash_after, found.rows_after)):
        out.print(f"{name}: data {digest[:_SHOWN_HASH]}, {count} images")
    if found.is_equal:
        out.print("Nothing changed.")
    for verb, names in (("added", found.added_columns), ("removed", found.removed_columns)):
        if names:
            out.print(escape(f"\ncolumns {verb}: {', '.join(names)}"))
    for change, count in found.counts.items():
        in_columns = ", ".join(f"{name}: {images}" for name, images in found.changed_columns.items())
        note = f" ({escape(in_columns)})" if change == "changed_columns" else ""
        out.print(f"\n[bold]{change}[/]: {count}{note}")
        rows = found.changes[found.changes["change"] == change].head(_EXAMPLES)
        for row in rows.to_dict("records"):
            detail = (
                "" if change in ("added", "removed") else f": {_shorten(row['before'])} -> {_shorten(row['after'])}"
            )
            column = f" {row['column']}" if row["column"] else ""
            out.print(escape(f"  {row['sample_id']}{column}{detail}"))
        total = int((found.changes["change"] == change).sum())
        if total > _EXAMPLES:
            out.print(f"  ... and {total - _EXAMPLES} more")


def _shorten(value: str) -> str:
    is_hash = len(value) == 64 and all(letter in "0123456789abcdef" for letter in value)
    return value[:_SHOWN_HASH] if is_hash else value


def _check_output(output: Path, *, overwrite: bool) -> Path:
    target = resolve_path(str(output), "--output")
    if target.suffix.lower() not in (".csv", ".json"):
        message = f"the output {str(output)!r} must end in .csv or .json."
        raise ConfigError(message)
    if target.exists() and not overwrite:
        raise refuse_existing(output)
    return target


def _write(found: "ManifestDiff", target: Path) -> None:
    from phytoscope.schema.artifact import write_atomic, write_json

    if target.suffix.lower() == ".csv":
        with write_atomic(target) as temporary:
            found.changes.to_csv(temporary, index=False)
        return
    write_json(target, _describe(found))


def _describe(found: "ManifestDiff") -> dict[str, Any]:
    return {
        "before": {"hash": found.hash_before, "images": found.rows_before},
        "after": {"hash": found.hash_after, "images": found.rows_after},
        "counts": found.counts,
        "changed_columns": found.changed_columns,
        "added_columns": list(found.added_columns),
        "removed_columns": list(found.removed_columns),
        "changes": found.changes.to_dict("records"),
    }
