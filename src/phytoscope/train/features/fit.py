"""The features way: views of each image go through the backbone once, and the head is fitted to their features."""

import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.data.datamodule import Samples
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.choices import AugmentPreset, Sampling
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import Task
from phytoscope.train.features.extraction import FeatureExtraction, keep_bound, open_extraction
from phytoscope.train.features.head import ChosenHead, HeadRows, choose_head
from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import build_task
from phytoscope.train.speed.threads import use_threads

# Measured on leaves: beyond two thousand images augmented views cost time and brought nothing.
_VIEWED_IMAGES, _MOST_VIEWS = 2400, 8


def fit_features(job: TrainingJob) -> None:
    """Fits the head to features of some views of each image, and leaves it in the network.

    The head is fitted to the end for each strength of a penalty on its weights, and the one that answers the
    validation images best is kept; learning rate, weight decay, dropout and number of epochs have no part in it. The
    history has one row a strength.

    Args:
        job: What to train; the backbone stays as it is.

    Raises:
        ConfigError: The runtime that was asked for cannot run the network.
        DataValidationError: The samples carry no hashes.
        MissingDependencyError: The runtime that was asked for is not installed.
        StorageError: The cache or the history cannot be written.
        TrainingError: A feature or the loss is not a finite number.
    """
    with use_threads(job.config.trainer.threads):
        _fit(job, choose_views(job), write_history=True)


def start_head(job: TrainingJob) -> None:
    """Fits the head to the backbone as it is, before both are trained: a head start.

    A head that knows nothing yet would send random errors into a good backbone (Kumar 2022, arXiv 2202.10054).

    Args:
        job: What to train; its network's head is changed in place.

    Raises:
        PhytoscopeError: As `fit_features`.
    """
    with use_threads(job.config.trainer.threads):
        _fit(job, 0, write_history=False)


def choose_views(job: TrainingJob) -> int:
    """How many augmented views of each training image are computed, besides the image as it is.

    Args:
        job: `trainer.views` is taken where it is given; else the more the fewer images there are, eight at most and
            none for more than 2,400 images, nor where images are not augmented.
    """
    return count_views(job.config, len(job.train))


def count_views(config: RunConfig, images: int) -> int:
    """The same, where there is no job yet.

    Args:
        config: `trainer.views` and `data.augment` are read.
        images: Training images.
    """
    if config.data.augment is AugmentPreset.none:
        return 0
    if config.trainer.views is not None:
        return config.trainer.views
    return min(_MOST_VIEWS, _VIEWED_IMAGES // max(1, images))


def _fit(job: TrainingJob, views: int, *, write_history: bool) -> None:
    extraction = open_extraction(job, views)
    train = _limit(job)
    seen = _balance(job, _collect(job, extraction, train, views))
    val = _collect(job, extraction, job.val, None)
    if extraction.images > 0:
        keep_bound(job)
    began = time.monotonic()
    task = build_task(job)
    rows: list[dict[str, float]] = []
    chosen = choose_head(task, seen, val, rows)
    if write_history:
        with write_atomic(job.history_path) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
    with torch.no_grad():
        job.network.head.weight.copy_(chosen.weight)
        job.network.head.bias.copy_(chosen.bias)
    _say(job, extraction, chosen, views, task.chosen_by, time.monotonic() - began)


def _limit(job: TrainingJob) -> Samples:
    train, trainer = job.train, job.config.trainer
    if trainer.limit_batches is None or trainer.limit_batches * trainer.batch_size >= len(train):
        return train
    order = np.random.default_rng(job.config.seed).permutation(len(train))
    chosen = np.sort(order[: trainer.limit_batches * trainer.batch_size])
    return Samples(
        train.pixels,
        train.rows[chosen],
        train.target[chosen],
        train.covariates[chosen] if len(train.covariates) > 0 else train.covariates,
        tuple(train.sha256[place] for place in chosen),
        tuple(train.group_ids[place] for place in chosen) if train.group_ids else (),
        tuple(train.paths[place] for place in chosen) if train.paths else (),
    )


def _collect(job: TrainingJob, extraction: FeatureExtraction, samples: Samples, views: int | None) -> HeadRows:
    """Inputs and answers of images as they are and, unless `views` is None, of their augmented views."""
    network, device = job.network, extraction.device
    blocks: list[NDArray[Any]] = []
    covariates: list[Tensor] = []
    given = torch.tensor(samples.covariates, dtype=torch.float32)
    for view in range(1 + (views or 0)):
        blocks.append(extraction.read_view(samples, view))
        covariates.append(given if view == 0 else _hide(job, given, view))
    if views == 0 and network.covariate_dim > 0:
        # The network must also learn to answer where covariates are missing.
        blocks.append(blocks[0])
        covariates.append(_hide(job, given, 1))
    features = torch.from_numpy(np.concatenate(blocks)).to(device)
    if network.covariate_dim > 0:
        features = torch.cat([features.float(), torch.cat(covariates).to(device)], dim=1)
    target = torch.tensor(samples.target, device=device)
    return HeadRows(features, target.repeat(len(blocks), *(1 for _ in samples.target.shape[1:])))


def _balance(job: TrainingJob, seen: HeadRows) -> HeadRows:
    """Every class equally often where the settings want it: rows of rare classes come again, in turn."""
    if job.meaning.task is not Task.classification or job.config.task.sampling is not Sampling.balanced:
        return seen
    classes = seen.target.cpu().numpy()
    present = np.unique(classes)
    quota = -(-len(classes) // len(present))
    drawn = np.concatenate([np.resize(np.flatnonzero(classes == label), quota) for label in present])
    rows = torch.from_numpy(drawn).to(seen.target.device)
    return HeadRows(seen.inputs[rows], seen.target[rows])


def _hide(job: TrainingJob, covariates: Tensor, view: int) -> Tensor:
    """Covariates as the network sees them while training, some of them hidden."""
    if job.network.covariate_dim == 0:
        return covariates
    module = job.network.covariate_dropout
    was_training = module.training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([job.config.seed, view]).generate_state(1)[0]))
        hidden: Tensor = module.train()(covariates)
    module.train(was_training)
    return hidden


def _say(
    job: TrainingJob, extraction: FeatureExtraction, chosen: ChosenHead, views: int, metric: str, seconds: float
) -> None:
    runtime = extraction.computed_by
    if runtime is None:
        source = "all features were in the cache"
    else:
        source = (
            f"{extraction.images:,} features computed by {runtime.value} in {extraction.seconds:.1f} s "
            f"({extraction.images_per_s:.0f} images/s), the rest from the cache"
        )
    plural = "" if views == 1 else "s"
    job.say(
        f"features: {len(job.train):,} training images as they are and in {views} augmented view{plural}, "
        f"{len(job.val):,} validation images; {source}. The head was fitted in {seconds:.1f} s with a penalty of "
        f"{chosen.strength:.2g}, the best of {chosen.tried} by val/{metric}."
    )
