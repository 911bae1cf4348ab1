"""Several devices: how they are started, what they tell each other, and what became of them."""

import logging
import multiprocessing
import warnings
from collections.abc import Mapping
from typing import Protocol

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.nn.utils import parametrize

from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.train_config import TrainerConfig

_STARTED_BY_US = "ddp_spawn"
_STARTED_BY_OTHERS = "ddp"
_SOME_STAND_STILL = "_find_unused_parameters_true"
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)
"""Where torchrun, SLURM and MPI say which process this is, and how many there are."""


KNOWN_WARNINGS = (
    ".*does not have many workers.*",
    # Inside Lightning; nothing a user could do about it.
    ".*LeafSpec.*is deprecated",
    ".*smaller than the logging interval.*",
    "Checkpoint directory .* exists and is not empty",
    # Lightning does not know that our batches can be resumed, nor that the frozen part is meant to be in eval mode.
    "You're resuming from a checkpoint that ended before the epoch ended",
    ".*in eval mode at the start of training.*",
)
"""What Lightning warns of without need."""


class Crew(Protocol):
    """Processes that a cluster has started to train together, one a device, of which this is one."""

    def build_strategy(self, *, frozen_first: bool) -> Strategy:
        """How they work together.

        Args:
            frozen_first: Whether some parameters stand still only in the first epochs: their gradients are missing
                then.
        """
        ...

    def build_environment(self) -> ClusterEnvironment:
        """Which of them this process is."""
        ...


class QuietProcess(Callback):
    """Lets the processes of other devices say no more than the first one does."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Filters warnings in a process of its own; elsewhere they are filtered around the training."""
        if multiprocessing.parent_process() is not None:
            logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
            for message in KNOWN_WARNINGS:
                warnings.filterwarnings("ignore", message=message)


def gather(values: Tensor) -> Tensor:
    """Puts together a tensor of each device; to be called on all of them.

    Args:
        values: Any shape, the same on every device.

    Returns:
        Shape (devices, ...), the same on every device.
    """
    parts = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, values.contiguous())
    return torch.stack(parts)


def choose_strategy(config: TrainerConfig, environment: Mapping[str, str], *, frozen_first: bool) -> str:
    """Chooses how the devices of a training work together.

    Args:
        config: `devices`, `num_nodes` and `strategy` are read.
        environment: Environment variables: torchrun and SLURM say there that they have started one process a device.
        frozen_first: Whether some parameters stand still only in the first epochs: their gradients are missing then.

    Returns:
        Lightning's name of the strategy.

    Raises:
        ConfigError: The strategy would start the command line anew, or several machines were not started together.
    """
    if config.devices * config.num_nodes == 1:
        return config.strategy
    launched = is_launched(environment)
    if config.num_nodes > 1 and not launched:
        message = (
            f"trainer.num_nodes={config.num_nodes}: start the command on every machine with torchrun or SLURM, one "
            "process a device, or train on a Ray cluster with engine=ray."
        )
        raise ConfigError(message)
    if config.strategy == "auto":
        return (_STARTED_BY_OTHERS if launched else _STARTED_BY_US) + (_SOME_STAND_STILL if frozen_first else "")
    if not launched and "spawn" not in config.strategy and "fork" not in config.strategy:
        message = (
            f"trainer.strategy={config.strategy} would start the command line anew for each device: use auto or "
            "ddp_spawn, or start one process a device with torchrun."
        )
        raise ConfigError(message)
    return config.strategy


def check_sendable(network: nn.Module, strategy: str) -> None:
    """Makes sure that a network can be handed to the processes that are to train it.

    Args:
        network: The adapted network.
        strategy: Lightning's name of the strategy.

    Raises:
        ConfigError: Processes would be spawned, and the network has weights that are computed from others (lora, ssf),
            which torch cannot send.
    """
    if "spawn" in strategy and any(parametrize.is_parametrized(module) for module in network.modules()):
        message = (
            f"trainer.strategy={strategy} cannot send a network with adapt=lora or adapt=ssf to other processes: start "
            "one process a device with torchrun, train with engine=ray, or choose adapt=norm, last_stages or full."
        )
        raise ConfigError(message)


def is_launched(environment: Mapping[str, str]) -> bool:
    """Whether torchrun, SLURM or MPI has started one process a device, of which this is one."""
    # A SLURM job of one task is an ordinary process, though its environment has a rank.
    return find_rank(environment)[1] > 1


def find_rank(environment: Mapping[str, str]) -> tuple[int, int]:
    """Which process this is, from 0, and how many there are; 0 of 1 where nobody has started several."""
    for rank, count in _LAUNCHERS:
        if environment.get(rank, "").isdigit() and environment.get(count, "").isdigit():
            return int(environment[rank]), int(environment[count])
    return 0, 1


def is_divided(config: TrainerConfig, environment: Mapping[str, str]) -> bool:
    """Whether this process is one of several that train together and were started by somebody else."""
    return config.devices * config.num_nodes > 1 and is_launched(environment)


def read_error_of_device(error: ProcessRaisedException) -> TrainingError:
    """Says what ended the process of a device, without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else "no reason was given"
    message = f"the process of a device ended: {reason.removeprefix('phytoscope.errors.')}"
    return TrainingError(message)
