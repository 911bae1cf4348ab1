"""Ends a trial early when the study says so."""

from pathlib import Path
from typing import Any

import lightning
import pandas as pd
from lightning.pytorch.callbacks import Callback

from phytoscope.errors import TrainingError, require
from phytoscope.train.tasks import SMOOTHED


class TrialWatcher(Callback):
    """Reports the validation metric of every epoch to the study."""

    def __init__(self, trial: Any, reported: int = 0) -> None:
        """Takes the trial.

        Args:
            trial: Optuna's trial.
            reported: Epochs that the study knows already.
        """
        self._trial, self._reported = trial, reported

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Reports this epoch.

        Raises:
            optuna.TrialPruned: Trials like this one are not worth the time.
        """
        value = trainer.callback_metrics.get(SMOOTHED)
        if value is None or not trainer.is_global_zero:
            return
        # Steps are counted from 1, as the pruners count resources. A process that was killed after it had written an
        # epoch down, and before its checkpoint, leaves an epoch that is done again.
        if trainer.current_epoch + 1 > self._reported:
            self._trial.report(float(value), step=trainer.current_epoch + 1)
        if self._trial.should_prune():
            message = f"ended after epoch {trainer.current_epoch + 1}"
            raise require("optuna").TrialPruned(message)


def report_history(trial: Any, history_path: Path) -> int:
    """Reports the epochs that an interrupted trial had finished before, so that it is judged like any other.

    Args:
        trial: Optuna's trial.
        history_path: Its history; it need not exist.

    Returns:
        Number of epochs that were reported.
    """
    if not history_path.exists():
        return 0
    history = pd.read_csv(history_path)
    if SMOOTHED not in history.columns or "epoch" not in history.columns:
        return 0
    for epoch, value in zip(history["epoch"], history[SMOOTHED], strict=True):
        trial.report(float(value), step=int(epoch) + 1)
    return len(history)


def read_objective(history_path: Path) -> float:
    """The best value of the metric that chooses the epoch, which is what a sweep minimises.

    Args:
        history_path: History of a finished training.

    Returns:
        For classes the likelihood of the true ones (negative logarithm), for numbers the root mean squared error in the
        user's unit; of val, averaged over the last epochs.

    Raises:
        TrainingError: The history holds no such value.
    """
    history = pd.read_csv(history_path)
    values = history[SMOOTHED].dropna() if SMOOTHED in history.columns else pd.Series(dtype=float)
    if values.empty:
        message = f"{str(history_path)!r} holds no {SMOOTHED}, so the trial cannot be judged: train it again."
        raise TrainingError(message)
    return float(values.min())
