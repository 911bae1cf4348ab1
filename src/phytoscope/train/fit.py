"""Wiring of the trainer: checkpoints that survive a kill, early stopping, history, progress."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.errors import TrainingError
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.config import TrainerConfig
from phytoscope.schema.progress import Progress
from phytoscope.train.tasks import PlantTask

BEST_NAME = "best.ckpt"
LAST_NAME = "last.ckpt"


def fit_task(
    task: PlantTask,
    data: PlantDataModule,
    config: TrainerConfig,
    *,
    monitor: str,
    higher_is_better: bool,
    folder: Path,
    history_path: Path,
    progress: Progress,
) -> Path:
    """Trains until the last epoch or until the validation metric no longer improves.

    Continues from the last whole epoch when `folder` holds one. Writes `best.ckpt` and `last.ckpt` into `folder` and
    one row an epoch into `history_path`.

    Args:
        task: What to train; its network is changed in place.
        data: Batches.
        config: Length and speed.
        monitor: Validation metric that chooses the best epoch, for example `val/macro_f1`.
        higher_is_better: Its direction.
        folder: Where checkpoints go.
        history_path: CSV with one row an epoch.
        progress: Told about every batch.

    Returns:
        The checkpoint of the best epoch.

    Raises:
        TrainingError: The loss is not finite, or no epoch was completed.
        KeyboardInterrupt: The user interrupted; everything up to the last whole epoch is kept.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    mode = "max" if higher_is_better else "min"
    callbacks: list[Callback] = [
        EarlyStopping(monitor=monitor, mode=mode, patience=config.patience, check_on_train_epoch_end=True),
        # The history must be on the disk before the checkpoint that says the epoch is done.
        _HistoryCallback(history_path),
        _ProgressCallback(progress, monitor),
        ModelCheckpoint(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
    ]
    trainer = lightning.Trainer(
        max_epochs=config.max_epochs,
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,  # type: ignore[arg-type]
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    last = folder / LAST_NAME
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            trainer.fit(task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit code; whoever called us wants to know that the user asked for it.
        raise KeyboardInterrupt from error
    finally:
        progress.finish()
    best = folder / BEST_NAME
    if not best.exists():
        message = f"no epoch was completed: trainer.max_epochs={config.max_epochs}, trainer.limit_batches={config.limit_batches}."
        raise TrainingError(message)
    return best


def choose_num_workers(config: TrainerConfig, n_batches: int) -> int:
    """Number of processes that prepare batches: what the settings say, else one for each spare core.

    Args:
        config: `num_workers` is read.
        n_batches: Batches an epoch; for a handful the start of a process costs more than it saves.
    """
    if config.num_workers is not None:
        return config.num_workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = 4
    return 0 if n_batches <= few else min(4, max(1, cores - 1))


def load_network_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Parameters of the network in a checkpoint, without the task around it.

    Args:
        checkpoint: A checkpoint that `fit_task` wrote.

    Raises:
        TrainingError: It is not one, or is damaged.
    """
    try:
        content: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = content["state_dict"]
    except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
        message = f"the checkpoint {str(checkpoint)!r} cannot be read ({error}): remove it and train again."
        raise TrainingError(message) from error
    prefix = "network."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


class _HistoryCallback(Callback):
    """Writes one row an epoch; a resumed run keeps the rows of the epochs before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        epoch = trainer.current_epoch
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": epoch, **metrics, "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"])}
        before = pd.read_csv(self._path).to_dict("records") if self._path.exists() and epoch > 0 else []
        with write_atomic(self._path) as temporary:
            pd.DataFrame([*(old for old in before if old["epoch"] < epoch), row]).to_csv(temporary, index=False)


class _ProgressCallback(Callback):
    """Passes Lightning's batches on to whoever looks."""

    def __init__(self, progress: Progress, monitor: str) -> None:
        self._progress = progress
        self._monitor = monitor

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        batches = int(trainer.num_training_batches)
        self._progress.start("Training", batches * (trainer.max_epochs or 1))
        self._progress.advance(batches * trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        value = trainer.callback_metrics.get(self._monitor)
        note = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._progress.advance(1, note if value is None else f"{note}, {self._monitor} {float(value):.4g}")
