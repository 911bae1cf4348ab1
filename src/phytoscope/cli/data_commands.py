"""`phytoscope data ...`: what belongs to the data themselves, before and beside every run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here, read_here
from phytoscope.cli.terminal import EXIT_FINDINGS, out
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path

if TYPE_CHECKING:
    from phytoscope.data.versions import ManifestDiff

data_app = typer.Typer(
    help="Fetch public data sets, import other layouts, compare versions of the data.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
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
        typer.Option("--output", "-o", callback=keep_here, help="Table of all changes to write: .csv or .json."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """Say what changed from one version of the data to another: added, removed, relabelled, renamed, regrouped.

    [bold]Example[/]

    phytoscope data diff runs/spring runs/autumn --output changes.csv

    Exit code 0 when nothing changed, 3 when something did.
    """
    from phytoscope.data.versions import compare_manifests, read_version

    target = None if output is None else _check_output(output, overwrite=overwrite)
    tables = [read_version(resolve_path(str(path), name)) for path, name in ((before, "A"), (after, "B"))]
    found = compare_manifests(*tables)
    for name, digest, rows in (("A", found.hash_before, found.rows_before), ("B", found.hash_after, found.rows_after)):
        out.print(f"{name}: data {digest[:_SHOWN_HASH]}, {rows} images")
    _show(found)
    if target is not None:
        _write(found, target)
        out.print(f"All changes: {escape(str(target))}")
    if not found.is_equal:
        raise typer.Exit(EXIT_FINDINGS)


def _show(found: "ManifestDiff") -> None:
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
        message = f"the output {str(output)!r} exists: choose another name, or add --overwrite to replace it."
        raise ConfigError(message)
    return target


def _write(found: "ManifestDiff", target: Path) -> None:
    from phytoscope.schema.artifact import write_atomic, write_json

    if target.suffix.lower() == ".csv":
        with write_atomic(target) as temporary:
            found.changes.to_csv(temporary, index=False)
        return
    content = {
        "before": {"hash": found.hash_before, "images": found.rows_before},
        "after": {"hash": found.hash_after, "images": found.rows_after},
        "counts": found.counts,
        "changed_columns": found.changed_columns,
        "added_columns": list(found.added_columns),
        "removed_columns": list(found.removed_columns),
        "changes": found.changes.to_dict("records"),
    }
    write_json(target, content)
