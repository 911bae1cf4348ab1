"""`phytoscope drift`: whether new photographs, and the answers, are still like those the model was measured on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import BatchSize, Uri
from phytoscope.cli.terminal import EXIT_FINDINGS, TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.schema.drift import DriftReport
    from phytoscope.steps.drift import DriftLook
    from phytoscope.steps.drift_truth import TruthAdded

_HELP = """Watch whether new photographs are still like those the model was measured on.

Examples:
    phytoscope drift look runs/TIME-NAME/package incoming/ --monitor watch
    phytoscope drift show watch
"""
drift_app = CommandApp(help=_HELP)
_SHOWN_UNREADABLE = 3
_SHOWN_NEAREST = 3


@drift_app.command("look")
def look(  # noqa: PLR0913 (one for each option)
    model: Annotated[
        str,
        typer.Argument(help="Package (folder or .phyto file), or models:/NAME@champion.", metavar="PACKAGE"),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            callback=keep_here, help="New photographs: folders, files, or a table that names them.", metavar="PATH"
        ),
    ],
    monitor: Annotated[
        Path,
        typer.Option(
            "--monitor", "-m", callback=keep_here, help="Folder in which this model is watched.", metavar="DIR"
        ),
    ],
    *,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            callback=keep_here,
            help="Table with file names, groups, and what the model sees beside the image.",
            metavar="FILE",
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            "--group-by", help="Column that names the plant or leaf of a photograph; may be repeated.", metavar="COLUMN"
        ),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option("--group-pattern", help="Regular expression that finds it in the path."),
    ] = None,
    false_alarm: Annotated[
        float | None,
        typer.Option("--false-alarm", help="Chance of ever crying wolf over all looks together; 0.05 when not given."),
    ] = None,
    min_images: Annotated[int, typer.Option("--min-images", min=2, help="Fewer new photographs wait for more.")] = 20,
    max_images: Annotated[
        int, typer.Option("--max-images", min=0, help="Photographs that are compared, drawn by group; 0 for all.")
    ] = 1000,
    draws: Annotated[int, typer.Option(min=99, help="Permutations behind each significance.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    uri: Uri = None,
    batch_size: BatchSize = 32,
    as_json: AsJson = False,
) -> None:
    """Answer for new photographs and say whether they have changed.

    Call it as often as you like, for example every night: photographs of earlier looks are not counted twice, and the
    chance of a false alarm is that of all looks together. Say which photographs show one plant or leaf (--group-by or
    --group-pattern): ten photographs of one plant are not ten plants.

    The exit code is 0 when nothing has changed or too few photographs are new, 3 when something has changed.

    Examples:
        phytoscope drift look runs/TIME-NAME/package incoming/ --monitor watch
        phytoscope drift look models:/leaves@champion incoming/ --monitor watch --table plants.csv --group-by plant
    """
    with err.status("Loading"):
        from phytoscope.schema.operate import MonitorConfig
        from phytoscope.steps.drift import DriftRequest, look_for_drift
        from phytoscope.steps.model_source import resolve_package

        package = resolve_package(model, uri)
    settings = MonitorConfig(
        false_alarm=_choose_false_alarm(false_alarm, monitor),
        max_images=max_images if max_images > 0 else None,
        min_images=min_images,
        draws=draws,
    )
    progress = TerminalProgress()
    try:
        found = look_for_drift(
            DriftRequest(
                package,
                list(images),
                monitor,
                settings,
                table=table,
                group_by=list(group_by or ()),
                group_pattern=group_pattern,
                seed=seed,
                batch_size=batch_size,
                progress=progress,
                say=say,
            )
        )
    finally:
        progress.finish()
    if as_json:
        names = ("n_own", "n_waiting", "n_unreadable", "folder")
        print_json(_describe(found) | {name: getattr(found, name) for name in names})
    else:
        _report_look(found)
    if found.fired:
        raise typer.Exit(EXIT_FINDINGS)


def _choose_false_alarm(given: float | None, monitor: Path) -> float:
    from phytoscope.schema.operate import MonitorConfig
    from phytoscope.steps.drift_folder import MonitorFolder

    if given is not None:
        return given
    folder = MonitorFolder(monitor)
    return folder.read_watched().false_alarm if folder.about.is_file() else MonitorConfig().false_alarm


def _describe(found: "DriftLook | TruthAdded") -> dict[str, Any]:
    report = found.report
    return {
        "summary": found.sentence,
        "fired": report is not None and report.fired,
        "n_new": found.n_new,
        "n_known": found.n_known,
        "report": report,
        "page": found.page,
    }


def _report_look(found: "DriftLook") -> None:
    counts = [f"{found.n_new} new"]
    if found.n_known:
        counts.append(f"{found.n_known} seen before")
    if found.unreadable:
        counts.append(f"{len(found.unreadable)} cannot be read")
    out.print(escape(f"Photographs: {', '.join(counts)}"))
    for path, reason in found.unreadable[:_SHOWN_UNREADABLE]:
        err.print(escape(f"  {path}: {reason}"))
    if len(found.unreadable) > _SHOWN_UNREADABLE:
        err.print(f"  ... and {len(found.unreadable) - _SHOWN_UNREADABLE} more")
    out.print(escape(found.sentence), style="bold")
    if found.report is not None:
        _print_findings(found.report)
    if found.page is not None:
        out.print(f"Page:  {escape(str(found.page))}")


def _print_findings(report: "DriftReport") -> None:
    from phytoscope.visualize.drift_words import format_chance, list_changes, title_finding, title_window, word_promise

    # The page shows all of them; here stands what has changed, else what came nearest to it.
    for finding in list_changes(report) or report.findings[:_SHOWN_NEAREST]:
        word = "changed" if finding.fired else "nearest"
        chance = f"chance {format_chance(finding.p_value)}, counts below {format_chance(finding.threshold)}"
        effect = finding.effect or title_finding(finding)
        line = f"  {word} ({title_window(finding.window)}): {effect}; {chance}"
        out.print(escape(line))
    for reason in report.reasons:
        out.print(f"[yellow]Note:[/] {escape(reason)}")
    out.print(escape(word_promise(report)))


@drift_app.command("truth")
def truth(  # noqa: PLR0913 (one for each option)
    monitor: Annotated[
        Path, typer.Argument(callback=keep_here, help="Folder in which the model is watched.", metavar="DIR")
    ],
    table: Annotated[
        Path,
        typer.Argument(
            callback=keep_here, help="Table with file names and what turned out to be true.", metavar="TABLE"
        ),
    ],
    *,
    label: Annotated[str | None, typer.Option("--label", help="Column with the true class.", metavar="COLUMN")] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Column with the true value.", metavar="COLUMN")
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option("--image-column", help="Column with file names, or SHA-256 of the files.", metavar="COLUMN"),
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="Unit of the numbers, where the column's name lacks it.")] = "",
    draws: Annotated[int, typer.Option(min=99, help="Permutations behind the significance.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Add what turned out to be true of answered photographs, and see the errors over time.

    Rows are matched by the file names that the photographs had when they were answered. The same table may be given
    again when it has grown. The exit code is 3 when the answers have become worse, else 0.

    Examples:
        phytoscope drift truth watch labels.csv --label disease
        phytoscope drift truth watch weighed.xlsx --target "fresh weight (g)"
    """
    from phytoscope.errors import ConfigError

    if label is not None and target is not None:
        message = "--label is for classes and --target for numbers: give the one that the model answers with."
        raise ConfigError(message)
    with err.status("Measuring"):
        from phytoscope.schema.table import Task
        from phytoscope.steps.drift_folder import MonitorFolder
        from phytoscope.steps.drift_truth import TruthRequest, add_truth

        task = MonitorFolder(monitor).read_watched().task
        wrong = target if task is Task.classification else label
        if wrong is not None:
            right = "--label" if task is Task.classification else "--target"
            message = f"the model in {str(monitor)!r} is for {task.value}: give the column {wrong!r} with {right}."
            raise ConfigError(message)
        found = add_truth(
            TruthRequest(monitor, table, label or target, image_column, unit, draws=draws, seed=seed, say=say)
        )
    if as_json:
        print_json(_describe(found) | {"n_changed": found.n_changed, "n_unmatched": found.n_unmatched})
    else:
        _report_truth(found)
    if found.report is not None and found.report.fired:
        raise typer.Exit(EXIT_FINDINGS)


