"""One trial of a sweep after the other, in this process or in one of several."""

import contextlib
import dataclasses
import multiprocessing
import queue
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, DataValidationError, PhytoscopeError, TrainingError, require, storage_error
from phytoscope.schema.config import RunConfig
from phytoscope.schema.events import EventLog, RunKind
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData, read_prepared
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.tracking import ended
from phytoscope.steps.train import train_prepared
from phytoscope.train.sweep.space import Dimension, word_setting
from phytoscope.train.sweep.study import (
    REASON,
    ask_trial,
    build_pruner,
    count_begun,
    list_running,
    number_folder,
    open_study,
    requeue_trial,
)
from phytoscope.train.sweep.watcher import TrialWatcher, read_objective, report_history

_STATE = "phytoscope.state"


@dataclass(frozen=True)
class SweepFolder:
    """Names of everything in the folder of one sweep.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def data(self) -> RunFolder:
        """The prepared data, which all trials share."""
        return RunFolder(self.root / "data")

    @property
    def best(self) -> Path:
        """Settings of the best trial, as an experiment."""
        return self.root / "best.yaml"

    @property
    def table(self) -> Path:
        """One row a trial."""
        return self.root / "trials.csv"

    @property
    def figures(self) -> Path:
        """History, importance, and the objective against each setting."""
        return self.root / "figures"

    def trial(self, number: int) -> RunFolder:
        """Folder of one trial."""
        return RunFolder(self.root / "trials" / f"{number:04d}")

    @contextlib.contextmanager
    def locked(self) -> Any:
        """Lets one process at a time change which trials there are; others wait.

        Raises:
            StorageError: The place cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / ".lock")
            lock.acquire()
        except OSError as error:
            raise storage_error(self.root, error) from error
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class SweepPlan:
    """What every worker of a sweep needs to know.

    Attributes:
        config: Settings of the sweep.
        folder: Where its trials lie.
        storage: File of the study.
        dimensions: What is tried.
        inputs: Hash of what is tried on which data.
        epochs: Longest training in epochs.
        frozen_epochs: First epochs in which only the head is trained; nobody is judged by them.
        metric: What is minimised, in words.
        ends_at: Time after which no trial begins, seconds since 1970; None when any may.
        parent_run: Key of the tracked run of the sweep.
    """

    config: RunConfig
    folder: SweepFolder
    storage: Path
    dimensions: tuple[Dimension, ...]
    inputs: str
    epochs: int
    frozen_epochs: int
    metric: str
    ends_at: float | None
    parent_run: str | None = None

    def open_study(self) -> Any:
        """The study of this sweep."""
        # Two processes that both find a new file would both create its tables.
        with self.folder.locked():
            return open_study(self.storage, self.config.name, self.inputs)


def work_trials(plan: SweepPlan, progress: Progress, say: Callable[[str], None]) -> None:
    """Does one trial after the other until there are enough, the time is up, or whoever started this is gone.

    Several processes, also on several machines, may do so at once.

    Raises:
        PhytoscopeError: Something that concerns all trials: weights that cannot be had, a full disk.
        KeyboardInterrupt: The user interrupted; the trial waits to be done again, from its last whole epoch on.
    """
    study = plan.open_study()
    prepared = read_prepared(RunContext(plan.config, plan.folder.data))
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():
        with contextlib.ExitStack() as held:
            with plan.folder.locked():
                _requeue_stale(plan, study, say)
                is_late = plan.ends_at is not None and time.time() >= plan.ends_at
                if is_late or count_begun(study) >= plan.config.sweep.n_trials:
                    return
                sweep = plan.config.sweep
                pruner = build_pruner(
                    sweep.pruner,
                    epochs=plan.epochs,
                    first=plan.frozen_epochs + 1,
                    startup_trials=sweep.startup_trials,
                )
                trial = ask_trial(study, plan.dimensions, pruner, sweep.startup_trials, seed=plan.config.seed)
                run = plan.folder.trial(number_folder(trial))
                # Held for as long as the trial is at work, and let go of by the system when the process dies.
                held.enter_context(run.locked())
            held.enter_context(RunLog(run))
            context = RunContext(
                plan.config,
                run,
                progress,
                say,
                journal=EventLog(run),
                run_kind=RunKind.trial,
                parent_run=plan.parent_run,
            )
            with ended(context.journal):
                _do_trial(plan, study, trial, prepared, context)
        with plan.folder.locked():
            _keep_best(plan, study)


def _requeue_stale(plan: SweepPlan, study: Any, say: Callable[[str], None]) -> None:
    for trial in list_running(study):
        place = plan.folder.trial(number_folder(trial)).root
        lock = filelock.FileLock(place / ".lock", timeout=0)
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            continue
        except OSError as error:
            raise storage_error(plan.folder.root, error) from error
        lock.release()
        requeued = requeue_trial(study, trial)
        say(f"trial {trial.number} was interrupted" + (" and is taken up again" if requeued else ", for the last time"))


