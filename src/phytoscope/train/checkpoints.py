"""Checkpoints that survive a kill: whole or not at all, and read without unpickling."""

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from phytoscope.errors import TrainingError
from phytoscope.schema.artifact import write_atomic

BEST_NAME = "best.ckpt"
LAST_NAME = "last.ckpt"


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
