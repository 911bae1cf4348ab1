"""Training of what stands above the cut."""

import dataclasses

import numpy as np

from phytoscope.data.datamodule import Samples
from phytoscope.schema.choices import AugmentPreset, CompileChoice
from phytoscope.schema.pixels import PixelSource
from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import fit_batches
from phytoscope.train.speed.plan import SpeedPlan
from phytoscope.train.speed.threads import use_threads
from phytoscope.train.trunk.activations import RowNumbers, TrunkRunner, ViewReader
from phytoscope.train.trunk.cut import TrunkCut, find_cut
from phytoscope.train.trunk.tail import TailNetwork

_MOST_VIEWS = 8
# The rest of the cache is for the pixels and for what other runs keep.
_CACHE_SHARE = 0.5


def fit_trunk(job: TrainingJob, plan: SpeedPlan) -> None:
    """Runs the stages that are not trained once over some views of each image, and trains the rest on what they gave.

    Args:
        job: What to train.
        plan: How the work is arranged.

    Raises:
        ConfigError: Everything is trained, or the order of execution in the backbone is not known.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: The cache, a checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; everything up to the last checkpoint is kept.
    """
    cut = find_cut(job.network, job.adaptation)
    runner = TrunkRunner(job, cut)
    views = choose_views(job, runner.bytes_per_view)
    runner.expect(views * len(job.train) + len(job.val))
    _say_cut(job, cut, views, runner.bytes_per_view)
    as_they_are = job.config.data.augment is AugmentPreset.none or job.config.trainer.views == 0
    first = 0 if as_they_are else 1
    with use_threads(job.config.trainer.threads):
        val = runner.complete(job.val, 0)
        train = tuple(runner.complete(job.train, view) for view in range(first, first + views))
    tail_job = dataclasses.replace(
        job,
        network=TailNetwork(job.network, cut, runner.dimensions),
        train=_swap(job.train, RowNumbers()),
        val=_swap(job.val, val),
        augmentation=ViewReader(train),
    )
    # Reading activations costs next to nothing: a process of its own would cost more.
    always = job.config.trainer.compile is CompileChoice.always
    fit_batches(tail_job, num_workers=0, compile_first=plan.compile and always)


def choose_views(job: TrainingJob, bytes_per_view: int) -> int:
    """How many views of each training image are kept.

    Args:
        job: `trainer.views` is taken where it is given, with one view of images as they are for 0; else one an epoch,
            eight at most, and no more than the cache holds.
        bytes_per_view: Space that one view of one image takes.
    """
    trainer = job.config.trainer
    if job.config.data.augment is AugmentPreset.none:
        return 1
    if trainer.views is not None:
        return max(1, trainer.views)
    room = _CACHE_SHARE * job.config.paths.cache_max_gb * 1e9
    fitting = int(room // max(1, bytes_per_view * len(job.train)))
    return max(1, min(_MOST_VIEWS, trainer.max_epochs or 1, fitting))


def list_pixel_settings(job: TrainingJob) -> list[str]:
    """Settings of a job that change the pixels in every epoch anew, so that nothing can be computed once."""
    config = job.config
    found = []
    if config.task.mixup > 0:
        found.append(f"task.mixup={config.task.mixup:g}")
    if config.task.cutmix > 0:
        found.append(f"task.cutmix={config.task.cutmix:g}")
    if config.trainer.smallest_size is not None and config.trainer.smallest_size < 1:
        found.append(f"trainer.smallest_size={config.trainer.smallest_size:g}")
    return found


def _say_cut(job: TrainingJob, cut: TrunkCut, views: int, bytes_per_view: int) -> None:
    size_gb = bytes_per_view * (len(job.train) * views + len(job.val)) / 1e9
    modules = [*(element.module for element in cut.tail), job.network.head]
    above = sum(parameter.numel() for module in modules for parameter in module.parameters())
    plural = "s" if views > 1 else ""
    job.say(
        f"trunk: everything up to {cut.name} runs once over {views} view{plural} of {len(job.train):,} images "
        f"({size_gb:.2f} GB of cache); the part above it, {above:,} parameters, is trained on that."
    )


def _swap(samples: Samples, pixels: PixelSource) -> Samples:
    return dataclasses.replace(samples, pixels=pixels, rows=np.arange(len(samples)))
