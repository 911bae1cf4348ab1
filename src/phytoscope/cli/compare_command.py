"""`phytoscope compare`: which of two models is better, by how much, and how sure that is."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.addresses import read_here
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import write_to
from phytoscope.cli.terminal import err, out
from phytoscope.schema.table import Split

if TYPE_CHECKING:
    from phytoscope.schema.comparison import Comparison

_SHOWN_PLACES = 8


class ComparedSplit(StrEnum):
    """Splits of which a run holds predictions."""

    val = "val"
    calibration = "calibration"
    test = "test"


def compare(  # noqa: PLR0913 (one for each option)
    first: Annotated[
        Path,
        typer.Argument(callback=read_here, help="Folder of a run, or its predictions.parquet.", metavar="A"),
    ],
    second: Annotated[Path, typer.Argument(callback=read_here, help="The other run.", metavar="B")],
    *,
    split: Annotated[ComparedSplit, typer.Option("--split", help="Which photographs.")] = ComparedSplit.test,
    output: Annotated[
        Path | None,
        write_to("Folder for comparison.html, comparison.json and disagreements.csv.", "DIR"),
    ] = None,
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="Column by which to ask who wins where; may be repeated.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Draws of groups behind each interval; 0 leaves intervals out.")
    ] = 1000,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Level of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two models on the same photographs: who is better, by how much, and who wins where.

    Photographs are matched by their name, and only those in the chosen split of both runs are compared. The interval
    comes from drawing whole plants or leaves, the same ones for both models: where it holds 0, no difference can be
    told. The exit code is 0 whichever is better.

    Examples:
        phytoscope compare runs/TIME-plain runs/TIME-field_ready
        phytoscope compare runs/A runs/B --output comparison --slice camera
    """
    with err.status("Comparing"):
        from phytoscope.evaluate.bootstrap import BootstrapPlan
        from phytoscope.steps.compare import PAGE_FILE, CompareRequest, compare_runs
        from phytoscope.visualize.compare_words import word_basis, word_counts, word_summary

        comparison = compare_runs(
            CompareRequest(
                first=first,
                second=second,
                split=Split(split.value),
                plan=BootstrapPlan(bootstrap, confidence, seed),
                slices=tuple(slices or ()),
                output=output,
            )
        )
    if as_json:
        page = None if output is None else output / PAGE_FILE
        print_json(comparison.to_dict() | {"summary": word_summary(comparison), "files": list_files(page=page)})
        return
    out.print(escape(word_summary(comparison)), style="bold")
    out.print(escape(f"Compared: {word_basis(comparison)}"))
    out.print(escape(word_counts(comparison)))
    out.print(_tabulate(comparison))
    for line in _list_places(comparison):
        out.print(escape(line))
    for warning in comparison.warnings:
        out.print(f"[yellow]Note:[/] {escape(warning)}")
    if output is not None:
        out.print(f"Page:    {escape(str(output / PAGE_FILE))}")


def _tabulate(comparison: "Comparison") -> Table:
    from phytoscope.visualize.compare_words import format_amount, format_span, format_value, name_winner
    from phytoscope.visualize.words import title_metric

    table = Table(title_justify="left")
    table.add_column("")
    for heading in (comparison.first_name, comparison.second_name, "difference", "interval"):
        table.add_column(escape(heading), justify="right")
    table.add_column("better")
    for metric in comparison.metrics:
        cells = (
            title_metric(metric.name),
            format_value(metric, metric.first),
            format_value(metric, metric.second),
            format_amount(metric, metric.difference),
            format_span(metric, metric.low, metric.high),
            name_winner(comparison, metric.winner) or "cannot be told",
        )
        table.add_row(*map(escape, cells))
    return table


def _list_places(comparison: "Comparison") -> list[str]:
    from phytoscope.schema.comparison import Winner
    from phytoscope.visualize.compare_words import find_place_metric, format_value, name_winner, title_place

    metric = find_place_metric(comparison)
    clear = [place for place in comparison.places if place.winner is not Winner.unclear]
    clear.sort(key=lambda place: -abs(place.second - place.first))
    lines = [
        f"{name_winner(comparison, place.winner)} is clearly better on {title_place(place)}: "
        f"{format_value(metric, place.first)} ({comparison.first_name}) and {format_value(metric, place.second)} "
        f"({comparison.second_name}) on {place.n:,} photographs"
        for place in clear[:_SHOWN_PLACES]
    ]
    if len(clear) > _SHOWN_PLACES:
        lines.append(f"... and in {len(clear) - _SHOWN_PLACES} more parts: see --output")
    return lines
