"""One process a device, started by torchrun or SLURM: the first takes every step, the others only train with it."""

import dataclasses
import datetime
import os
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback

from phytoscope.errors import ConfigError
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Split
from phytoscope.schema.train_config import TrainerConfig
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import open_cache, read_prepared
from phytoscope.steps.training_job import build_job, fit_preprocess
from phytoscope.train.devices import Crew, find_rank, is_divided
from phytoscope.train.modes import fit_job

# The others wait while the first one prepares the data, which takes hours for a million images.
_PATIENCE = datetime.timedelta(days=2)


def call_others(config: TrainerConfig, run: RunFolder | None) -> None:
    """Lets the processes of the other devices begin to train, or end; does nothing where there are none.

    Args:
        config: Number of devices and machines.
        run: The folder in which everything is ready for training; None when there is nothing to train.
    """
    if is_divided(config, os.environ):
        _exchange(None if run is None else str(run.root))


def check_divided(config: RunConfig) -> None:
    """Makes sure that processes of other devices can do what is asked for; to be called in each of them.

    Raises:
        ConfigError: Two networks would have to be trained one after the other, or the training is to be profiled.
    """
    if config.task.pseudo_labels and is_divided(config.trainer, os.environ):
        message = (
            "task.pseudo_labels=true trains two networks one after the other, and processes that torchrun or SLURM "
            "started train only one together: start the command without them (trainer.devices then starts its own), "
            "or leave out task.pseudo_labels."
        )
        raise ConfigError(message)
    if config.trainer.profile and is_divided(config.trainer, os.environ):
        message = (
            "trainer.profile=true looks at one process, and torchrun or SLURM started several: profile with one device "
            "(trainer.devices=1) and without them."
        )
        raise ConfigError(message)


def follow(context: RunContext) -> None:
    """Waits until the first process has prepared everything, and trains with it.

    Args:
        context: Settings; the folder is the one of the first process.

    Raises:
        PhytoscopeError: What the first process met too.
    """
    check_divided(context.config)
    root = _exchange(None)
    if root is None:
        return
    # What is to be said, the first process says.
    train_along(RunContext(context.config, RunFolder(Path(root))))


def train_along(context: RunContext, crew: Crew | None = None, watchers: tuple[Callback, ...] = ()) -> None:
    """Trains in one of several processes on what another one has prepared; the first of them writes the checkpoints.

    Args:
        context: Settings, and the folder in which everything is ready for training.
        crew: The processes that a cluster has started; None where torchrun or SLURM has.
        watchers: Further Lightning callbacks.

    Raises:
        PhytoscopeError: What the prepared data, the settings or the training raise.
    """
    prepared = read_prepared(context)
    preprocess = fit_preprocess(context.config, prepared.of(Split.train))
    cache = open_cache(context, prepared, preprocess)
    rows = prepared.of(Split.train), prepared.of(Split.val)
    job, _ = build_job(context, *rows, cache, preprocess, unit=prepared.unit)
    fit_job(dataclasses.replace(job, crew=crew, watchers=watchers))


def _exchange(root: str | None) -> str | None:
    if not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        rank, world = find_rank(os.environ)
        if "MASTER_ADDR" not in os.environ and SLURMEnvironment.detect():
            # torchrun names the first machine in the environment; SLURM leaves it to be found out.
            slurm = SLURMEnvironment(auto_requeue=False)
            os.environ.update(MASTER_ADDR=slurm.main_address, MASTER_PORT=str(slurm.main_port))
        torch.distributed.init_process_group(backend, rank=rank, world_size=world, timeout=_PATIENCE)
    said = [root]
    torch.distributed.broadcast_object_list(said, src=0, device=torch.device("cpu"))
    return said[0]
