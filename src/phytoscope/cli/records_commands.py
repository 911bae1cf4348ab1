"""`phytoscope records`: see, take out and delete what the service keeps of its answers."""

import datetime
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.terminal import err, out, print_table
from phytoscope.errors import ConfigError, require

if TYPE_CHECKING:
    from phytoscope.api.records.database import Database
    from phytoscope.api.records.deletion import Doomed
    from phytoscope.api.records.image_store import ImageStore
    from phytoscope.api.records.reading import Judged
    from phytoscope.api.records.stats import Share, StatRow

records_app = typer.Typer(
    help="See, take out and delete what the service keeps of its answers.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
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
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 168}
_OLDEST_HOURS = 36_500 * 24


@records_app.command("list")
def list_records(
    *,
    url: _Url = None,
    model: _Model = None,
    verdict: _Verdict = None,
    since: _Since = None,
    feedback_only: _Feedback = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Answers to show, the newest ones.")] = 20,
) -> None:
    """List the newest answers.

    [bold]Examples[/]

    phytoscope records list

    phytoscope records list --verdict review --since 2026-11-01 --limit 100
    """
    from phytoscope.api.records.reading import Wanted, list_newest

    found = list_newest(_open(url), Wanted(model, verdict, _read_time(since, "--since"), feedback_only), limit)
    table = Table(box=None, pad_edge=False)
    for title in ("answer", "at", "model", "answered", "verdict", "reasons", "true"):
        table.add_column(title)
    for judged in found:
        row = judged.prediction
        cells = (
            row["id"][:12],
            row["at"].strftime("%Y-%m-%d %H:%M:%S"),
            row["model_name"],
            _word_answer(judged),
            row["verdict"] or "",
            row["reasons"],
            _word_truth(judged),
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
) -> None:
    """Show everything that is kept of one answer, as JSON.

    [bold]Example[/]

    phytoscope records show 4f2a90
    """
    import json

    from phytoscope.api.records.reading import find_record

    judged = find_record(_open(url), name)
    store = _open_images(images)
    path = None if store is None else store.find(judged.prediction["image_sha256"])
    shown = judged.prediction | {
        "answer": json.loads(judged.prediction["answer"]),
        "image": None if path is None else str(path),
        "feedback": judged.feedback,
    }
    out.print(json.dumps(shown, indent=2, ensure_ascii=False, default=str), markup=False)


