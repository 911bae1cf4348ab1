"""Sweeps: many trainings on the same prepared data, to find settings that do well on the validation split."""

import dataclasses
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from phytoscope.cluster.jobs import open_jobs
from phytoscope.configs import compose_config
from phytoscope.configs.experiment_file import write_experiment
from phytoscope.errors import ConfigError, TrainingError, require, storage_error
from phytoscope.schema.artifact import hash_content, resolve_path, write_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import EngineKind
from phytoscope.schema.events import RunKind
from phytoscope.schema.progress import Progress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Split, Task
from phytoscope.steps.context import RunContext, plain_settings
from phytoscope.steps.job_place import bound_cores, check_jobs
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.row_engine import with_engine
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.sweep_cluster import work_on_cluster
from phytoscope.steps.sweep_plan import SweepFolder, SweepPlan
from phytoscope.steps.sweep_processes import work_in_processes
from phytoscope.steps.sweep_trial import work_trials
from phytoscope.steps.telling import begin_parent, tell_sweep
from phytoscope.steps.tracking import find_key, tracked
from phytoscope.steps.train import hash_training_inputs
from phytoscope.steps.training_job import fit_preprocess
from phytoscope.storage.place import is_url
from phytoscope.train.plan import plan_training
from phytoscope.train.sweep.space import TRIED_GROUPS, Dimension, is_of_the_machine, read_space, word_setting
from phytoscope.train.sweep.study import check_storage, describe_failure, number_folder
from phytoscope.transforms.stream import count_cores
from phytoscope.visualize.style import save_figures
from phytoscope.visualize.sweep import draw_sweep