def _report_truth(found: "TruthAdded") -> None:
    counts = f"{found.n_new} new, {found.n_changed} changed, {found.n_known} known before"
    out.print(escape(f"Truth of photographs: {counts}; {found.n_unmatched} rows are about no answered photograph"))
    out.print(escape(found.sentence), style="bold")
    for reason in () if found.report is None else found.report.reasons:
        out.print(f"[yellow]Note:[/] {escape(reason)}")
    if found.page is not None:
        out.print(f"Page:  {escape(str(found.page))}")


@drift_app.command("show")
def show(
    monitor: Annotated[
        Path, typer.Argument(callback=keep_here, help="Folder in which the model is watched.", metavar="DIR")
    ],
    as_json: AsJson = False,
) -> None:
    """Say what all looks found, and draw the page anew.

    Examples:
        phytoscope drift show watch
        phytoscope drift show watch --json
    """
    with err.status("Reading"):
        from phytoscope.steps.drift_show import show_monitor
        from phytoscope.visualize.drift_words import word_effects

        shown = show_monitor(monitor)
    if as_json:
        about = {name: getattr(shown.watched, name) for name in ("name", "model_id", "began_at")}
        print_json(about | {"summary": " ".join(shown.sentences), "looks": shown.reports, "page": shown.page})
        return
    out.print(escape(f"{shown.watched.name} ({shown.watched.model_id}), watched since {shown.watched.began_at}"))
    table = Table()
    for heading in ("look", "when", "photographs", "groups"):
        table.add_column(heading, justify="left" if heading == "when" else "right")
    table.add_column("found")
    for report in shown.reports:
        found = word_effects(report) if report.fired else "no change"
        table.add_row(
            str(report.look),
            escape(report.time[:16].replace("T", " ")),
            f"{report.n:,}",
            f"{report.n_groups:,}",
            escape(found),
        )
    if shown.reports:
        out.print(table)
    for sentence in shown.sentences:
        out.print(escape(sentence), style="bold")
    if shown.page is not None:
        out.print(f"Page:  {escape(str(shown.page))}")
