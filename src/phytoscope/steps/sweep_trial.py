"""One trial of a sweep after the other, in this process or in one of several."""

import contextlib
import dataclasses
import multiprocessing
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import filelock

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, DataValidationError, TrainingError, require, storage_error
from phytoscope.schema.config import RunConfig
from phytoscope.schema.events import EventLog, RunKind
from phytoscope.schema.progress import Progress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData, read_prepared
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.sweep_plan import SweepPlan
from phytoscope.steps.tracking import ended
from phytoscope.steps.train import train_prepared
from phytoscope.train.sweep.space import word_setting
from phytoscope.train.sweep.study import (
    REASON,
    ask_trial,
    build_pruner,
    count_begun,
    list_running,
    number_folder,
    requeue_trial,
)
from phytoscope.train.sweep.watcher import TrialWatcher, read_objective, report_history

_STATE = "phytoscope.state"
_COMPLETE, _PRUNED, _FAILED = "complete", "pruned", "failed"


@dataclass(frozen=True)
class TrialOrder:
    """What whoever trains a trial must know of it.

    Attributes:
        number: Number of the trial.
        folder: Number of the folder that it works in, for `SweepFolder.trial`.
        params: Setting -> value.
    """

    number: int
    folder: int
    params: dict[str, Any]


@dataclass(frozen=True)
class TrialOutcome:
    """How the training of a trial ended.

    Attributes:
        state: `complete`, `pruned` (ended early) or `failed`.
        value: What is minimised; None unless complete.
        reason: Why it failed.
    """

    state: str
    value: float | None = None
    reason: str = ""


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
            trial = begin_trial(plan, study, held, say)
            if trial is None:
                return
            order = TrialOrder(trial.number, number_folder(trial), trial.params)
            is_told = False
            try:
                with trial_context(plan, order, progress, say) as context:
                    outcome = train_trial(plan, order, trial, prepared, context)
                    settle_trial(plan, study, trial, outcome, context.say)
                    is_told = True
            finally:
                if not is_told:
                    requeue_trial(study, trial)
        keep_best(plan, study)


def begin_trial(
    plan: SweepPlan,
    study: Any,
    held: contextlib.ExitStack,
    say: Callable[[str], None],
    own: Collection[int] = (),
) -> Any:
    """Begins the next trial of a sweep.

    Args:
        plan: The sweep.
        study: Its study.
        held: Keeps the folder of the trial locked until it is closed, so that others know that it is at work.
        say: Told of trials that were interrupted.
        own: Numbers of trials that this process has begun and not settled.

    Returns:
        Optuna's trial; None when there are enough or the time is up.

    Raises:
        StorageError: The folder of the sweep cannot be written.
    """
    sweep = plan.config.sweep
    with plan.folder.locked():
        _requeue_stale(plan, study, say, own)
        is_late = plan.ends_at is not None and time.time() >= plan.ends_at
        if is_late or count_begun(study) >= sweep.n_trials:
            return None
        pruner = build_pruner(
            sweep.pruner, epochs=plan.epochs, first=plan.frozen_epochs + 1, startup_trials=sweep.startup_trials
        )
        trial = ask_trial(study, plan.dimensions, pruner, sweep.startup_trials, seed=plan.config.seed)
        # Held for as long as the trial is at work, and let go of by the system when the process dies.
        held.enter_context(plan.folder.trial(number_folder(trial)).locked())
    return trial


@contextlib.contextmanager
def trial_context(
    plan: SweepPlan, order: TrialOrder, progress: Progress, say: Callable[[str], None]
) -> Iterator[RunContext]:
    """Gives the context that a trial is trained in, with its own log and events.

    Args:
        plan: The sweep.
        order: The trial.
        progress: Told how far it is.
        say: Told sentences for the user, with the number of the trial before them.

    Raises:
        StorageError: The log cannot be written.
    """
    run = plan.folder.trial(order.folder)
    said = log_said(say)
    with RunLog(run):
        context = RunContext(
            plan.config,
            run,
            progress,
            lambda text: said(f"trial {order.number}: {text}"),
            journal=EventLog(run),
            run_kind=RunKind.trial,
            parent_run=plan.parent_run,
        )
        with ended(context.journal):
            yield context


def _requeue_stale(plan: SweepPlan, study: Any, say: Callable[[str], None], own: Collection[int]) -> None:
    for trial in list_running(study):
        if trial.number in own:
            continue
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


def train_trial(
    plan: SweepPlan, order: TrialOrder, trial: Any, prepared: PreparedData, context: RunContext
) -> TrialOutcome:
    """Trains a network with the settings of a trial.

    Args:
        plan: The sweep.
        order: What to try.
        trial: Receives the value of every epoch (`report`), and says whether to end (`should_prune`).
        prepared: The data.
        context: What `trial_context` gave.

    Raises:
        PhytoscopeError: Something that concerns all trials.
        KeyboardInterrupt: The user interrupted.
    """
    pruned = require("optuna").TrialPruned
    words = [word_setting(key, value) for key, value in order.params.items()]
    context.say(" ".join(word_setting(key, _round(value)) for key, value in order.params.items()))
    try:
        context = dataclasses.replace(context, config=_compose_trial(plan, words, context.run))
        watcher = TrialWatcher(trial, report_history(trial, context.run.history))
        train_prepared(context, prepared, (watcher,))
        return TrialOutcome(_COMPLETE, read_objective(context.run.history))
    except pruned as reason:
        context.journal.tags({_STATE: _PRUNED})
        context.say(str(reason))
        return TrialOutcome(_PRUNED)
    except (TrainingError, ConfigError, DataValidationError) as error:
        # These settings cannot be trained with; others perhaps can.
        context.journal.tags({_STATE: _FAILED, "phytoscope.reason": str(error)})
        context.say(f"failed: {error}")
        return TrialOutcome(_FAILED, reason=str(error))
    finally:
        context.progress.finish()


def settle_trial(plan: SweepPlan, study: Any, trial: Any, outcome: TrialOutcome, say: Callable[[str], None]) -> None:
    """Tells the study how a trial ended.

    Args:
        plan: The sweep.
        study: Its study.
        trial: Optuna's trial.
        outcome: What `train_trial` gave.
        say: Told sentences for the user.
    """
    states = require("optuna").trial.TrialState
    if outcome.state == _COMPLETE:
        study.tell(trial, outcome.value)
        say(f"{plan.metric} {outcome.value:.4g} (best so far: {study.best_value:.4g})")
    elif outcome.state == _PRUNED:
        study.tell(trial, state=states.PRUNED)
    else:
        trial.set_user_attr(REASON, outcome.reason)
        study.tell(trial, state=states.FAIL)


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


def keep_best(plan: SweepPlan, study: Any) -> None:
    """Removes the weights of trials that are neither the best one nor unfinished.

    Raises:
        StorageError: They cannot be removed.
    """
    with plan.folder.locked():
        _remove_worse(plan, study)


def _remove_worse(plan: SweepPlan, study: Any) -> None:
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