_STATE, _OBJECTIVE, _TRIAL = "state", "objective", "trial"


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        folder: Where everything lies.
        trials: Columns `trial`, `state` (complete, pruned, failed), `objective` (of val, lower is better), one column a
            setting that was tried, `seconds`, `reason`; best first.
        metric: What was minimised, in words.
        keys: Settings that were tried.
        best_run: Folder of the best trial, with its weights and the prepared data: `phytoscope run` goes on from there.
        importance: Setting -> share of the differences that it explains, 0-1; empty when there is too little to say.
    """

    folder: SweepFolder
    trials: pd.DataFrame
    metric: str
    keys: tuple[str, ...]
    best_run: RunFolder
    importance: dict[str, float]


def run_sweep(config: RunConfig, *, progress: Progress, say: Callable[[str], None]) -> SweepResult:
    """Tries settings until `sweep.n_trials` trials are done, those of earlier calls counted.

    The data are prepared once. Trials are judged by val alone; neither calibration nor test is looked at. Only the
    weights of the best trial are kept.

    Args:
        config: Settings; those in `sweep.space` are tried, all others stay.
        progress: Told how far it is.
        say: Told sentences for the user.

    Raises:
        ConfigError: The space, or one of its ends, is not allowed; or the storage belongs to another sweep.
        TrainingError: No trial could be finished.
        KeyboardInterrupt: The user interrupted; the same command continues.
        PhytoscopeError: Anything else the user can mend.
    """
    require("optuna")
    if config.paths.run_dir is not None:
        message = (
            f"paths.run_dir={config.paths.run_dir!r} is not read by a sweep, which makes a run of every trial: choose "
            "name=NAME and paths.runs_dir=DIR."
        )
        raise ConfigError(message)
    dimensions = read_space(config.sweep.space)
    _check_corners(config, dimensions)
    folder, storage = choose_places(config)
    place = RunFolder(folder.root)
    with RunLog(place), tracked(RunContext(config, place, progress, log_said(say))) as context:
        say = context.say
        check_jobs(context)
        # A cluster that is started for the pixels stays for the trials.
        with with_engine(context) as working:
            prepared = _prepare(dataclasses.replace(working, run=folder.data), folder)
            begin_parent(context, config, prepared, RunKind.sweep)
            plan = _plan(config, prepared, folder, storage, dimensions)
            plan = dataclasses.replace(plan, parent_run=find_key(context.journal))
            say(f"sweep folder: {folder.root}; trials are judged by {plan.metric}, test is not looked at")
            # A storage of another sweep is refused before any process is started.
            plan.open_study()
            _work(plan, progress, say)
        result = _conclude(plan, progress)
        tell_sweep(context.journal, result.folder.table, result.folder.figures, result.trials)
        return result


def _work(plan: SweepPlan, progress: Progress, say: Callable[[str], None]) -> None:
    if plan.config.engine.kind is EngineKind.ray:
        with open_jobs(plan.config.engine, say) as jobs:
            work_on_cluster(plan, jobs, progress, say)
    elif plan.config.sweep.n_workers > 1:
        work_in_processes(plan, progress, say)
    else:
        work_trials(plan, progress, say)


def choose_places(config: RunConfig) -> tuple[SweepFolder, Path]:
    """Finds the folder of a sweep and the file that remembers its trials.

    Raises:
        ConfigError: A path names a home directory that does not exist, or is an address; or the file is of an unknown
            kind.
    """
    for key, value in (("paths.runs_dir", config.paths.runs_dir), ("sweep.storage", config.sweep.storage)):
        if value is not None and is_url(value):
            message = (
                f"{key}={value!r} is an address, and a sweep needs locks and a database that only a file system has: "
                "choose a folder; machines of a cluster must see it under the same path."
            )
            raise ConfigError(message)
    place = resolve_path(config.paths.runs_dir, "paths.runs_dir") / "sweeps"
    named = config.sweep.storage
    storage = place / f"{config.name}.db" if named is None else resolve_path(named, "sweep.storage")
    check_storage(storage)
    return SweepFolder(place / config.name), storage


def _check_corners(config: RunConfig, dimensions: tuple[Dimension, ...]) -> None:
    faults = []
    for dimension in dimensions:
        for value in dimension.corners:
            try:
                compose_config([*config.overrides, word_setting(dimension.key, value)])
            except ConfigError as error:
                faults.append(f"sweep.space: {dimension.key}: {error}")
    if faults:
        raise ConfigError(" ".join(faults))


def _prepare(context: RunContext, folder: SweepFolder) -> PreparedData:
    with folder.locked(), folder.data.locked():
        run_prepare(context)
        prepared = read_prepared(context)
        # Decoded once, before several workers would do so at the same time.
        open_cache(context, prepared, fit_preprocess(context.config, prepared.of(Split.train)))
    return prepared


def _plan(
    config: RunConfig,
    prepared: PreparedData,
    folder: SweepFolder,
    storage: Path,
    dimensions: tuple[Dimension, ...],
) -> SweepPlan:
    batches = -(-len(prepared.of(Split.train)) // config.trainer.batch_size)
    planned, adapted = plan_training(config.trainer, config.adapt, batches)
    space = [dataclasses.asdict(dimension) for dimension in dimensions]
    metric = "negative log-likelihood" if config.data.task is Task.classification else "root mean squared error"
    minutes, workers = config.sweep.timeout_minutes, config.sweep.n_workers
    # Workers that all take every core stand in each other's way.
    if config.engine.kind is EngineKind.ray:
        config = bound_cores(config, config.engine.cores)
    elif workers > 1:
        config = bound_cores(config, max(1, count_cores() // workers))
    return SweepPlan(
        config=config,
        folder=folder,
        storage=storage,
        dimensions=dimensions,
        inputs=hash_content([hash_training_inputs(config, prepared), space]),
        epochs=int(planned.max_epochs or 1),
        frozen_epochs=int(adapted.frozen_epochs or 0),
        metric=f"{metric} on val",
        ends_at=None if minutes is None else time.time() + 60 * minutes,
    )


def _conclude(plan: SweepPlan, progress: Progress) -> SweepResult:
    study = plan.open_study()
    keys = tuple(dimension.key for dimension in plan.dimensions)
    progress.start("Drawing the sweep", None)
    trials = tabulate_trials(study, keys)
    with write_atomic(plan.folder.table) as temporary:
        trials.to_csv(temporary, index=False)
    complete = trials[trials[_STATE] == "complete"]
    if complete.empty:
        progress.finish()
        reasons = trials["reason"].dropna()
        hint = f"; the first reason: {reasons.iloc[-1]}" if len(reasons) > 0 else ""
        message = f"no trial of {len(trials)} was finished{hint} See {str(plan.folder.table)!r}."
        raise TrainingError(message)
    importance = _measure_importance(study, len(complete))
    save_figures(draw_sweep(trials, keys=keys, importance=importance, metric=plan.metric), plan.folder.figures)
    best = plan.folder.trial(number_folder(study.best_trial))
    with plan.folder.locked():
        _write_best(plan, study)
        _complete_run(plan.folder.data, best)
    progress.finish()
    return SweepResult(plan.folder, trials, plan.metric, keys, best, importance)


def tabulate_trials(study: Any, keys: tuple[str, ...]) -> pd.DataFrame:
    """The trials of a study that are finished, best first.

    Args:
        study: Optuna's study.
        keys: Settings that were tried.

    Returns:
        The columns of `SweepResult.trials`.
    """
    states = require("optuna").trial.TrialState
    words = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.FAIL: "failed"}
    rows = []
    for trial in study.get_trials(deepcopy=False, states=tuple(words)):
        reason = describe_failure(trial) if trial.state is states.FAIL else None
        if trial.state is states.FAIL and reason is None:
            continue
        last = trial.intermediate_values[trial.last_step] if trial.intermediate_values else None
        rows.append(
            {
                _TRIAL: trial.number,
                _STATE: words[trial.state],
                _OBJECTIVE: trial.value if trial.state is states.COMPLETE else last,
                **{key: trial.params.get(key) for key in keys},
                "epochs": len(trial.intermediate_values),
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration is not None else None,
                "reason": reason,
            }
        )
    table = pd.DataFrame(rows, columns=[_TRIAL, _STATE, _OBJECTIVE, *keys, "epochs", "seconds", "reason"])
    order = table[_STATE].map({"complete": 0, "pruned": 1, "failed": 2})
    places = table.assign(order=order).sort_values(["order", _OBJECTIVE, _TRIAL]).index
    return table.loc[places].reset_index(drop=True)


def _measure_importance(study: Any, complete: int) -> dict[str, float]:
    # Two trials always explain each other.
    few = 4
    if complete < few:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = require("optuna").importance.get_param_importances(study)
        except (RuntimeError, ValueError):
            # All trials answered the same, or no setting varied: there is nothing to explain.
            return {}
    return {key: float(value) for key, value in found.items()}


def _write_best(plan: SweepPlan, study: Any) -> None:
    best = study.best_trial
    words = [word_setting(key, value) for key, value in best.params.items()]
    settings = plain_settings(compose_config([*plan.config.overrides, *words]))
    kept: dict[str, Any] = {
        group: {key: value for key, value in settings[group].items() if not is_of_the_machine(f"{group}.{key}")}
        for group in TRIED_GROUPS
    }
    kept["data"] = {key: settings["data"][key] for key in ("augment", "resize")}
    remark = f"Trial {best.number} of the sweep {plan.config.name!r}: {plan.metric} {study.best_value:.6g}"
    write_experiment(plan.folder.best, {"seed": plan.config.seed, **kept}, remark)


def _complete_run(data: RunFolder, best: RunFolder) -> None:
    """Puts the prepared data beside the best weights, so that the later steps can go on from there."""
    files = (data.manifest, data.rejected, data.warnings, data.unlabelled, data.split, data.record("prepare"))
    try:
        for source in files:
            target = best.root / source.relative_to(data.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_atomic(target) as temporary:
                shutil.copyfile(source, temporary)
    except OSError as error:
        raise storage_error(best.root, error) from error