@records_app.command()
def export(
    output: Annotated[
        Path, typer.Argument(callback=keep_here, help="Table to write, .csv or .parquet.", metavar="FILE")
    ],
    *,
    url: _Url = None,
    model: _Model = None,
    verdict: _Verdict = None,
    since: _Since = None,
    feedback_only: _Feedback = False,
    target: Annotated[
        str | None, typer.Option("--target", help="Further number whose truth is written, of a model with several.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a table with one row an answer, and what turned out to be true of it.

    [bold]Examples[/]

    phytoscope records export answers.parquet

    phytoscope records export truth.csv --feedback-only

    phytoscope drift truth WATCH truth.csv --label label

    `image` is the SHA-256 of the file that was sent, `label` and `value` are the truth.
    """
    if output.exists() and not overwrite:
        message = f"the output {str(output)!r} exists: choose another name, or add --overwrite to replace it."
        raise ConfigError(message)
    database = _open(url)
    from phytoscope.api.records.export import export_records
    from phytoscope.api.records.reading import Wanted

    wanted = Wanted(model, verdict, _read_time(since, "--since"), feedback_only)
    count = export_records(database, wanted, output, target=target)
    out.print(escape(f"{count} answers: {output}"))


@records_app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of answers.", metavar="[ID]...")] = None,
    *,
    before: Annotated[
        str | None, typer.Option("--before", help="Delete answers given before this time, such as 2026-11-23.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all answers and photographs.")] = False,
    url: _Url = None,
    images: _Images = None,
    yes: _Yes = False,
) -> None:
    """Delete answers, the feedback on them and their photographs, so that nothing of them is left.

    [bold]Examples[/]

    phytoscope records delete 4f2a90c1d7e84b6ab0d3a35f8f2c9e10

    phytoscope records delete --before 2026-01-01 --images photographs

    phytoscope records delete --all --images photographs --yes

    Name the folder of photographs with --images where the service keeps them; copies of the database, such as backups,
    have to be deleted by yourself.
    """
    from phytoscope.api.records.deletion import Doomed

    database = _open(url)
    ids = tuple(_find_name(database, name) for name in names or ())
    _delete(database, _open_images(images), Doomed(ids, _read_time(before, "--before"), everything), yes=yes)


@records_app.command()
def purge(
    older_than: Annotated[str, typer.Option("--older-than", help="Age, such as 90d, 12h or 8w.")],
    *,
    url: _Url = None,
    images: _Images = None,
    yes: _Yes = False,
) -> None:
    """Delete what is older than so many hours, days or weeks; the service does the same with serve.retention_days.

    [bold]Example[/]

    phytoscope records purge --older-than 90d --images photographs --yes
    """
    from phytoscope.api.records.deletion import Doomed

    before = datetime.datetime.now(datetime.UTC) - _read_age(older_than)
    _delete(_open(url), _open_images(images), Doomed(before=before), yes=yes)


@records_app.command()
def stats(*, url: _Url = None, model: _Model = None, since: _Since = None) -> None:
    """Tell how often answers were right, by model and verdict, as far as somebody said what is true.

    [bold]Example[/]

    phytoscope records stats --since 2026-11-01

    In brackets is the range in which the share lies 95 times of 100: with few answers it is wide.
    """
    from phytoscope.api.records.reading import Wanted
    from phytoscope.api.records.stats import tell_stats

    rows = tell_stats(_open(url), Wanted(model, since=_read_time(since, "--since")))
    if not rows:
        out.print("No answer of this kind is kept.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("model", "verdict", "answered", "truth known", "right", "mean error", "truth in set or interval"):
        table.add_column(title, justify="left" if title in ("model", "verdict") else "right")
    for row in rows:
        table.add_row(*map(escape, _word_stats(row)))
    print_table(table)
    if not any(row.judged for row in rows):
        err.print("Nobody has said yet what is true of any answer: the web page and POST /v1/feedback take it.")


def _word_stats(row: "StatRow") -> tuple[str, ...]:
    name = f"{row.model_name} {row.model_id[:8]}" + (f", {row.target}" if row.target is not None else "")
    error = "" if row.mae is None else f"{row.mae:.4g} {row.unit}".strip()
    counts = f"{row.answered}", f"{row.judged}"
    return name, row.verdict, *counts, _word_share(row.right), error, _word_share(row.covered)


def _word_share(share: "Share") -> str:
    if share.total == 0:
        return ""
    low, high = share.range()
    return f"{share.hits}/{share.total} = {share.value:.0%} ({low:.0%} to {high:.0%})"


def _word_answer(judged: "Judged") -> str:
    row = judged.prediction
    if row["label"] is not None:
        return row["label"] if row["probability"] is None else f"{row['label']} ({row['probability']:.0%})"
    return "" if row["value"] is None else f"{row['value']:.4g} {row['unit']}".strip()


def _word_truth(judged: "Judged") -> str:
    words = []
    for target, truth in judged.newest.items():
        said = truth["label"] if truth["label"] is not None else f"{truth['value']:.4g}"
        words.append(said if target is None else f"{target}: {said}")
    return ", ".join(words)


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


def _delete(database: "Database", images: "ImageStore | None", doomed: "Doomed", *, yes: bool) -> None:
    from phytoscope.api.records.deletion import count_doomed, delete_records

    count = count_doomed(database, doomed)
    if not yes:
        if not _is_asked():
            message = f"{count} answers would be deleted for ever: add --yes, as nobody can be asked here."
            raise ConfigError(message)
        what = f"Delete {count} answers for ever" + ("" if images is None else ", and their photographs")
        if not typer.confirm(f"{what}?"):
            out.print("Nothing is deleted.")
            return
    gone = delete_records(database, images, doomed)
    out.print(f"Deleted: {gone.predictions} answers, {gone.feedback} feedbacks, {gone.images} photographs.")
    if images is None:
        err.print("Photographs, where the service keeps any, were left alone: name their folder with --images.")


def _is_asked() -> bool:
    return sys.stdin.isatty()


def _read_time(text: str | None, option: str) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{option} {text!r} is no time: write it like 2026-11-23 or 2026-11-23T18:30."
        raise ConfigError(message) from error
    # Without a zone the computer's own is meant.
    return found.astimezone()


def _read_age(text: str) -> datetime.timedelta:
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        message = f"--older-than {text!r} is no age: write a number and h, d or w, such as 90d."
        raise ConfigError(message)
    hours = float(found[1]) * _HOURS[found[2]]
    if hours > _OLDEST_HOURS:
        message = f"--older-than {text!r} is longer than a hundred years."
        raise ConfigError(message)
    return datetime.timedelta(hours=hours)
