"""The folder that a job on another machine works in: it must be seen there, and nobody else may be writing into it."""

import contextlib
import dataclasses
import platform
from collections.abc import Iterator
from pathlib import Path

from phytoscope.errors import ClusterError, ConfigError
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import EngineKind
from phytoscope.schema.folder_lock import hold_folder
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.ray_ranks import check_ray_training, trains_on_ray
from phytoscope.storage.mirror import find_address
from phytoscope.train.speed.threads import share_cores

_LOCK = ".at-work.lock"
_PATIENCE_SECONDS = 60.0
"""Time in which a worker ends whose machine the cluster has given up already."""


def check_jobs(context: RunContext) -> None:
    """Makes sure, before anything is computed, that workers of a cluster can do trials or folds one by one.

    Args:
        context: Settings, and the folder that trials or folds belong to.

    Raises:
        ConfigError: They cannot.
    """
    config = context.config
    if config.engine.kind is not EngineKind.ray:
        return
    if trains_on_ray(config):
        check_ray_training(context, watched=True)
    address = find_address(context.run.root)
    if address is not None and config.engine.address is not None:
        message = (
            f"{address!r} is an address, and workers of the cluster at engine.address={config.engine.address!r} write "
            "networks into the folder of the run: choose a folder that all its machines see under the same path as "
            "paths.runs_dir or paths.run_dir, or leave out engine.address to use this machine alone."
        )
        raise ConfigError(message)


def bound_cores(config: RunConfig, cores: int) -> RunConfig:
    """The settings with a training that has only some cores of its machine; see `share_cores`."""
    return dataclasses.replace(config, trainer=share_cores(config.trainer, cores))


@contextlib.contextmanager
def at_work(run: RunFolder, prepared: Path) -> Iterator[None]:
    """Begins to work in a folder as a worker of a cluster; waits for one that was given up and has not ended yet.

    Args:
        run: Folder to work in; whoever started the cluster holds its lock already.
        prepared: A file of the prepared data, which must be there.

    Raises:
        ClusterError: This machine does not see the folder.
        ArtifactError: Another worker does not end.
        StorageError: The place cannot be written.
    """
    if not prepared.is_file():
        message = (
            f"the machine {platform.node()!r} of the cluster does not see {str(prepared)!r}: keep paths.runs_dir on a "
            "file system that all machines see under the same path, or leave out engine.address to use one machine."
        )
        raise ClusterError(message)
    taken = (
        f"another worker still works in {str(run.root)!r} after {_PATIENCE_SECONDS:.0f} s: end it, and run the same "
        "command again; it goes on."
    )
    with hold_folder(run.root / _LOCK, taken, patience_s=_PATIENCE_SECONDS):
        yield
