"""`phytoscope records`: see, take out and delete what the service keeps of its answers."""

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import Overwrite, refuse_existing
from phytoscope.cli.records_words import (
    describe_answer,
    describe_stats,
    read_age,
    read_time,
    word_answer,
    word_stats,
    word_truth,
)
from phytoscope.cli.terminal import err, out, print_table
from phytoscope.errors import ConfigError, require

if TYPE_CHECKING:
    from phytoscope.api.records.database import Database
    from phytoscope.api.records.deletion import Deleted, Doomed
    from phytoscope.api.records.image_store import ImageStore

_HELP = """See, take out and delete what the service keeps of its answers.

Examples:
    phytoscope records list --verdict review
    phytoscope records stats
    phytoscope records export --output answers.parquet
"""
records_app = CommandApp(help=_HELP)
_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="PHYTOSCOPE_RECORDS_URL",
        help="Database of the service (serve.records_url): sqlite:///FILE or postgresql://...; else your own records.",
    ),
]
_Images = Annotated[
    Path | None,
    typer.Option(
        "--images", callback=keep_here, help="Folder of photographs of the service (serve.keep_images).", metavar="DIR"
    ),
]
_Model = Annotated[str | None, typer.Option("--model", help="Answers of this model only: its name or its id.")]
_Verdict = Annotated[
    str | None, typer.Option("--verdict", help="Answers with this verdict only: accept, review or reject.")
]
_Since = Annotated[str | None, typer.Option("--since", help="Answers from this time on, such as 2026-11-23.")]
_Feedback = Annotated[bool, typer.Option("--feedback-only", help="Only answers of which somebody said what is true.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@records_app.command("list")
def list_records(
    *,
    url: _Url = None,
    model: _Model = None,
    verdict: _Verdict = None,
    since: _Since = None,
    feedback_only: _Feedback = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Answers to show, the newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest answers.

    Examples:
        phytoscope records list
        phytoscope records list --verdict review --since 2026-11-01 --limit 100
    """
    from phytoscope.api.records.reading import Wanted, list_newest

    found = list_newest(_open(url), Wanted(model, verdict, read_time(since, "--since"), feedback_only), limit)
    if as_json:
        print_json({"answers": [describe_answer(judged) for judged in found]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("answer", "at", "model", "answered", "verdict", "reasons", "true"):
        table.add_column(title)
    for judged in found:
        row = judged.prediction
        cells = (
            row["id"][:12],
            row["at"].strftime("%Y-%m-%d %H:%M:%S"),
            row["model_name"],
            word_answer(judged),
            row["verdict"] or "",
            row["reasons"],
            word_truth(judged),
        )
        table.add_row(*map(escape, cells))
    if found:
        print_table(table)
    else:
        out.print("No answer of this kind is kept.")


@records_app.command()
def show(
    name: Annotated[str, typer.Argument(help="The answer's name, or its first 6 digits or more.", metavar="ID")],
    *,
    url: _Url = None,
    images: _Images = None,
    as_json: AsJson = False,  # noqa: ARG001 (there are no other words)
) -> None:
    """Show everything that is kept of one answer, as JSON.

    Examples:
        phytoscope records show 4f2a90
    """
    from phytoscope.api.records.reading import find_record

    judged = find_record(_open(url), name)
    store = _open_images(images)
    path = None if store is None else store.find(judged.prediction["image_sha256"])
    print_json(describe_answer(judged) | {"image": path})


@records_app.command()
def export(  # noqa: PLR0913 (one for each option)
    file: Annotated[
        Path | None, typer.Argument(callback=keep_here, help="The older way to name it.", metavar="FILE", hidden=True)
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            callback=keep_here,
            help="Table to write, .csv or .parquet.",
            metavar="FILE",
            show_default="required",
        ),
    ] = None,
    url: _Url = None,
    model: _Model = None,
    verdict: _Verdict = None,
    since: _Since = None,
    feedback_only: _Feedback = False,
    target: Annotated[
        str | None, typer.Option("--target", help="Further number whose truth is written, of a model with several.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a table with one row an answer, and what turned out to be true of it.

    `image` is the SHA-256 of the file that was sent, `label` and `value` are the truth.

    Examples:
        phytoscope records export --output answers.parquet
        phytoscope records export --output truth.csv --feedback-only
        phytoscope drift truth WATCH truth.csv --label label
    """
    place = _choose_output(file, output, overwrite=overwrite)
    database = _open(url)
    from phytoscope.api.records.export import export_records
    from phytoscope.api.records.reading import Wanted

    wanted = Wanted(model, verdict, read_time(since, "--since"), feedback_only)
    count = export_records(database, wanted, place, target=target)
    if as_json:
        print_json({"answers": count, "output": place})
        return
    out.print(escape(f"{count} answers: {place}"))


def _choose_output(file: Path | None, output: Path | None, *, overwrite: bool) -> Path:
    named = [place for place in (file, output) if place is not None]
    if len(named) != 1:
        message = f"{len(named)} tables to write are named: name one, --output answers.parquet or --output answers.csv."
        raise ConfigError(message)
    if named[0].exists() and not overwrite:
        raise refuse_existing(named[0])
    return named[0]


@records_app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of answers.", metavar="ID")] = None,
    *,
    before: Annotated[
        str | None, typer.Option("--before", help="Delete answers given before this time, such as 2026-11-23.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all answers and photographs.")] = False,
    url: _Url = None,
    images: _Images = None,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete answers, the feedback on them and their photographs, so that nothing of them is left.

    Name the folder of photographs with --images where the service keeps them; copies of the database, such as backups,
    have to be deleted by yourself.

    Examples:
        phytoscope records delete 4f2a90c1d7e84b6ab0d3a35f8f2c9e10
        phytoscope records delete --before 2026-01-01 --images photographs
        phytoscope records delete --all --images photographs --yes
    """
    from phytoscope.api.records.deletion import Doomed

    database = _open(url)
    ids = tuple(_find_name(database, name) for name in names or ())
    doomed = Doomed(ids, read_time(before, "--before"), everything)
    _tell_deleted(_delete(database, _open_images(images), doomed, yes=yes), as_json=as_json, images=images)


@records_app.command()
def purge(
    older_than: Annotated[str, typer.Option("--older-than", help="Age, such as 90d, 12h or 8w.", metavar="AGE")],
    *,
    url: _Url = None,
    images: _Images = None,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is older than so many hours, days or weeks; the service does the same with serve.retention_days.

    Examples:
        phytoscope records purge --older-than 90d --images photographs --yes
    """
    from phytoscope.api.records.deletion import Doomed

    before = datetime.datetime.now(datetime.UTC) - read_age(older_than)
    gone = _delete(_open(url), _open_images(images), Doomed(before=before), yes=yes)
    _tell_deleted(gone, as_json=as_json, images=images)


@records_app.command()
def stats(*, url: _Url = None, model: _Model = None, since: _Since = None, as_json: AsJson = False) -> None:
    """Tell how often answers were right, by model and verdict, as far as somebody said what is true.

    In brackets is the range in which the share lies 95 times of 100: with few answers it is wide.

    Examples:
        phytoscope records stats --since 2026-11-01
        phytoscope records stats --model leaf-diseases --json
    """
    from phytoscope.api.records.reading import Wanted
    from phytoscope.api.records.stats import tell_stats

    rows = tell_stats(_open(url), Wanted(model, since=read_time(since, "--since")))
    if as_json:
        print_json({"rows": [describe_stats(row) for row in rows]})
        return
    if not rows:
        out.print("No answer of this kind is kept.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("model", "verdict", "answered", "truth known", "right", "mean error", "truth in set or interval"):
        table.add_column(title, justify="left" if title in ("model", "verdict") else "right")
    for row in rows:
        table.add_row(*map(escape, word_stats(row)))
    print_table(table)
    if not any(row.judged for row in rows):
        err.print("Nobody has said yet what is true of any answer: the web page and POST /v1/feedback take it.")


def _open(url: str | None) -> "Database":
    require("alembic")
    from phytoscope.api.records.address import find_default_url
    from phytoscope.api.records.database import Database

    database = Database(find_default_url() if url is None else url, "--url")
    database.attach()
    return database


def _open_images(folder: Path | None) -> "ImageStore | None":
    from phytoscope.api.records.image_store import ImageStore

    if folder is None:
        return None
    if not folder.is_dir():
        message = f"--images {str(folder)!r} is no folder: name the one of serve.keep_images."
        raise ConfigError(message)
    return ImageStore(folder)


def _find_name(database: "Database", name: str) -> str:
    from phytoscope.api.records.reading import find_record

    found: str = find_record(database, name).prediction["id"]
    return found


def _delete(database: "Database", images: "ImageStore | None", doomed: "Doomed", *, yes: bool) -> "Deleted | None":
    """Deletes answers; None when the user was asked and did not want it."""
    from phytoscope.api.records.deletion import count_doomed, delete_records

    count = count_doomed(database, doomed)
    if not yes:
        if not _is_asked():
            message = f"{count} answers would be deleted for ever: add --yes, as nobody can be asked here."
            raise ConfigError(message)
        what = f"Delete {count} answers for ever" + ("" if images is None else ", and their photographs")
        if not typer.confirm(f"{what}?"):
            return None
    return delete_records(database, images, doomed)


def _tell_deleted(gone: "Deleted | None", *, as_json: bool, images: Path | None) -> None:
    if as_json:
        none = {"predictions": 0, "feedback": 0, "images": 0}
        print_json(none if gone is None else vars(gone))
        return
    if gone is None:
        out.print("Nothing is deleted.")
        return
    out.print(f"Deleted: {gone.predictions} answers, {gone.feedback} feedbacks, {gone.images} photographs.")
    if images is None:
        err.print("Photographs, where the service keeps any, were left alone: name their folder with --images.")


def _is_asked() -> bool:
    return sys.stdin.isatty()
