"""Checkpoints that survive a kill: whole or not at all, and read without unpickling."""

import io
import time
from collections.abc import Mapping, Set
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from phytoscope.errors import TrainingError
from phytoscope.models.adapters import Adaptation
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.artifact import write_atomic

BEST_NAME = "best.ckpt"
LAST_NAME = "last.ckpt"
_PREFIX = "network."


def list_changing(network: PlantNetwork, adaptation: Adaptation) -> frozenset[str]:
    """Names in the network's `state_dict` of everything that training can change.

    Args:
        network: The adapted network.
        adaptation: What of its backbone is trained.
    """
    prefix = "backbone."
    parameters = {name for name, _ in network.named_parameters()}

    def changes(name: str) -> bool:
        if not name.startswith(prefix):
            return True
        inside = name.removeprefix(prefix)
        if name in parameters:
            return inside in adaptation.trained
        return inside.rpartition(".")[0] in adaptation.statistics

    return frozenset(name for name in network.state_dict() if changes(name))


def drop_frozen(checkpoint: dict[str, Any], changing: Set[str], backbone_hash: str) -> None:
    """Leaves out of a checkpoint what training never changes, so that an adapter's checkpoint has the adapter's size.

    Args:
        checkpoint: What Lightning is about to write; changed in place.
        changing: See `list_changing`.
        backbone_hash: Hash of the backbone that is left out, to be found again in `put_back_frozen`.
    """
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name: value for name, value in state.items() if _inside(name) in changing}
    checkpoint["backbone_hash"] = backbone_hash


def put_back_frozen(checkpoint: dict[str, Any], live: Mapping[str, torch.Tensor], backbone_hash: str) -> None:
    """Completes a checkpoint with what training never changes.

    Args:
        checkpoint: What Lightning has read; changed in place.
        live: State of the network that is about to receive it, each tensor in its parameter's shape.
        backbone_hash: Hash of its backbone.

    Raises:
        TrainingError: The checkpoint was written with another backbone.
    """
    if checkpoint.get("backbone_hash") != backbone_hash:
        message = "the checkpoint was written with other pre-trained weights: remove it and train again."
        raise TrainingError(message)
    whole = {f"{_PREFIX}{name}": value for name, value in live.items()}
    checkpoint["state_dict"] = {**whole, **checkpoint["state_dict"]}


def _inside(name: str) -> str:
    return name.removeprefix(_PREFIX)


def load_network_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """What training changed in the network, without the task around it; averaged where weights are averaged.

    Args:
        checkpoint: A checkpoint that `fit_task` wrote.

    Returns:
        Name in the network's `state_dict` -> tensor of its shape; what was never trained is not among them.

    Raises:
        TrainingError: It is not one, or is damaged.
    """
    content = _read_checkpoint(checkpoint)
    state = {_inside(name): value for name, value in content["state_dict"].items() if name.startswith(_PREFIX)}
    return {**state, **content.get("average", {}).get("tensors", {})}


def restore_network(network: PlantNetwork, checkpoint: Path) -> None:
    """Brings a network to the weights of a checkpoint.

    Args:
        network: The network that was trained, adapted in the same way; what is never trained stays as it is.
        checkpoint: A checkpoint that `fit_task` wrote.

    Raises:
        TrainingError: It is not one, is damaged, or belongs to another network.
    """
    state = load_network_state(checkpoint)
    try:
        network.load_state_dict({**network.state_dict(), **state})
    except RuntimeError as error:
        message = f"the checkpoint {str(checkpoint)!r} belongs to another network: run `phytoscope train` again."
        raise TrainingError(message) from error


def can_continue(folder: Path, history_path: Path) -> bool:
    """Whether an interrupted training can go on: its last and best checkpoint and its history are whole.

    Within the first epoch there is neither a best checkpoint nor a history yet.

    Args:
        folder: Where `fit_task` wrote the checkpoints.
        history_path: Where it wrote the history.
    """
    try:
        if _read_checkpoint(folder / LAST_NAME).get("whole_epochs") == 0:
            return True
        load_network_state(folder / BEST_NAME)
        return "epoch" in pd.read_csv(history_path).columns
    except (TrainingError, OSError, ValueError):
        return False


def _read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
        dict(content["state_dict"])
    # torch raises half a dozen unrelated classes for a file that is not what it expects.
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, TypeError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"the checkpoint {str(checkpoint)!r} cannot be read ({reason}): run `phytoscope train` again."
        raise TrainingError(message) from error
    return content


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints as every artefact is written: whole or not at all, and a full disk is said so."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes one checkpoint."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with write_atomic(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class EpochCheckpoint(ModelCheckpoint):
    """Keeps the best epoch also when the folder was moved between two parts of a training."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up which epoch was the best."""
        folder = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        paths = {
            name: moved(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


class LastCheckpoint(Checkpoint):
    """Writes where training stands, after each epoch and after so many minutes within one.

    Lightning's own `save_last` writes only when the metric improved; a restart must not lose the epochs since.
    """

    def __init__(self, path: Path, *, minutes: float) -> None:
        """Starts the clock.

        Args:
            path: The checkpoint, replaced each time.
            minutes: Time after which one is written within an epoch.
        """
        self._path = path
        self._seconds = 60 * minutes
        self._written = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes a checkpoint when it is time."""
        # After the last batch comes the validation, and then the checkpoint of the whole epoch.
        if batch_idx + 1 < trainer.num_training_batches and self._is_time(trainer):
            self._write(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Writes the checkpoint of a whole epoch."""
        self._write(trainer)

    def _is_time(self, trainer: lightning.Trainer) -> bool:
        is_time = time.monotonic() - self._written >= self._seconds
        # Every device takes part in writing, so one clock decides for all.
        return bool(trainer.strategy.broadcast(is_time)) if trainer.world_size > 1 else is_time

    def _write(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self._path)
        self._written = time.monotonic()
