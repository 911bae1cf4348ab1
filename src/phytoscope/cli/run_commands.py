"""The commands that take data the whole way, and those that take one step."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from phytoscope.cli.compose import Settings, compose
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.run_summary import list_run_files, summarize_run
from phytoscope.cli.terminal import TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.schema.report import EvaluationReport
    from phytoscope.schema.run_folder import RunFolder

Fresh = Annotated[bool, typer.Option("--fresh", help="Start a new run even if one with the same settings exists.")]


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


def run(settings: Settings = None, fresh: Fresh = False, as_json: AsJson = False) -> None:
    """Take data the whole way: check, split, train, evaluate, package. Finished steps are reused.

    Interrupted? The same command continues. All of one run lies in one folder, runs/TIME-NAME or paths.run_dir=DIR.

    Settings: data, model

    Examples:
        phytoscope run data=folder data.root=DIR model=resnet18
        phytoscope run data=table data.table=FILE data.images=DIR data.target=COLUMN data.unit=g data.group_by=plant_id
        phytoscope run data=plantvillage data.root=DIR
        phytoscope run data=farmbot_biomass data.root=DIR
    """
    folder = start_run(settings, fresh=fresh)
    if as_json:
        print_json(summarize_run(folder))
        return
    report_result(folder)
    out.print(f"Package: {escape(str(folder.package))}")
    out.print(
        f"Next:    phytoscope predict {escape(shlex.quote(str(folder.package)))} IMAGE_OR_FOLDER --output answers.csv"
    )


def prepare(settings: Settings = None, as_json: AsJson = False) -> None:
    """Read and check the data, list what cannot be used, draw the split.

    The first step of `phytoscope run`; `phytoscope train` with paths.run_dir=DIR goes on from there.

    Settings: data

    Examples:
        phytoscope prepare data=folder data.root=DIR
        phytoscope prepare data=table data.table=FILE data.images=DIR data.label=COLUMN --json
    """
    folder = start_run(settings, step="prepare")
    if as_json:
        print_json(_summarize_data(folder))
        return
    out.print(f"Manifest: {escape(str(folder.manifest))}")
    out.print(f"Rejected: {escape(str(folder.rejected))}")
    out.print(f"Split:    {escape(str(folder.split))}")


def _summarize_data(folder: "RunFolder") -> dict[str, Any]:
    import pandas as pd

    from phytoscope.schema.table import SPLIT

    splits = pd.read_parquet(folder.split)[SPLIT].astype(str).value_counts().to_dict()
    counts = {"images": len(pd.read_parquet(folder.manifest)), "rejected": len(pd.read_csv(folder.rejected))}
    return {"run_dir": folder.root, **counts, "splits": splits, "files": list_run_files(folder)}


def train(settings: Settings = None, as_json: AsJson = False) -> None:
    """Train (paths.run_dir=DIR names a run whose data are prepared; else they are prepared first).

    With debug=profile the run stays as it is, and the folder profile in it says where the time goes.

    Settings: model, adapt, trainer

    Examples:
        phytoscope train data=plantvillage data.root=DIR adapt=norm
        phytoscope train paths.run_dir=DIR trainer.max_epochs=30
        phytoscope train paths.run_dir=DIR debug=profile
    """
    folder = start_run(settings, step="train")
    if as_json:
        print_json({"run_dir": folder.root, "epochs": _count_epochs(folder), "files": list_run_files(folder)})
        return
    if not folder.history.exists():
        # A training that was only profiled has said where its files are.
        return
    out.print(f"Checkpoints: {escape(str(folder.checkpoints))}\nHistory:     {escape(str(folder.history))}")


def _count_epochs(folder: "RunFolder") -> int:
    import pandas as pd

    return len(pd.read_csv(folder.history)) if folder.history.exists() else 0


def evaluate(settings: Settings = None, as_json: AsJson = False) -> None:
    """Predict val, calibration and test, judge the answers, and write the report (paths.run_dir=DIR names the run).

    Further sets are class folders, loose images or a table with the columns of the training data; where their classes
    are called otherwise, add "evaluate.class_map=[FOLDER=CLASS]".

    Settings: evaluate

    Examples:
        phytoscope evaluate paths.run_dir=DIR evaluate.error_rate=0.02
        phytoscope evaluate paths.run_dir=DIR "evaluate.external=[orchard=photos/orchard,not_a_leaf=photos/other]"
    """
    folder = start_run(settings, step="evaluate")
    if as_json:
        print_json(summarize_run(folder))
        return
    report_result(folder)
