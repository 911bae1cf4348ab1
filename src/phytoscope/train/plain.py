"""The plain way: every epoch augments the images and runs the whole network."""

import dataclasses

import numpy as np
import torch

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.schema.choices import Sampling
from phytoscope.schema.table import Task
from phytoscope.train.callbacks import HistoryWriter
from phytoscope.train.checkpoints import restore_network
from phytoscope.train.fit import fit_task
from phytoscope.train.job import TrainingJob
from phytoscope.train.speed.compile import compiled
from phytoscope.train.speed.memory import keep_memory
from phytoscope.train.speed.plan import SpeedPlan
from phytoscope.train.speed.profile import ProfileWatcher
from phytoscope.train.speed.progressive import GrowingAugmentation, plan_sizes
from phytoscope.train.speed.threads import use_threads
from phytoscope.train.tasks import ClassificationTask, PlantTask, RegressionTask


def fit_plain(job: TrainingJob, plan: SpeedPlan) -> None:
    """Trains with Lightning and leaves the weights of the best epoch in the network.

    Args:
        job: What to train.
        plan: How the work is arranged.

    Raises:
        ConfigError: The backbone takes images of one size only and `trainer.smallest_size` asks for others.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    sizes = plan_sizes(job.config, job.preprocess.size_px)
    if sizes.smallest < 1:
        job = dataclasses.replace(job, augmentation=GrowingAugmentation(job.augmentation, sizes))
        job.say(
            f"trainer.smallest_size={sizes.smallest:g}: training images grow from {sizes.side(0)} to {sizes.size_px} "
            f"px, which leaves {100 * sizes.mean_cost():.0f} % of the work."
        )
    if plan.compile:
        job.say(f"the network is compiled before it is trained: {plan.compile_reason}.")
    fit_batches(job, num_workers=plan.num_workers, compile_first=plan.compile)


def fit_batches(job: TrainingJob, *, num_workers: int, compile_first: bool = False) -> None:
    """Trains a network on the batches of a job, whatever stands for its images.

    Args:
        job: What to train.
        num_workers: Processes that prepare batches.
        compile_first: Whether the network is compiled.

    Raises:
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    trainer = job.config.trainer
    # Convolutions on a CPU, and those in half precision on a GPU, run faster with the channels last in memory.
    job.network.to(memory_format=torch.channels_last)
    profiler = ProfileWatcher(job.history_path.parent / "profile", job.say) if trainer.profile else None
    watchers = job.watchers if profiler is None else (*job.watchers, profiler)
    with keep_memory(), use_threads(trainer.threads), compiled(job.network, wanted=compile_first):
        best = fit_task(
            build_task(job),
            build_datamodule(job, num_workers),
            trainer,
            folder=job.folder,
            history=HistoryWriter(job.history_path, job.journal),
            progress=job.progress,
            watchers=watchers,
            crew=job.crew,
        )
    restore_network(job.network, best)


def build_task(job: TrainingJob) -> PlantTask:
    """Builds the Lightning task of a job."""
    config = job.config
    if job.meaning.task is Task.regression:
        return RegressionTask(
            job.network,
            job.adaptation,
            config.trainer,
            seed=config.seed,
            task_config=config.task,
            meaning=job.meaning,
        )
    return ClassificationTask(
        job.network,
        job.adaptation,
        config.trainer,
        seed=config.seed,
        task_config=config.task,
        class_counts=np.bincount(job.train.target, minlength=job.meaning.outputs),
    )


def build_datamodule(job: TrainingJob, num_workers: int) -> PlantDataModule:
    """Builds the batches of a job.

    Args:
        job: Samples, augmentation, settings.
        num_workers: Processes that prepare training batches.
    """
    trainer = job.config.trainer
    return PlantDataModule(
        job.train,
        job.val,
        augmentation=job.augmentation,
        batch_size=trainer.batch_size,
        seed=job.config.seed,
        num_workers=num_workers,
        limit_batches=trainer.limit_batches,
        balanced=job.meaning.task is Task.classification and job.config.task.sampling is Sampling.balanced,
    )
