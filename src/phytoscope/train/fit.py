"""Wiring of the Lightning trainer: checkpoints, early stopping, history, progress."""

import contextlib
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from torch.multiprocessing.spawn import ProcessRaisedException

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.progress import Progress
from phytoscope.schema.train_config import TrainerConfig
from phytoscope.train.averaging import find_first_averaged
from phytoscope.train.callbacks import HistoryWriter, PatientStopping, ProgressReporter
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME, AtomicCheckpointIO, EpochCheckpoint, LastCheckpoint
from phytoscope.train.devices import (
    KNOWN_WARNINGS,
    Crew,
    QuietProcess,
    check_sendable,
    choose_strategy,
    read_error_of_device,
)
from phytoscope.train.tasks import SMOOTHED, PlantTask


def fit_task(
    task: PlantTask,
    data: PlantDataModule,
    config: TrainerConfig,
    *,
    folder: Path,
    history: HistoryWriter,
    progress: Progress,
    watchers: Sequence[Callback] = (),
    crew: Crew | None = None,
) -> Path:
    """Trains until the last epoch or until the validation metric no longer improves.

    Continues from the last checkpoint when `folder` holds one, also within an epoch. Writes `best.ckpt` and `last.ckpt`
    into `folder` and one row an epoch into the history.

    Args:
        task: What to train; its network is changed in place.
        data: Batches.
        config: Length and speed, with nothing left open.
        folder: Where checkpoints go.
        history: Writes one row an epoch.
        progress: Told about every batch.
        watchers: Further Lightning callbacks.
        crew: Processes of a cluster that train together with this one; None leaves the devices to `config`.

    Returns:
        The checkpoint of the best epoch; `restore_network` brings it into the network.

    Raises:
        ConfigError: The settings leave the number of epochs or the patience open (see `plan_training`), name a device
            or number format that is not there, or cannot be divided among the devices.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    if config.max_epochs is None or config.patience is None:
        message = "trainer.max_epochs and trainer.patience are open: fill them in with plan_training first."
        raise ConfigError(message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks = [*watchers, *_build_callbacks(config, config.patience, folder, history, progress)]
    trainer = _build_trainer(config, callbacks, folder, _choose_place(config, task, crew))
    last = folder / LAST_NAME
    try:
        with _heard_interrupts(), _without_known_warnings():
            trainer.fit(task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    except ProcessRaisedException as error:
        raise read_error_of_device(error) from error
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


def _build_callbacks(
    config: TrainerConfig, patience: int, folder: Path, history: HistoryWriter, progress: Progress
) -> list[Callback]:
    return [
        QuietProcess(),
        PatientStopping(
            first_epoch=find_first_averaged(config),
            monitor=SMOOTHED,
            mode="min",
            patience=patience,
            check_on_train_epoch_end=True,
        ),
        # The history must be on the disk before the checkpoint that says the epoch is done.
        history,
        ProgressReporter(progress, SMOOTHED),
        EpochCheckpoint(
            dirpath=folder,
            filename=Path(BEST_NAME).stem,
            monitor=SMOOTHED,
            mode="min",
            # Nobody goes on from here: half of a checkpoint is the optimiser's.
            save_weights_only=True,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
        LastCheckpoint(folder / LAST_NAME, minutes=config.checkpoint_minutes),
    ]


@contextlib.contextmanager
def _heard_interrupts() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit code and is deaf to the next one; whoever called us wants to know that the
        # user asked for it, and the user may ask again.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


@contextlib.contextmanager
def _without_known_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def _choose_place(config: TrainerConfig, task: PlantTask, crew: Crew | None) -> dict[str, Any]:
    if crew is not None:
        # The cluster has given each process its device.
        return {
            "strategy": crew.build_strategy(frozen_first=task.is_frozen_at_first),
            "devices": "auto",
            "num_nodes": 1,
            "plugins": [AtomicCheckpointIO(), crew.build_environment()],
        }
    strategy = choose_strategy(config, os.environ, frozen_first=task.is_frozen_at_first)
    check_sendable(task.network, strategy)
    return {
        "strategy": strategy,
        "devices": config.devices,
        "num_nodes": config.num_nodes,
        "plugins": [AtomicCheckpointIO()],
    }


def _build_trainer(
    config: TrainerConfig, callbacks: list[Callback], folder: Path, place: Mapping[str, Any]
) -> lightning.Trainer:
    try:
        return lightning.Trainer(
            max_epochs=config.max_epochs,
            accelerator=config.accelerator,
            precision=_choose_precision(config),  # type: ignore[arg-type]
            gradient_clip_val=config.gradient_clip,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            # The order of the images is divided by our own sampler, which knows how to go on within an epoch.
            use_distributed_sampler=False,
            default_root_dir=folder,
            **place,
        )
    except (ValueError, MisconfigurationException) as error:
        reason = str(error).splitlines()[0]
        message = (
            f"trainer.accelerator={config.accelerator}, trainer.devices={config.devices}, trainer.strategy="
            f"{config.strategy}, trainer.precision={config.precision}: {reason}"
        )
        raise ConfigError(message) from error


def _choose_precision(config: TrainerConfig) -> str:
    if config.precision != "auto":
        return config.precision
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
