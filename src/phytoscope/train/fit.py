"""Wiring of the Lightning trainer: checkpoints, early stopping, history, progress."""

import logging
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.config import TrainerConfig
from phytoscope.schema.progress import Progress
from phytoscope.train.callbacks import HistoryWriter, PatientStopping, ProgressReporter
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME, AtomicCheckpointIO, EpochCheckpoint
from phytoscope.train.tasks import SMOOTHED, PlantTask
from phytoscope.transforms.stream import count_cores


def fit_task(
    task: PlantTask,
    data: PlantDataModule,
    config: TrainerConfig,
    *,
    folder: Path,
    history_path: Path,
    progress: Progress,
    watchers: Sequence[Callback] = (),
) -> Path:
    """Trains until the last epoch or until the validation metric no longer improves.

    Continues from the last whole epoch when `folder` holds one. Writes `best.ckpt` and `last.ckpt` into `folder` and
    one row an epoch into `history_path`.

    Args:
        task: What to train; its network is changed in place.
        data: Batches.
        config: Length and speed, with nothing left open.
        folder: Where checkpoints go.
        history_path: CSV with one row an epoch.
        progress: Told about every batch.
        watchers: Further Lightning callbacks.

    Returns:
        The checkpoint of the best epoch.

    Raises:
        ConfigError: The settings leave the number of epochs or the patience open (see `plan_training`), or name a
            device or number format that is not there.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last whole epoch is kept.
    """
    if config.max_epochs is None or config.patience is None:
        message = "trainer.max_epochs and trainer.patience are open: fill them in with plan_training first."
        raise ConfigError(message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = [
        *watchers,
        PatientStopping(monitor=SMOOTHED, mode="min", patience=config.patience, check_on_train_epoch_end=True),
        # The history must be on the disk before the checkpoint that says the epoch is done.
        HistoryWriter(history_path),
        ProgressReporter(progress, SMOOTHED),
        EpochCheckpoint(
            dirpath=folder,
            filename=Path(BEST_NAME).stem,
            monitor=SMOOTHED,
            mode="min",
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
        # Lightning's own `save_last` writes only when the metric improved; a restart must not lose the epochs since.
        EpochCheckpoint(
            dirpath=folder,
            filename=Path(LAST_NAME).stem,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
    ]
    trainer = _build_trainer(config, callbacks, folder)
    last = folder / LAST_NAME
    interrupt_handler = signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Inside Lightning; nothing a user could do about it.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            trainer.fit(task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit code and is deaf to the next one; whoever called us wants to know that the
        # user asked for it, and the user may ask again.
        signal.signal(signal.SIGINT, interrupt_handler)
        raise KeyboardInterrupt from error
    finally:
        progress.finish()
    best = folder / BEST_NAME
    if not best.exists():
        message = (
            f"no epoch was completed (trainer.max_epochs={config.max_epochs}, trainer.limit_batches="
            f"{config.limit_batches}): both must be above 0."
        )
        raise TrainingError(message)
    return best


def _build_trainer(config: TrainerConfig, callbacks: list[Callback], folder: Path) -> lightning.Trainer:
    try:
        return lightning.Trainer(
            max_epochs=config.max_epochs,
            accelerator=config.accelerator,
            devices=1,
            precision=_choose_precision(config),  # type: ignore[arg-type]
            gradient_clip_val=config.gradient_clip,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
    except (ValueError, MisconfigurationException) as error:
        reason = str(error).splitlines()[0]
        message = f"trainer.accelerator={config.accelerator}, trainer.precision={config.precision}: {reason}"
        raise ConfigError(message) from error


def _choose_precision(config: TrainerConfig) -> str:
    if config.precision != "auto":
        return config.precision
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def choose_num_workers(config: TrainerConfig, n_batches: int) -> int:
    """Number of processes that prepare batches: what the settings say, else one for each spare core.

    Args:
        config: `num_workers` is read.
        n_batches: Batches an epoch; for a handful the start of a process costs more than it saves.
    """
    if config.num_workers is not None:
        return config.num_workers
    cores = count_cores()
    few = 4
    return 0 if n_batches <= few else min(4, max(1, cores - 1))
