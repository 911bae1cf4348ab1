"""Wiring of the trainer: checkpoints that survive a kill, early stopping, history, progress."""

import io
import logging
import signal
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.config import TrainerConfig
from phytoscope.schema.progress import Progress
from phytoscope.train.tasks import PlantTask
from phytoscope.transforms.stream import count_cores

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
        config: Length and speed, with nothing left open.
        monitor: Validation metric that chooses the best epoch, for example `val/macro_f1`.
        higher_is_better: Its direction.
        folder: Where checkpoints go.
        history_path: CSV with one row an epoch.
        progress: Told about every batch.

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
    mode = "max" if higher_is_better else "min"
    callbacks: list[Callback] = [
        _EarlyStopping(monitor=monitor, mode=mode, patience=config.patience, check_on_train_epoch_end=True),
        # The history must be on the disk before the checkpoint that says the epoch is done.
        _HistoryCallback(history_path),
        _ProgressCallback(progress, monitor),
        _Checkpoint(
            dirpath=folder,
            filename=Path(BEST_NAME).stem,
            monitor=monitor,
            mode=mode,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
        # Lightning's own `save_last` writes only when the metric improved; a restart must not lose the epochs since.
        _Checkpoint(
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
            precision=config.precision,  # type: ignore[arg-type]
            gradient_clip_val=config.gradient_clip,
            callbacks=callbacks,
            plugins=[_AtomicCheckpointIO()],
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


def load_network_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Parameters of the network in a checkpoint, without the task around it.

    Args:
        checkpoint: A checkpoint that `fit_task` wrote.

    Returns:
        Parameter name -> tensor of the parameter's shape.

    Raises:
        TrainingError: It is not one, or is damaged.
    """
    try:
        content: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = dict(content)["state_dict"]
    # torch raises half a dozen unrelated classes for a file that is not what it expects.
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, TypeError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"the checkpoint {str(checkpoint)!r} cannot be read ({reason}): run `phytoscope train` again."
        raise TrainingError(message) from error
    prefix = "network."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def can_continue(folder: Path, history_path: Path) -> bool:
    """Whether an interrupted training can go on: its last and best checkpoint and its history are whole.

    Args:
        folder: Where `fit_task` wrote the checkpoints.
        history_path: Where it wrote the history.
    """
    try:
        for name in (BEST_NAME, LAST_NAME):
            load_network_state(folder / name)
        return "epoch" in pd.read_csv(history_path).columns
    except (TrainingError, OSError, ValueError):
        return False


class _AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints as every artefact is written: whole or not at all, and a full disk is said so."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with write_atomic(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class _Checkpoint(ModelCheckpoint):
    """Keeps the best epoch also when the folder was moved between two parts of a training."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        paths = {
            name: moved(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


class _EarlyStopping(EarlyStopping):
    """Stays stopped when a training that had stopped is taken up again."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


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
