"""What each step tells the trackers of a run: settings, data, numbers and files."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from phytoscope import __version__
from phytoscope.schema.artifact import hash_content, hash_file, read_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.events import EventKind, EventLog, Journal, RunKind
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import SPLIT, Task
from phytoscope.schema.trust_report import TrustReport
from phytoscope.steps.context import RunContext, plain_settings, read_report
from phytoscope.steps.prepared import PreparedData
from phytoscope.track.system import SystemSampler

TABLES, REPORT, FIGURES = "tables", "report", "figures"
"""Folders of a tracker that the files of a run go to."""
_EPOCH = "epoch"
_WORDS = {
    RunKind.run: "",
    RunKind.sweep: "sweep",
    RunKind.trial: "trial {}",
    RunKind.cross_validation: "cross-validation",
    RunKind.fold: "fold {}",
    RunKind.ensemble: "ensemble",
}
_STEP_MARK = "phytoscope.step."


@contextlib.contextmanager
def training_told(context: RunContext, config: RunConfig, prepared: PreparedData, inputs: str) -> Iterator[None]:
    """Begins the tracked run of a training, and watches the machine while it goes on.

    Args:
        context: Settings, folder and journal.
        config: The same settings with the lengths filled in that were left open.
        prepared: The data.
        inputs: Hash of all that the weights depend on: the same hash is the same run.

    Raises:
        PhytoscopeError: Whatever the training raises.
    """
    _begin(context, config, prepared, inputs, context.run_kind)
    with SystemSampler(context.journal, config.track.system_seconds):
        yield


def tell_training(context: RunContext, prepared: PreparedData) -> None:
    """Tells of a finished training what is not told yet.

    Args:
        context: Settings, folder and journal.
        prepared: The data.
    """

    def tell() -> None:
        run, journal = context.run, context.journal
        about = read_json(run.model)
        for step, row in enumerate(pd.read_csv(run.history).to_dict("records")):
            values = {str(name): float(value) for name, value in row.items() if name != _EPOCH and pd.notna(value)}
            journal.metrics(values, step=int(row.get(_EPOCH, step)))
        journal.tags({"phytoscope.mode": str(about.get("mode")), "phytoscope.weights": str(about["weights_origin"])})
        for path in (run.config, run.history, run.rejected, run.warnings, run.split):
            if path.exists():
                journal.artifact(path, TABLES)

    _tell_once(context, "train", prepared, tell)


def tell_evaluation(context: RunContext, prepared: PreparedData) -> None:
    """Tells of a finished evaluation what is not told yet.

    Args:
        context: Settings, folder and journal.
        prepared: The data.
    """

    def tell() -> None:
        run, journal = context.run, context.journal
        report = read_report(run)
        journal.params(flatten_settings({"evaluate": plain_settings(context.config)["evaluate"]}))
        journal.metrics(name_results(report), step=_find_step(journal))
        journal.tags({"phytoscope.model_id": report.model_id})
        for path, folder in (
            *((path, TABLES) for path in (run.predictions, run.answers, run.report)),
            (run.report_page, REPORT),
            (run.figures, FIGURES),
        ):
            if path.exists():
                journal.artifact(path, folder)

    _tell_once(context, "evaluate", prepared, tell)


def tell_package(context: RunContext, prepared: PreparedData) -> None:
    """Tells of a finished package, unless that was told.

    Args:
        context: Settings, folder and journal.
        prepared: The data.
    """
    # A package that was made again from the same holds another time, and the registry asks for the very same files.
    content = hash_file(context.run.package / "package.json")
    _tell_once(context, "package", prepared, lambda: context.journal.package(context.run.package), content)


def begin_parent(context: RunContext, config: RunConfig, prepared: PreparedData, kind: RunKind) -> None:
    """Begins the tracked run that folds or trials belong to.

    Args:
        context: Folder and journal of the parent.
        config: Its settings.
        prepared: The data.
        kind: A sweep or a cross-validation.
    """
    settings = plain_settings(config)
    asked = {key: settings[key] for key in ("data", "model", "adapt", "task", "trainer", "sweep", "seed")}
    _begin(context, config, prepared, hash_content([kind.value, prepared.data_hash, prepared.split_hash, asked]), kind)


def tell_fold(context: RunContext, prepared: PreparedData, metrics: list[MetricValue]) -> None:
    """Tells how the network of a fold did on the groups it never saw, as `test/<metric>` of the fold.

    Args:
        context: Settings, folder and journal of the fold.
        prepared: The data as the fold sees them.
        metrics: What was measured.
    """

    def tell() -> None:
        named = {name: value for name, value in _name("test", metrics).items() if value is not None}
        context.journal.metrics(named, step=_find_step(context.journal))
        context.journal.artifact(context.run.predictions, TABLES)

    _tell_once(context, "evaluate", prepared, tell)


def tell_folds(journal: Journal, path: Path, metrics: pd.DataFrame) -> None:
    """Tells what all folds together say, as `folds/<metric>` (mean), `folds/<metric>_sd` and `pooled/<metric>`.

    Args:
        journal: Journal of the cross-validation.
        path: The table as a file.
        metrics: Columns `metric`, `mean`, `sd`, `pooled`.
    """
    columns = (("mean", "folds/{}"), ("sd", "folds/{}_sd"), ("pooled", "pooled/{}"))
    named = {
        form.format(row["metric"]): float(row[column])
        for row in metrics.to_dict("records")
        for column, form in columns
        if pd.notna(row[column])
    }
    content = hash_file(path)
    if isinstance(journal, EventLog) and _read_marks(journal).get("folds") != content:
        journal.metrics(named)
        journal.artifact(path, TABLES)
        journal.tags({f"{_STEP_MARK}folds": content})


def tell_ensemble(context: RunContext, prepared: PreparedData, report: EvaluationReport | None, *, inputs: str) -> None:
    """Tells how an ensemble does, and of its package, unless that was told.

    Args:
        context: Settings, folder and journal of the ensemble.
        prepared: The data.
        report: What was measured on test; None when there is no test.
        inputs: Hash of all that it depends on.
    """
    run, journal = context.run, context.journal
    if not isinstance(journal, EventLog) or _read_marks(journal).get("package") == inputs:
        return
    _begin(context, context.config, prepared, inputs, context.run_kind)
    if report is not None:
        journal.metrics(name_results(report))
        for path in (run.predictions, run.answers, run.report):
            journal.artifact(path, TABLES)
    journal.package(run.package)
    journal.tags({f"{_STEP_MARK}package": inputs})


def tell_sweep(journal: Journal, table: Path, figures: Path, trials: pd.DataFrame) -> None:
    """Tells what a sweep found: the best value and its trial, the table and the figures.

    Args:
        journal: Journal of the sweep.
        table: One row a trial, as a file.
        figures: Folder of the figures.
        trials: The table, best first.
    """
    best = trials.iloc[0]
    # A sweep that is continued finds a better trial later, which has a place of its own.
    journal.metrics({"sweep/best_objective": float(best["objective"])}, step=len(trials))
    journal.tags({"phytoscope.best_trial": str(best["trial"])})
    journal.artifact(table, TABLES)
    journal.artifact(figures, FIGURES)


def name_results(report: EvaluationReport) -> dict[str, float]:
    """The numbers of a report under the names of a tracker.

    Args:
        report: The report.

    Returns:
        `<split>/<metric>` for calibration and test, `<split>/<target>/<metric>` for further targets, `trust/<what>`
        (shares, 0-1) and `external/<set>/<metric>`; those that are not defined are left out. Those of val stand in the
        history, epoch by epoch.
    """
    named: dict[str, float | None] = {}
    for split, found in report.splits.items():
        if split == "val":
            continue
        named |= _name(split, found.metrics)
        for target in found.more_targets:
            named |= _name(f"{split}/{target.name}", target.metrics)
    if report.trust is not None:
        named |= _name_trust(report.trust)
    for further in report.external:
        named |= _name(f"external/{further.name}", further.metrics)
    return {name: float(value) for name, value in named.items() if value is not None}


def flatten_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings under dotted names; lists and empty groups as JSON texts.

    Args:
        settings: Plain dictionaries, lists and values.
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{key}.{inner}": found for inner, found in flatten_settings(value).items()}
        else:
            flat[key] = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
    return flat


def _begin(context: RunContext, config: RunConfig, prepared: PreparedData, inputs: str, kind: RunKind) -> None:
    journal = context.journal
    if not isinstance(journal, EventLog):
        return
    name = f"{config.name} {_WORDS[kind].format(context.run.root.name)}".strip()
    journal.begin(inputs, name=name, kind=kind, parent=context.parent_run)
    if _read_marks(journal).get("begin") == inputs:
        return
    settings = plain_settings(config)
    # The words of the command line are in the settings already, each under its own name.
    settings.pop("overrides")
    journal.params(flatten_settings(settings))
    journal.dataset(describe_data(config, prepared))
    journal.tags({"phytoscope.version": __version__, f"{_STEP_MARK}begin": inputs})


def describe_data(config: RunConfig, prepared: PreparedData) -> dict[str, Any]:
    """What a tracker is told of the data: where they are, their hashes, and how many images stand in each split.

    Args:
        config: `data` is read.
        prepared: The data.
    """
    data = config.data
    source = str(data.table or data.root or "")
    target = data.label if data.task is Task.classification else data.target
    return {
        "name": Path(source).name or config.name,
        "source": source,
        "data_hash": prepared.data_hash,
        "split_hash": prepared.split_hash,
        "task": data.task.value,
        "target": target or ("class" if data.task is Task.classification else ""),
        "rows": {str(split): int(count) for split, count in prepared.rows[SPLIT].value_counts().items()},
    }


def _tell_once(
    context: RunContext, step: str, prepared: PreparedData, tell: Callable[[], None], content: str = ""
) -> None:
    if not isinstance(context.journal, EventLog):
        return
    inputs = " ".join(filter(None, (context.run.read_inputs(step), content)))
    if _read_marks(context.journal).get(step) == inputs:
        return
    _begin(context, context.config, prepared, context.run.read_inputs("train"), context.run_kind)
    tell()
    context.journal.tags({f"{_STEP_MARK}{step}": inputs})


def _read_marks(log: EventLog) -> dict[str, str]:
    """What was told of the run that events belong to now: step -> hash of what the step was made from."""
    marks: dict[str, str] = {}
    key = ""
    for event in log.events():
        if event.run != key:
            key, marks = event.run, {}
        if event.kind is EventKind.tags:
            tags = {name: value for name, value in event.content["tags"].items() if name.startswith(_STEP_MARK)}
            marks |= {name.removeprefix(_STEP_MARK): str(value) for name, value in tags.items()}
    return marks


def _find_step(journal: Journal) -> int:
    """A place on the axis of epochs behind all that was told: an evaluation that is repeated has a place of its own."""
    events = journal.events() if isinstance(journal, EventLog) else []
    return max((int(event.content["step"]) for event in events if event.kind is EventKind.metrics), default=-1) + 1


def _name(prefix: str, metrics: list[MetricValue]) -> dict[str, float | None]:
    return {f"{prefix}/{metric.name}": metric.value for metric in metrics}


def _name_trust(trust: TrustReport) -> dict[str, float | None]:
    named: dict[str, float | None] = {f"trust/{verdict}": share for verdict, share in trust.verdicts.shares.items()}
    named["trust/error_accepted"] = trust.verdicts.errors.get("accept")
    if trust.calibration is not None:
        named["trust/ece"] = trust.calibration.after.get("ece")
    if trust.sets is not None and trust.sets.rows:
        named |= {"trust/coverage": trust.sets.rows[0].coverage, "trust/promised": trust.sets.promised}
    for found in trust.intervals[:1]:
        if found.rows:
            named |= {"trust/coverage": found.rows[0].coverage, "trust/promised": found.promised}
    return named
