"""What a run has come to, as the plain values that `--json` prints."""

from typing import TYPE_CHECKING, Any

from phytoscope.cli.json_output import list_files

if TYPE_CHECKING:
    from phytoscope.schema.report import EvaluationReport
    from phytoscope.schema.run_folder import RunFolder

_METRIC_KEYS = ("value", "unit", "low", "high", "higher_is_better")
_ABOUT = ("name", "task", "target_name", "unit", "model_id", "data_hash", "split_hash", "beats_baseline", "warnings")


def summarize_run(run: "RunFolder") -> dict[str, Any]:
    """How good the model of a run is, and where everything lies."""
    from phytoscope.steps import read_report

    report = read_report(run)
    summary: dict[str, Any] = {"run_dir": run.root} | {name: getattr(report, name) for name in _ABOUT}
    summary["splits"] = {name: summarize_split(report, name) for name in report.splits}
    # Shares 0-1 of the answers that can be acted on, that a person should see, and of which no use can be made.
    summary["verdict_shares"] = None if report.trust is None else report.trust.verdicts.shares
    return summary | {"files": list_run_files(run)}


def summarize_split(report: "EvaluationReport", name: str) -> dict[str, Any] | None:
    """The numbers of one split; None where the report has none of it."""
    part = report.splits.get(name)
    if part is None:
        return None
    metrics = {metric.name: {key: getattr(metric, key) for key in _METRIC_KEYS} for metric in part.metrics}
    return {"n": part.n, "n_groups": part.n_groups, "metrics": metrics}


def list_run_files(run: "RunFolder") -> dict[str, Any]:
    """Those files and folders of a run that are there by now."""
    return list_files(
        manifest=run.manifest,
        rejected=run.rejected,
        split=run.split,
        checkpoints=run.checkpoints,
        history=run.history,
        predictions=run.predictions,
        report=run.report,
        report_page=run.report_page,
        package=run.package,
    )
