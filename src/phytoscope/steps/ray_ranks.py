"""Training on a Ray cluster: one worker a device; a group that lost one begins anew at the last checkpoint."""

import dataclasses
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from phytoscope.cluster.ray_session import ray_session
from phytoscope.errors import ClusterError, ConfigError, PhytoscopeError, TrainingError, require
from phytoscope.schema.choices import TrainMode
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import EngineKind
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.epoch_teller import EpochTeller
from phytoscope.steps.ranks import train_along
from phytoscope.storage.mirror import find_address
from phytoscope.train.checkpoints import BEST_NAME, restore_network
from phytoscope.train.devices import is_launched
from phytoscope.train.job import TrainingJob
from phytoscope.train.ray_devices import RayCrew
from phytoscope.train.speed.plan import read_plan
from phytoscope.train.speed.threads import share_cores

_LOOK_SECONDS = 0.5
"""Time after which the history is looked at again, and Ctrl-C is heard."""


def trains_on_ray(config: RunConfig) -> bool:
    """Whether the settings ask for a training by several workers of a Ray cluster."""
    return config.engine.kind is EngineKind.ray and config.trainer.devices * config.trainer.num_nodes > 1


def check_ray_training(context: RunContext, *, watched: bool) -> None:
    """Makes sure, before anything is computed, that workers of a cluster can do what is asked for.

    Args:
        context: Settings and folder.
        watched: Whether somebody in this process wants to look at the training step by step.

    Raises:
        ConfigError: They cannot.
    """
    config = context.config
    refused = []
    if is_launched(os.environ):
        refused.append("torchrun or SLURM, which start processes of their own")
    if config.trainer.strategy != "auto":
        refused.append(f"trainer.strategy={config.trainer.strategy}")
    if config.task.pseudo_labels:
        refused.append("task.pseudo_labels=true, which trains two networks one after the other")
    if config.trainer.profile:
        refused.append("trainer.profile=true, which looks at one process")
    if watched or not context.run.record("prepare").exists():
        refused.append("sweeps, folds and ensembles, whose trainings are divided among the workers one by one")
    if find_address(context.run.root) is not None and config.engine.address is not None:
        refused.append("a run that lives at an address, whose checkpoints only this machine could write")
    if refused:
        message = (
            f"engine=ray with trainer.devices={config.trainer.devices}, trainer.num_nodes={config.trainer.num_nodes} "
            f"lets several workers train one network; that does not go together with {'; '.join(refused)}: leave that "
            "out, or use trainer.devices=1 and trainer.num_nodes=1."
        )
        raise ConfigError(message)


