"""The study that remembers the trials of a sweep: its storage, and how it draws and ends trials."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phytoscope.errors import ConfigError, StorageError, require
from phytoscope.schema.choices import Pruner
from phytoscope.train.sweep.space import Dimension

REASON = "reason"
"""Attribute of a trial that failed for good: what went wrong."""
FOLDER = "folder"
"""Attribute of a trial that is done again: the number of the trial whose folder it continues."""
_INPUTS, _ATTEMPT = "inputs", "attempt"
_MOST_ATTEMPTS = 3
_SUFFIXES = (".db", ".log")


def open_study(path: Path, name: str, inputs: str) -> Any:
    """Opens the study in a file, or begins it.

    Args:
        path: `.db` for SQLite, `.log` for a journal.
        name: Name of the study in the file.
        inputs: Hash of what is tried on which data.

    Returns:
        Optuna's study; it minimises.

    Raises:
        ConfigError: The extension is neither, or the file holds a study of that name about something else.
        StorageError: The file cannot be read or written.
        MissingDependencyError: Optuna is not installed.
    """
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_storage(path)
    faults: tuple[type[Exception], ...] = (
        *(OSError, ValueError, RuntimeError, optuna.exceptions.OptunaError),
        require("sqlalchemy").exc.SQLAlchemyError,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _kept_loggers():
            study = optuna.create_study(
                storage=_open_storage(path), study_name=name, direction="minimize", load_if_exists=True
            )
        known = study.user_attrs.get(_INPUTS)
        if known is None:
            study.set_user_attr(_INPUTS, inputs)
    except faults as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = (
            f"sweep.storage={str(path)!r} cannot be used ({reason}): choose another file, or remove it to start over."
        )
        raise StorageError(message) from error
    if known not in (None, inputs):
        message = (
            f"{str(path)!r} holds the sweep {name!r} with other data, settings or another sweep.space: choose another "
            "name=NAME or sweep.storage=FILE, or give the settings of that sweep to continue it."
        )
        raise ConfigError(message)
    return study


@contextlib.contextmanager
def _kept_loggers() -> Iterator[None]:
    """Undoes what Optuna does to everybody's logging: making the tables of a new file, it mutes all other loggers."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    loggers = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    muted = [logger.disabled for logger in loggers]
    try:
        yield
    finally:
        for logger, was_muted in zip(loggers, muted, strict=True):
            logger.disabled = was_muted
        for handler in [*root.handlers]:
            root.removeHandler(handler)
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)


def check_storage(path: Path) -> None:
    """Refuses a storage that is neither an SQLite file nor a journal.

    Raises:
        ConfigError: The extension is neither `.db` nor `.log`.
    """
    if path.suffix not in _SUFFIXES:
        message = f"sweep.storage={str(path)!r} must end in .db (an SQLite file) or .log (a journal)."
        raise ConfigError(message)


def _open_storage(path: Path) -> Any:
    storages = require("optuna").storages
    if path.suffix == ".log":
        backend = storages.journal.JournalFileBackend(str(path))
        return storages.JournalStorage(backend)
    # Several workers write: they wait for each other instead of failing.
    return storages.RDBStorage(f"sqlite:///{path.as_posix()}", engine_kwargs={"connect_args": {"timeout": 60.0}})


def ask_trial(study: Any, dimensions: Iterable[Dimension], pruner: Any, startup_trials: int, *, seed: int) -> Any:
    """Begins the next trial: one that waits to be done again, else a new one.

    The sampler is the tree-structured Parzen estimator (Bergstra 2011, NeurIPS 24), seeded anew for every trial, so
    that a sweep that goes on draws what one that was never stopped would have drawn.

    Args:
        study: Optuna's study.
        dimensions: What is tried.
        pruner: Decides which trials are ended early.
        startup_trials: Trials drawn at random before the sampler learns from them.
        seed: Seed of the sweep.
    """
    number = count_begun(study)
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study.sampler = require("optuna").samplers.TPESampler(seed=drawn, n_startup_trials=startup_trials)
    study.pruner = pruner
    return study.ask({dimension.key: dimension.to_distribution() for dimension in dimensions})


def build_pruner(kind: Pruner, *, epochs: int, first: int, startup_trials: int) -> Any:
    """Builds what decides which trials are ended early.

    Args:
        kind: `median` ends a trial that is behind the median of the others at the same epoch; `asha` lets the better
            third on at each rung (Li 2020, arXiv 1810.05934); `hyperband` does so with several first rungs (Li 2018,
            arXiv 1603.06560).
        epochs: Longest training in epochs.
        first: First epoch, counted from 1, after which a trial may be judged.
        startup_trials: Trials before the median counts.
    """
    pruners = require("optuna").pruners
    rung = min(epochs, max(first, -(-epochs // 9)))
    if kind is Pruner.median:
        return pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=rung)
    if kind is Pruner.asha:
        return pruners.SuccessiveHalvingPruner(min_resource=rung, reduction_factor=3)
    if kind is Pruner.hyperband:
        return pruners.HyperbandPruner(min_resource=rung, max_resource=epochs, reduction_factor=3)
    return pruners.NopPruner()


def count_begun(study: Any) -> int:
    """Trials that count: finished, ended early, failed for good, or at work now."""
    states = require("optuna").trial.TrialState
    trials = study.get_trials(deepcopy=False)
    return sum(
        trial.state in (states.COMPLETE, states.PRUNED, states.RUNNING)
        or (trial.state is states.FAIL and describe_failure(trial) is not None)
        for trial in trials
    )


def describe_failure(trial: Any) -> str | None:
    """Why a failed trial is not done again; None when it was only interrupted."""
    if REASON in trial.user_attrs:
        return str(trial.user_attrs[REASON])
    attempts = int(trial.user_attrs.get(_ATTEMPT, 1))
    return f"interrupted {attempts} times" if attempts >= _MOST_ATTEMPTS else None


def list_running(study: Any) -> list[Any]:
    """Trials that the study believes to be at work."""
    states = require("optuna").trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(states.RUNNING,)))


def requeue_trial(study: Any, trial: Any) -> bool:
    """Puts an interrupted trial at the head of what is to be done, with the same values.

    Args:
        study: Optuna's study.
        trial: A trial at work whose process is gone, or is about to go.

    Returns:
        Whether it waits now; after the third interruption it counts as failed, because it may be what kills the
        process.
    """
    attempt = int(trial.user_attrs.get(_ATTEMPT, 1))
    is_hopeless = attempt >= _MOST_ATTEMPTS
    study.tell(trial.number, state=require("optuna").trial.TrialState.FAIL, skip_if_finished=True)
    if not is_hopeless:
        study.enqueue_trial(
            trial.params, user_attrs={_ATTEMPT: attempt + 1, FOLDER: trial.user_attrs.get(FOLDER, trial.number)}
        )
    return not is_hopeless


def number_folder(trial: Any) -> int:
    """Number of the folder that a trial works in: its own, or that of the interrupted trial it continues."""
    return int(trial.user_attrs.get(FOLDER, trial.number))
