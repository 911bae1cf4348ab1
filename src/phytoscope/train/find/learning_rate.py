"""The learning-rate range test: the rate rises step by step until the loss does too."""

import copy
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.data.datamodule import Batch
from phytoscope.errors import TrainingError
from phytoscope.schema.choices import OptimizerKind
from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import build_datamodule, build_task
from phytoscope.train.speed.device import choose_device
from phytoscope.train.speed.threads import use_threads

_SMOOTHING = 0.9
_TOO_HIGH = 4.0
_FEWEST_STEPS = 10


@dataclass(frozen=True)
class RateTest:
    """What a range test has seen.

    Attributes:
        rates: Learning rate of the head at each step, shape (steps,), rising.
        losses: Loss of each step's batch, shape (steps,).
        smoothed: Running mean of the losses, shape (steps,).
        suggestion: Rate at which the loss falls fastest; None when it does not fall.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float | None


def try_learning_rates(job: TrainingJob, *, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> RateTest:
    """Trains a copy of the network for some steps while the learning rate rises evenly on a logarithmic scale.

    The method of Smith 2017 (doi 10.1109/WACV.2017.58). All that `adapt` names is trained, as after the frozen epochs.
    Ends early when the smoothed loss is four times its lowest value.

    Args:
        job: What would be trained; it stays as it is.
        low: First rate of the head; other parts have the multiples of it that `adapt` names.
        high: Last rate.
        steps: Steps at most.

    Raises:
        TrainingError: The loss is not finite from the first step on.
    """
    device = choose_device(job.config.trainer)
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    job.progress.start("Trying learning rates", steps)
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices), use_threads(job.config.trainer.threads):
        torch.manual_seed(job.config.seed)
        for loss in _train_rising(job, device, rates):
            losses.append(loss)
            smoothed.append(_smooth(losses))
            job.progress.advance(1, f"rate {rates[len(losses) - 1]:.1e}, loss {loss:.3g}")
            if not math.isfinite(loss) or smoothed[-1] > _TOO_HIGH * min(smoothed):
                break
    job.progress.finish()
    finite = int(np.isfinite(losses).sum())
    if finite == 0:
        message = f"the loss is not finite at a learning rate of {low:g}: check the targets and model.weights."
        raise TrainingError(message)
    kept = np.array(smoothed[:finite])
    return RateTest(rates[:finite], np.array(losses[:finite]), kept, suggest_rate(rates[:finite], kept))


def suggest_rate(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float | None:
    """The rate at which the smoothed loss falls fastest, per factor of the rate, before its lowest point.

    Args:
        rates: Learning rates, shape (steps,), rising.
        smoothed: Smoothed losses, shape (steps,).

    Returns:
        None when there are fewer than 10 steps before the lowest point, so that nothing can be said.
    """
    lowest = int(smoothed.argmin())
    if lowest + 1 < _FEWEST_STEPS:
        return None
    slope = np.gradient(smoothed, np.log(rates))[: lowest + 1]
    # The running mean of the first steps hangs on single batches.
    slope[: _FEWEST_STEPS // 2] = 0.0
    steepest = int(slope.argmin())
    return float(rates[steepest]) if slope[steepest] < 0 else None


def _smooth(losses: list[float]) -> float:
    weights = _SMOOTHING ** np.arange(len(losses))[::-1]
    return float(np.average(losses, weights=weights))


def _train_rising(job: TrainingJob, device: torch.device, rates: NDArray[np.float64]) -> Iterator[float]:
    trainer = job.config.trainer
    network = copy.deepcopy(job.network).to(device).train()
    task = build_task(dataclasses.replace(job, network=network)).to(device)
    job.adaptation.begin_epoch(network, max(job.config.adapt.frozen_epochs or 0, (trainer.max_epochs or 1) - 1))
    groups = job.adaptation.group_parameters(network, 1.0, trainer.weight_decay)
    factors = [float(group["lr"]) for group in groups]
    kinds = {OptimizerKind.adam: torch.optim.Adam, OptimizerKind.adamw: torch.optim.AdamW}
    optimizer = kinds[trainer.optimizer](groups)
    trained = [parameter for group in groups for parameter in group["params"]]
    for rate, batch in zip(rates, _iterate_batches(job, device), strict=False):
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = factor * float(rate)
        loss: Tensor = task.compute_loss(network(batch.images, batch.covariates), batch.target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, trainer.gradient_clip)
        optimizer.step()
        yield float(loss.detach())


def _iterate_batches(job: TrainingJob, device: torch.device) -> Iterator[Batch]:
    data = build_datamodule(job, 0)
    epoch = 0
    while True:
        data.train_sampler.set_epoch(epoch)
        for batch in data.train_dataloader():
            yield Batch(*(part.to(device) for part in batch))
        epoch += 1
