"""What happens beside training: stopping early, the history, the progress bar."""

from pathlib import Path
from typing import Any

import lightning
import pandas as pd
from lightning.pytorch.callbacks import Callback, EarlyStopping

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.events import Journal
from phytoscope.schema.progress import Progress, SilentProgress


class PatientStopping(EarlyStopping):
    """Stays stopped when a training that had stopped is taken up again, and stops in no epoch before a certain one."""

    def __init__(self, *, first_epoch: int, **options: Any) -> None:
        """Takes when stopping begins to be thought of.

        Args:
            first_epoch: Epochs before this one, from 0, are not looked at: an average that has not begun yet would
                never be made.
            options: Of Lightning's `EarlyStopping`.
        """
        super().__init__(**options)
        self._first_epoch = first_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stops when the patience is at its end."""
        if trainer.current_epoch >= self._first_epoch:
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Ends a training again that had run out of patience."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class HistoryWriter(Callback):
    """Writes one row an epoch; a resumed run keeps the rows of the epochs before."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the row of this epoch."""
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": epoch, **metrics, "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"])}
        # As text: a number that every epoch read and wrote again would have to survive that to the last digit.
        rows = pd.read_csv(self._path, dtype=str).to_dict("records") if self._path.exists() and epoch > 0 else []
        with write_atomic(self._path) as temporary:
            pd.DataFrame([*(old for old in rows if int(old["epoch"]) < epoch), row]).to_csv(temporary, index=False)
        self._journal.metrics({name: value for name, value in row.items() if name != "epoch"}, step=epoch)


class ProgressReporter(Callback):
    """Passes Lightning's batches on to whoever looks."""

    def __init__(self, progress: Progress, monitor: str) -> None:
        self._progress = progress
        self._monitor = monitor

    def __getstate__(self) -> dict[str, Any]:
        # What draws a bar cannot be sent to the processes of other devices.
        return {**self.__dict__, "_progress": SilentProgress()}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Says how many batches there are, and how many are done."""
        batches = int(trainer.num_training_batches)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._progress.start("Training", batches * (trainer.max_epochs or 1))
        self._progress.advance(batches * trainer.current_epoch + data.train_sampler.first_batch)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Says that one more batch is done."""
        value = trainer.callback_metrics.get(self._monitor)
        note = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._progress.advance(1, note if value is None else f"{note}, {self._monitor} {float(value):.4g}")
