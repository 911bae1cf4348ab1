"""The commands that take data the whole way, and those that take one step."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.compose import Settings, compose
from phytoscope.cli.terminal import TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.schema.report import EvaluationReport
    from phytoscope.schema.run_folder import RunFolder


def start_run(settings: Sequence[str] | None, *, fresh: bool = False, step: str | None = None) -> "RunFolder":
    """Runs all steps, or one, and returns the folder of the run.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    config = compose(settings)
    # Importing torch takes seconds; wrong settings are answered before that.
    with err.status("Starting"):
        from phytoscope.steps import RunContext, choose_run_folder, run_all, run_step
    run = choose_run_folder(config, fresh=fresh)
    say(f"run folder: {run.root}")
    progress = TerminalProgress()
    context = RunContext(config, run, progress, say)
    try:
        if step is None:
            run_all(context)
        else:
            run_step(context, step)
    finally:
        progress.finish()
    return run


def report_result(run: "RunFolder") -> None:
    """Says how good the model is and where the report lies."""
    from phytoscope.steps import read_report

    report = read_report(run)
    out.print(_verdict(report))
    for sentence in _word_trust(report):
        out.print(escape(sentence))
    for warning in [*report.warnings, *_explain_refusal(report)]:
        out.print(f"[yellow]Note:[/] {escape(warning)}")
    out.print(f"Report:  {escape(str(run.report_page))}")


def _explain_refusal(report: "EvaluationReport") -> list[str]:
    """What could not be fitted or promised, where that may be why no answer is accepted."""
    from phytoscope.schema.verdict import Verdict

    if report.trust is None or report.trust.verdicts.shares.get(Verdict.accept.value, 0.0) > 0:
        return []
    return report.trust.remarks


def _word_trust(report: "EvaluationReport") -> list[str]:
    from phytoscope.predict.card_words import word_further
    from phytoscope.schema.table import Task
    from phytoscope.visualize.trust_words import word_verdicts

    sentences = []
    if report.trust is not None:
        verdicts = report.trust.verdicts
        is_share = report.task is Task.classification or verdicts.wanted_error is not None
        sentences += word_verdicts(verdicts, unit=report.unit, is_share=is_share)[:2]
    return [*sentences, *(word_further(further, report) for further in report.external if further.n > 0)]


def _verdict(report: "EvaluationReport") -> str:
    from phytoscope.visualize.figures import shown_split
    from phytoscope.visualize.verdict import word_verdict

    return escape(word_verdict(report, shown_split(report)))


def run(
    settings: Settings = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start a new run even if one with the same settings exists.")
    ] = False,
) -> None:
    """Take data the whole way: check, split, train, evaluate, package. Finished steps are reused.

    [bold]Examples[/]

    phytoscope run data=plantvillage data.root=DIR

    phytoscope run data=folder data.root=DIR model=resnet18

    phytoscope run data=table data.table=FILE data.images=DIR data.target=COLUMN data.unit=g data.group_by=plant_id

    phytoscope run data=farmbot_biomass data.root=DIR

    Interrupted? The same command continues. All of one run lies in one folder, runs/TIME-NAME or paths.run_dir=DIR.
    """
    folder = start_run(settings, fresh=fresh)
    report_result(folder)
    out.print(f"Package: {escape(str(folder.package))}")
    out.print(
        f"Next:    phytoscope predict {escape(shlex.quote(str(folder.package)))} IMAGE_OR_FOLDER --output answers.csv"
    )


def prepare(settings: Settings = None) -> None:
    """Read and check the data, list what cannot be used, draw the split."""
    folder = start_run(settings, step="prepare")
    out.print(f"Manifest: {escape(str(folder.manifest))}")
    out.print(f"Rejected: {escape(str(folder.rejected))}")
    out.print(f"Split:    {escape(str(folder.split))}")


def train(settings: Settings = None) -> None:
    """Train (paths.run_dir=DIR names a run whose data are prepared; else they are prepared first).

    [bold]Examples[/]

    phytoscope train data=plantvillage data.root=DIR adapt=norm

    phytoscope train paths.run_dir=DIR debug=profile

    With debug=profile the run stays as it is, and the folder profile in it says where the time goes.
    """
    folder = start_run(settings, step="train")
    if not folder.history.exists():
        # A training that was only profiled has said where its files are.
        return
    out.print(f"Checkpoints: {escape(str(folder.checkpoints))}\nHistory:     {escape(str(folder.history))}")


def evaluate(settings: Settings = None) -> None:
    r"""Predict val, calibration and test, judge the answers, and write the report (paths.run_dir=DIR names the run).

    [bold]Examples[/]

    phytoscope evaluate paths.run_dir=DIR evaluate.error_rate=0.02

    phytoscope evaluate paths.run_dir=DIR "evaluate.external=\[orchard=photos/orchard,not_a_leaf=photos/other]"

    Further sets are class folders, loose images or a table with the columns of the training data; where their classes
    are called otherwise, add "evaluate.class_map=\[FOLDER=CLASS]".
    """
    report_result(start_run(settings, step="evaluate"))
