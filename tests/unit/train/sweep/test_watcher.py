"""What the study of a sweep hears of a training."""

from types import SimpleNamespace

import pytest

from phytoscope.train.sweep.watcher import TrialWatcher, report_history
from phytoscope.train.tasks import SMOOTHED

optuna = pytest.importorskip("optuna")


def test_an_epoch_that_is_done_again_is_reported_once(tmp_path):
    """A process that was killed after an epoch was written down, and before its checkpoint, does that epoch again."""
    history = tmp_path / "history.csv"
    history.write_text(f"epoch,{SMOOTHED}\n0,0.5\n1,0.4\n")
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    trial = study.ask()
    watcher = TrialWatcher(trial, report_history(trial, history))
    for epoch, value in ((1, 0.4), (2, 0.3)):
        trainer = SimpleNamespace(callback_metrics={SMOOTHED: value}, is_global_zero=True, current_epoch=epoch)
        watcher.on_train_epoch_end(trainer, None)
    assert study.trials[0].intermediate_values == {1: 0.5, 2: 0.4, 3: 0.3}
