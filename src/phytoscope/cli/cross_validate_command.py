"""`phytoscope cross-validate`: how good is it on plants it never saw, over all of them?"""

import shlex
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from phytoscope.cli.compose import Settings, compose
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.run_commands import Fresh
from phytoscope.cli.run_summary import summarize_split
from phytoscope.cli.terminal import TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.steps.cross_validate import CrossValidation


def cross_validate(
    settings: Settings = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Train one network a fold, predict each image by one that never saw its plant, and pack all of them together.

    The test split has no part in it, until the networks are evaluated together. Interrupted? The same command
    continues; finished folds are kept.

    Examples:
        phytoscope cross-validate data=plantvillage data.root=DIR
        phytoscope cross-validate data=table data.table=FILE data.images=DIR data.target=COLUMN data.group_by=plant_id
    """
    config = compose(settings)
    with err.status("Starting"):
        from phytoscope.steps import RunContext, choose_run_folder
        from phytoscope.steps.cross_validate import cross_validate as work
    run = choose_run_folder(config, fresh=fresh)
    say(f"run folder: {run.root}")
    progress = TerminalProgress()
    try:
        result = work(RunContext(config, run, progress, say))
    finally:
        progress.finish()
    folder = result.folder
    if as_json:
        places = {"predictions": folder.predictions, "metrics": folder.metrics, "package": folder.ensemble.package}
        summary = {"run_dir": run.root, "n_folds": result.n_folds, "metrics": result.metrics.to_dict("records")}
        report = result.report
        print_json(
            summary
            | {
                "test": None if report is None else summarize_split(report, "test"),
                "warnings": [] if report is None else report.warnings,
                "files": list_files(**places),
            }
        )
        return
    _show(result)
    out.print(f"\nPredictions: {escape(str(folder.predictions))}")
    out.print(f"Metrics:     {escape(str(folder.metrics))}")
    out.print(f"Package:     {escape(str(folder.ensemble.package))}")
    package = escape(shlex.quote(str(folder.ensemble.package)))
    out.print(f"Next:        phytoscope predict {package} IMAGE_OR_FOLDER --output answers.csv")


def _show(result: "CrossValidation") -> None:
    out.print(f"\n[bold]{result.n_folds} folds[/], each predicted by a network that never saw its groups")
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "mean", "spread over folds", "all at once"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for row in result.metrics.to_dict("records"):
        name = f"{row['metric']} ({row['unit']})" if row["unit"] else str(row["metric"])
        table.add_row(escape(name), *(_word(row[key]) for key in ("mean", "sd", "pooled")))
    out.print(table)
    if result.report is None:
        return
    from phytoscope.visualize.verdict import word_verdict

    out.print(f"\n[bold]All {result.n_folds} networks together, on test[/]")
    out.print(escape(word_verdict(result.report, "test")))
    for warning in result.report.warnings:
        out.print(f"[yellow]Note:[/] {escape(warning)}")


def _word(value: float) -> str:
    return "-" if value != value else f"{value:.4g}"  # noqa: PLR0124 (only NaN differs from itself)
