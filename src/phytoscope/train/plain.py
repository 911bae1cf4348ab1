"""The plain way: every epoch augments the images and runs the whole network."""

import numpy as np

from phytoscope.data.datamodule import PlantDataModule
from phytoscope.schema.table import Task
from phytoscope.train.checkpoints import load_network_state
from phytoscope.train.fit import choose_num_workers, fit_task
from phytoscope.train.job import TrainingJob
from phytoscope.train.tasks import ClassificationTask, PlantTask, RegressionTask


def fit_plain(job: TrainingJob) -> None:
    """Trains with Lightning and leaves the weights of the best epoch in the network.

    Raises:
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    best = fit_task(
        build_task(job),
        build_datamodule(job),
        job.config.trainer,
        folder=job.folder,
        history_path=job.history_path,
        progress=job.progress,
    )
    job.network.load_state_dict(load_network_state(best))


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


def build_datamodule(job: TrainingJob) -> PlantDataModule:
    """Builds the batches of a job."""
    trainer = job.config.trainer
    return PlantDataModule(
        job.train,
        job.val,
        augmentation=job.augmentation,
        batch_size=trainer.batch_size,
        seed=job.config.seed,
        num_workers=choose_num_workers(trainer, -(-len(job.train) // trainer.batch_size)),
        limit_batches=trainer.limit_batches,
    )