def fit_on_ray(context: RunContext, job: TrainingJob) -> TrainMode:
    """Trains a network with workers of a Ray cluster, one a device.

    The workers read what was prepared, and write checkpoints and history, in the folder of the run, so all machines
    must see it under the same path. When a worker or its machine is lost, the others begin anew at the last checkpoint,
    with as many workers as there is room for.

    Args:
        context: Settings and folder, in which everything is ready for training.
        job: What to train; its network holds the best weights afterwards.

    Returns:
        The way of training that was taken.

    Raises:
        ClusterError: The cluster cannot be reached, is too small, or workers were lost too often.
        MissingDependencyError: Ray is not installed.
        TrainingError: The training left no weights.
        PhytoscopeError: What the training raises in a worker.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    config = context.config
    # A cluster may count a machine for a while that is gone; then Ray finds out only by waiting, a minute by default.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "15")
    with ray_session(config.engine, context.say) as ray, tempfile.TemporaryDirectory() as place:
        wanted = config.trainer.devices * config.trainer.num_nodes
        needs = _list_needs(ray, config)
        room = _count_room(ray, needs)
        if room < wanted:
            message = (
                f"trainer.devices x trainer.num_nodes asks for {wanted} workers with {_word(needs)} each, and the "
                f"cluster has room for {room}: add machines, or lower trainer.devices or engine.cores."
            )
            raise ClusterError(message)
        teller = EpochTeller(context.run.history, context.journal, context.say, epochs=job.config.trainer.max_epochs)
        for attempt in range(config.engine.retries + 1):
            # Those that are left after a loss train on, and those that come back join them.
            workers: Any = wanted if attempt == 0 else (1, wanted)
            group = _Group(context, workers, needs, Path(place))
            reason = group.wait(teller)
            if reason is None:
                break
            context.say(f"train: a worker was lost ({reason}); training goes on at the last checkpoint")
        else:
            message = (
                f"training lost its workers {config.engine.retries + 1} times, the last time because of: {reason}. "
                "What is finished is kept: the same command goes on at the last checkpoint; engine.retries says how "
                "often it does so by itself."
            )
            raise ClusterError(message)
    best, plan = job.folder / BEST_NAME, read_plan(job.folder)
    if not best.exists() or plan is None:
        message = (
            f"the workers wrote no checkpoint into {str(job.folder)!r}: the folder of the run (paths.run_dir) must lie "
            "on a file system that all machines of the cluster see under the same path."
        )
        raise TrainingError(message)
    restore_network(job.network, best)
    return plan.mode


def train_as_worker(given: dict[str, Any]) -> None:
    """What each worker of the cluster does.

    Args:
        given: `config`: the settings; `root`: folder of the run; `cwd`: folder that relative paths begin in.

    Raises:
        PhytoscopeError: What the prepared data, the settings or the training raise.
    """
    if Path(given["cwd"]).is_dir():
        # Relative paths in the settings were meant from there.
        os.chdir(given["cwd"])
    train_along(RunContext(given["config"], RunFolder(Path(given["root"]))), RayCrew())


class _Group:
    """Workers that train together until they are done or one is lost."""

    def __init__(self, context: RunContext, workers: Any, needs: dict[str, float], place: Path) -> None:
        train, torch_train = require("ray.train"), require("ray.train.torch")
        config = context.config
        self._trainer = torch_train.TorchTrainer(
            train_as_worker,
            train_loop_config={
                "config": _bound_cores(config),
                "root": str(context.run.root.resolve()),
                "cwd": str(Path.cwd()),
            },
            scaling_config=train.ScalingConfig(
                num_workers=workers, use_gpu="GPU" in needs, resources_per_worker=dict(needs)
            ),
            # Ray would begin anew after an error of ours too, which would come again.
            run_config=train.RunConfig(
                name=context.run.root.name,
                storage_path=str(place),
                failure_config=train.FailureConfig(max_failures=0),
                logging_config=train.LoggingConfig(log_level="ERROR"),
            ),
        )
        self._failure: BaseException | None = None
        # In a thread of its own Ray leaves Ctrl-C alone.
        self._thread = threading.Thread(target=self._fit, daemon=True)

    def wait(self, teller: EpochTeller) -> str | None:
        """Trains; says why a worker was lost, or None when the training is finished."""
        self._thread.start()
        while self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)
            teller.look()
        teller.look()
        if self._failure is None:
            return None
        if not isinstance(self._failure, require("ray.train").WorkerGroupError):
            message = f"the workers of the cluster could not begin to train: {_find_last_line(self._failure)}"
            raise ClusterError(message) from self._failure
        errors = [getattr(error, "_base_exc", error) for error in self._failure.worker_failures.values()]
        for error in errors:
            if isinstance(error, PhytoscopeError):
                raise error
        return _find_last_line(errors[0] if errors else self._failure)

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self._failure = error


def _find_last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _bound_cores(config: RunConfig) -> RunConfig:
    # Several workers may share a machine, and none must take the cores of the others.
    return dataclasses.replace(config, trainer=share_cores(config.trainer, config.engine.cores))


def _list_needs(ray: Any, config: RunConfig) -> dict[str, float]:
    needs: dict[str, float] = {"CPU": config.engine.cores}
    on_gpu = config.trainer.accelerator in ("auto", "gpu", "cuda") and _sum_up(ray, "GPU") > 0
    if on_gpu or config.engine.gpus > 0:
        needs["GPU"] = config.engine.gpus if config.engine.gpus > 0 else 1
    return needs


def _count_room(ray: Any, needs: dict[str, float]) -> int:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(min(int(node.get(name, 0) / need) for name, need in needs.items()) for node in nodes)


def _sum_up(ray: Any, name: str) -> float:
    return float(sum(node["Resources"].get(name, 0) for node in ray.nodes() if node["Alive"]))


def _word(needs: dict[str, float]) -> str:
    words = {"CPU": "cores", "GPU": "GPUs"}
    return " and ".join(f"{need:g} {words[name]}" for name, need in needs.items())
