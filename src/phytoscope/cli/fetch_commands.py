"""`phytoscope data list|fetch|import`: other people's data in a form that every command reads."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import Overwrite, refuse_existing, write_to
from phytoscope.cli.terminal import TerminalProgress, out, say
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path

_SHOWN = ("name", "title", "task", "images", "classes", "size_gb", "licence", "doi", "note", "sources")


def list_datasets(as_json: AsJson = False) -> None:
    """List the public data sets that can be fetched by name, with licence, size and what to know about them.

    Examples:
        phytoscope data list
        phytoscope data list --json
    """
    from phytoscope.data.fetch.known import KNOWN

    if as_json:
        print_json({"datasets": [{name: getattr(known, name) for name in _SHOWN} for known in KNOWN]})
        return
    for known in KNOWN:
        out.print(f"[bold]{known.name}[/]: {escape(known.title)}")
        cite = f", cite doi {known.doi}" if known.doi else ""
        out.print(escape(f"  about {known.size_gb:g} GB, licence {known.licence}{cite}"))
        if known.note:
            out.print(f"  [yellow]Note:[/] {escape(known.note)}")
    out.print("\nphytoscope data fetch NAME; any other source: https://..., kaggle:OWNER/NAME, hf:OWNER/NAME")


def fetch(
    source: Annotated[
        str,
        typer.Argument(
            help="A name from `phytoscope data list`, or https://ARCHIVE, kaggle:OWNER/NAME, hf:OWNER/NAME.",
            metavar="NAME|SOURCE",
        ),
    ],
    output: Annotated[
        Path | None,
        write_to("New folder for the files; `datasets/NAME` when not given.", "DIR"),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Expected SHA-256 of the archive.", metavar="HASH")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a data set: interrupted downloads continue, checksums are compared, nothing half-done is left.

    Kaggle's credentials are read from KAGGLE_API_TOKEN, from KAGGLE_USERNAME and KAGGLE_KEY, or from
    ~/.kaggle/kaggle.json; Hugging Face's from HF_TOKEN. Where they come from, checksums and licence are written to
    SOURCE.json beside the files.

    Examples:
        phytoscope data fetch plantvillage
        phytoscope data fetch kaggle:abdallahalidev/plantvillage-dataset --output leaves
    """
    from phytoscope.data.fetch.dataset import fetch_dataset
    from phytoscope.data.fetch.known import find_known

    known = None if ":" in source else find_known(source)
    sources = (source,) if known is None else known.sources
    name = known.name if known is not None else source.partition(":")[2].partition("?")[0].rstrip("/").split("/")[-1]
    folder = resolve_path(str(output) if output is not None else f"datasets/{Path(name).stem}", "--output")
    if known is not None:
        say(f"{known.title}: about {known.size_gb:g} GB, licence {known.licence}")
    progress = TerminalProgress()
    try:
        fetched = fetch_dataset(sources, folder, progress=progress, known=known, sha256=sha256)
    finally:
        progress.finish()
    if as_json:
        print_json(vars(fetched) | {"note": "" if known is None else known.note})
        return
    reused = "reused, " if fetched.reused else ""
    out.print(escape(f"{reused}{fetched.images} images in {fetched.classes} folders: {folder}"))
    if fetched.missing:
        out.print(f"[yellow]Note:[/] {escape(fetched.missing)} arrived; the source may have changed.")
    if known is not None and known.note:
        out.print(f"[yellow]Note:[/] {escape(known.note)}.")
    _say_next(folder, progress)


def _say_next(folder: Path, progress: TerminalProgress) -> None:
    from phytoscope.data.readers.import_labels import find_split_folders, import_image_folder, write_import

    if not find_split_folders(folder):
        out.print(f"Next: phytoscope inspect {escape(shlex.quote(str(folder)))}")
        return
    try:
        imported = import_image_folder(folder)
    finally:
        progress.finish()
    table = folder / "labels.csv"
    write_import(imported, table)
    _say_words(table, folder, list(imported.table.columns))


def _say_words(table: Path, images: Path, columns: list[str]) -> None:
    words = ["phytoscope inspect data=table", f"data.table={table}", f"data.images={images}"]
    words += [f"data.{key}={name}" for key, name in (("label", "label"), ("split.column", "split")) if name in columns]
    words += ["data.group_by=[cut_from]"] if "cut_from" in columns else []
    out.print(f"Table: {escape(str(table))}")
    out.print("Next:  " + escape(" ".join([words[0], *map(shlex.quote, words[1:])])))


def import_labels(
    kind: Annotated[str, typer.Argument(help="`imagefolder` (Hugging Face) or `coco`.", metavar="imagefolder|coco")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            callback=keep_here, help="The image folder, or one or several COCO annotation files.", metavar="PATH"
        ),
    ],
    images: Annotated[
        Path | None, typer.Option("--images", callback=keep_here, help="Folder of the images (coco).", metavar="DIR")
    ] = None,
    output: Annotated[
        Path | None,
        write_to("Table to write; `labels.csv` beside PATH when not given.", "FILE"),
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            "--crops",
            callback=keep_here,
            help="Cut every COCO box out into this folder: one picture and one row a box.",
            metavar="DIR",
        ),
    ] = None,
    max_megapixels: Annotated[float, typer.Option(min=0.01, help="Larger images are not cut.")] = 100.0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn COCO annotations or a Hugging Face image folder into the one table that every command reads.

    Examples:
        phytoscope data import imagefolder beans/
        phytoscope data import coco instances_train.json instances_val.json --images photos/ --crops boxes/
    """
    from phytoscope.data.readers.import_labels import import_coco, import_image_folder, write_import

    if kind not in ("imagefolder", "coco"):
        message = f"{kind!r} cannot be imported; choose imagefolder or coco."
        raise ConfigError(message)
    beside = paths[0] if kind == "imagefolder" else paths[0].parent
    table = resolve_path(str(output if output is not None else beside / "labels.csv"), "--output")
    if table.exists() and not overwrite:
        raise refuse_existing(table)
    progress = TerminalProgress()
    try:
        if kind == "imagefolder":
            if len(paths) > 1 or images is not None or crops is not None:
                message = "imagefolder takes one folder and neither --images nor --crops."
                raise ConfigError(message)
            imported = import_image_folder(paths[0])
        else:
            folder = images if images is not None else paths[0].parent
            imported = import_coco(
                paths,
                folder,
                crops=None if crops is None else resolve_path(str(crops), "--crops"),
                max_megapixels=max_megapixels,
                progress=progress,
            )
    finally:
        progress.finish()
    write_import(imported, table)
    if as_json:
        columns = list(imported.table.columns)
        counts = {"rows": len(imported.table), "columns": columns, "images": imported.images}
        print_json(counts | {"notes": imported.notes, "files": list_files(table=table)})
        return
    for note in imported.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}.")
    out.print(f"{len(imported.table)} rows")
    _say_words(table, imported.images, list(imported.table.columns))