def _do_trial(plan: SweepPlan, study: Any, trial: Any, prepared: PreparedData, context: RunContext) -> None:
    optuna = require("optuna")
    states, pruned = optuna.trial.TrialState, optuna.TrialPruned
    words = [word_setting(key, value) for key, value in trial.params.items()]
    say = log_said(context.say)
    context = dataclasses.replace(context, say=lambda text: say(f"trial {trial.number}: {text}"))
    context.say(" ".join(word_setting(key, _round(value)) for key, value in trial.params.items()))
    is_told = False
    try:
        config = _compose_trial(plan, words, context.run)
        context = dataclasses.replace(context, config=config)
        report_history(trial, context.run.history)
        train_prepared(context, prepared, (TrialWatcher(trial),))
        value = read_objective(context.run.history)
        study.tell(trial, value)
        is_told = True
        context.say(f"{plan.metric} {value:.4g} (best so far: {study.best_value:.4g})")
    except pruned as reason:
        study.tell(trial, state=states.PRUNED)
        is_told = True
        context.journal.tags({_STATE: "pruned"})
        context.say(str(reason))
    except (TrainingError, ConfigError, DataValidationError) as error:
        # These settings cannot be trained with; others perhaps can.
        trial.set_user_attr(REASON, str(error))
        study.tell(trial, state=states.FAIL)
        is_told = True
        context.journal.tags({_STATE: "failed", "phytoscope.reason": str(error)})
        context.say(f"failed: {error}")
    finally:
        if not is_told:
            requeue_trial(study, trial)
        context.progress.finish()


def _round(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _compose_trial(plan: SweepPlan, words: list[str], run: RunFolder) -> RunConfig:
    config = compose_config([*plan.config.overrides, *words])
    machine = {
        key: getattr(plan.config.trainer, key)
        for key in ("threads", "num_workers")
        if getattr(config.trainer, key) is None
    }
    return dataclasses.replace(
        config,
        trainer=dataclasses.replace(config.trainer, **machine),
        paths=dataclasses.replace(config.paths, run_dir=str(run.root)),
    )


def _keep_best(plan: SweepPlan, study: Any) -> None:
    states = require("optuna").trial.TrialState
    finished = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.FAIL))
    complete = [trial for trial in finished if trial.state is states.COMPLETE]
    best = min(complete, key=lambda trial: trial.value) if complete else None
    waiting = study.get_trials(deepcopy=False, states=(states.WAITING, states.RUNNING))
    kept = {number_folder(trial) for trial in (*waiting, *([best] if best is not None else []))}
    for trial in finished:
        folder = plan.folder.trial(number_folder(trial)).checkpoints
        if number_folder(trial) in kept or not folder.exists():
            continue
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise storage_error(folder, error) from error


def work_in_processes(plan: SweepPlan, progress: Progress, say: Callable[[str], None]) -> None:
    """Does the trials in `sweep.n_workers` processes that share the storage.

    Raises:
        TrainingError: A worker ended with an error; the others have finished their trials.
        KeyboardInterrupt: The user interrupted; trials at work wait to be done again.
    """
    # A forked child would inherit threads of torch in the middle of their work.
    spawn = multiprocessing.get_context("spawn")
    sentences: Any = spawn.Queue()
    workers = [spawn.Process(target=_work_alone, args=(plan, sentences)) for _ in range(plan.config.sweep.n_workers)]
    for worker in workers:
        worker.start()
    progress.start(f"Sweep in {len(workers)} processes", None)
    faults: list[str] = []
    try:
        while any(worker.is_alive() for worker in workers):
            _pass_on(sentences, say, faults, seconds=0.5)
    finally:
        for worker in workers:
            worker.join()
        _pass_on(sentences, say, faults, seconds=0.1)
        progress.finish()
    faults += [
        f"a worker ended with exit code {worker.exitcode}" for worker in workers if worker.exitcode not in (0, None)
    ]
    if faults:
        message = f"the sweep is not finished: {faults[0]} The same command continues it."
        raise TrainingError(message)


def _pass_on(sentences: Any, say: Callable[[str], None], faults: list[str], *, seconds: float) -> None:
    while True:
        try:
            kind, text = sentences.get(timeout=seconds)
        except (queue.Empty, EOFError, OSError):
            return
        if kind == "fault":
            faults.append(text)
        else:
            say(text)


def _work_alone(plan: SweepPlan, sentences: Any) -> None:
    try:
        work_trials(plan, SilentProgress(), lambda text: sentences.put(("say", text)))
    except KeyboardInterrupt:
        # The parent was interrupted too and says so.
        return
    except PhytoscopeError as error:
        sentences.put(("fault", str(error)))
