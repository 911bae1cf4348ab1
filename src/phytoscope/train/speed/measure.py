"""A few batches, timed: how fast images are prepared, how fast the network trains, how fast it only looks."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.errors import ConfigError
from phytoscope.models.network import PlantNetwork
from phytoscope.models.runtime import PooledFeatures
from phytoscope.schema.table import Task
from phytoscope.train.job import TrainingJob
from phytoscope.train.speed.device import choose_device
from phytoscope.train.trunk.cut import TrunkCut, TrunkNetwork, find_cut
from phytoscope.train.trunk.tail import TailNetwork, to_squares
from phytoscope.transforms.stream import count_cores

_LONGEST_S = 4.0
_SHARE = 0.02
_PARTS = 5
_MOST_IMAGES = 16


@dataclass(frozen=True)
class Speeds:
    """Seconds an image, each part alone.

    Attributes:
        prepare_s: Reading and changing a training image in one process.
        step_s: A training step through the whole network, with all its threads.
        look_s: The whole network without training.
        trunk_s: What stands below the cut; None when there is no cut.
        tail_step_s: A training step above the cut; None when there is no cut.
        trunk_bytes: Space that one view of one image takes at the cut.
        cores: Processor cores.
        on_gpu: Whether the network computes on a GPU, so that preparing images costs it nothing.
        measured_s: Seconds that the measurement took.
    """

    prepare_s: float
    step_s: float
    look_s: float
    trunk_s: float | None
    tail_step_s: float | None
    trunk_bytes: int
    cores: int
    on_gpu: bool
    measured_s: float

    def to_dict(self) -> dict[str, object]:
        """The speeds as plain values, ready for JSON."""
        return asdict(self)


def measure_speeds(job: TrainingJob) -> Speeds:
    """Times a few batches of a job on a copy of its network; the job is as it was afterwards.

    Takes at most five seconds or a fiftieth of the planned training, whichever is longer.

    Args:
        job: What will be trained.
    """
    started = time.perf_counter()
    device = choose_device(job.config.trainer)
    count = min(_MOST_IMAGES, job.config.trainer.batch_size, len(job.train))
    positions = np.arange(count)
    squares = job.train.pixels[job.train.rows[positions]]
    images = torch.from_numpy(np.ascontiguousarray(squares)).permute(0, 3, 1, 2).to(device)
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        network = copy.deepcopy(job.network).to(device).to(memory_format=torch.channels_last)
        stopwatch = _Stopwatch(job, count, device)
        prepare_s = stopwatch.time_image(lambda: _prepare(job, positions))
        step_s = stopwatch.time_image(_step(job, network, images))
        network.eval()
        pooled = PooledFeatures(network)
        look_s = stopwatch.time_image(lambda: _look(pooled, images))
        trunk_s = tail_step_s = None
        trunk_bytes = 0
        cut = _find_useful_cut(job, network)
        if cut is not None:
            trunk = TrunkNetwork(network, cut).eval()
            activations = _look(trunk, images)
            trunk_s = stopwatch.time_image(lambda: _look(trunk, images))
            laid_out = torch.from_numpy(to_squares(activations)).permute(0, 3, 1, 2).to(device)
            trunk_bytes = 2 * laid_out[0].numel()
            tail_step_s = stopwatch.time_image(_step(job, TailNetwork(network, cut, activations.ndim), laid_out))
    return Speeds(
        prepare_s=prepare_s,
        step_s=step_s,
        look_s=look_s,
        trunk_s=trunk_s,
        tail_step_s=tail_step_s,
        trunk_bytes=trunk_bytes,
        cores=count_cores(),
        on_gpu=device.type != "cpu",
        measured_s=time.perf_counter() - started,
    )


class _Stopwatch:
    """Times a piece of work, the more often the longer the training will be."""

    def __init__(self, job: TrainingJob, count: int, device: torch.device) -> None:
        self._planned_images = len(job.train) * (job.config.trainer.max_epochs or 1)
        self._count = count
        self._device = device

    def time_image(self, work: Callable[[], object]) -> float:
        """Seconds an image of the fastest run: what else the machine does makes a run slower, never faster."""
        # The first run meets cold memory and builds what is kept; it counts only where it is all there is time for.
        best = self._time(work)
        budget = max(_LONGEST_S, _SHARE * self._planned_images * best / self._count) / _PARTS - best
        # A training that is over in a moment is not worth more than one look.
        worth = _SHARE * self._planned_images * best / self._count
        while budget > best and worth > best:
            took = self._time(work)
            best = min(best, took)
            budget -= took
            worth -= took
        return best / self._count

    def _time(self, work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - started


def _prepare(job: TrainingJob, positions: NDArray[np.int64]) -> None:
    squares = job.train.pixels[job.train.rows[positions]]
    for place, image in enumerate(squares):
        job.augmentation(image, index=place, epoch=0)


def _step(job: TrainingJob, network: PlantNetwork, images: Tensor) -> Callable[[], None]:
    """One step of training as the tasks do it, with a loss that is close enough for the clock."""
    # The epoch after the frozen ones: most of the training is like it.
    job.adaptation.begin_epoch(network.train(), job.config.trainer.max_epochs or 1)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0)
    covariates = torch.zeros((len(images), network.covariate_dim), device=images.device)
    target = torch.zeros(len(images), dtype=torch.long, device=images.device)
    amount = torch.zeros((len(images), network.head.out_features), device=images.device)

    def step() -> None:
        outputs = network(images, covariates)
        if job.meaning.task is Task.classification:
            loss = torch.nn.functional.cross_entropy(outputs, target)
        else:
            loss = torch.nn.functional.mse_loss(outputs, amount)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _look(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        answers: Tensor = module(images)
    return answers


def _find_useful_cut(job: TrainingJob, network: PlantNetwork) -> TrunkCut | None:
    try:
        cut = find_cut(network, job.adaptation)
    except ConfigError:
        return None
    return cut if cut.tail else None
