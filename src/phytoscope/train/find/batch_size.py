"""How many images a second each batch size trains, and which sizes do not fit."""

import copy
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import build_task
from phytoscope.train.speed.device import choose_device
from phytoscope.train.speed.threads import use_threads

_FEWEST, _MOST = 4, 1024
_STEPS = 3
_AS_FAST = 0.95
_MEMORY_SHARE = 0.7
_NO_GAIN = 1.02


@dataclass(frozen=True)
class BatchTrial:
    """One batch size.

    Attributes:
        size: Images a step.
        images_per_s: Training steps through the whole network, images a second; None when it did not fit.
        reason: Why it did not fit; empty when it did.
    """

    size: int
    images_per_s: float | None
    reason: str = ""


def try_batch_sizes(job: TrainingJob) -> tuple[list[BatchTrial], int]:
    """Times some training steps of a copy of the network at 4, 8, 16, ... images a step.

    Ends at 1024 images, at the number of training images, where the memory ends, or when two doublings in a row have
    brought nothing.

    Args:
        job: What would be trained; it stays as it is.

    Returns:
        What was tried, and a suggestion: the smallest size within 5 % of the fastest, because smaller batches take more
        steps an epoch and learn more from it. The smallest size that was tried when none fitted.
    """
    device = choose_device(job.config.trainer)
    job.progress.start("Trying batch sizes", None)
    trials: list[BatchTrial] = []
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices), use_threads(job.config.trainer.threads):
        size = _FEWEST
        while size <= min(_MOST, max(_FEWEST, len(job.train))):
            trial = _try(job, device, size)
            trials.append(trial)
            job.progress.advance(1, f"{size} images a step")
            if trial.images_per_s is None or _brings_nothing(trials):
                break
            size *= 2
    job.progress.finish()
    return trials, suggest_size(trials)


def suggest_size(trials: list[BatchTrial]) -> int:
    """The smallest size within 5 % of the fastest.

    Args:
        trials: At least one.
    """
    speeds = {trial.size: trial.images_per_s for trial in trials if trial.images_per_s is not None}
    if not speeds:
        return trials[0].size
    fastest = max(speeds.values())
    return min(size for size, speed in speeds.items() if speed >= _AS_FAST * fastest)


def _brings_nothing(trials: list[BatchTrial]) -> bool:
    speeds = [trial.images_per_s or 0.0 for trial in trials]
    return len(speeds) > 3 and max(speeds[-2:]) < _NO_GAIN * max(speeds[:-2])


def _try(job: TrainingJob, device: torch.device, size: int) -> BatchTrial:
    needed = _estimate_bytes(job, size)
    free = _find_free_bytes()
    if device.type == "cpu" and free is not None and needed > _MEMORY_SHARE * free:
        return BatchTrial(size, None, f"would need about {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB that are free")
    try:
        return BatchTrial(size, size / _time_step(job, device, size))
    except torch.OutOfMemoryError:
        return BatchTrial(size, None, "does not fit into the memory of the GPU")
    finally:
        if device.type != "cpu":
            torch.cuda.empty_cache()


def _time_step(job: TrainingJob, device: torch.device, size: int) -> float:
    network = copy.deepcopy(job.network).to(device).to(memory_format=torch.channels_last).train()
    task = build_task(dataclasses.replace(job, network=network)).to(device)
    job.adaptation.begin_epoch(network, (job.config.trainer.max_epochs or 1) - 1)
    optimizer = torch.optim.AdamW(job.adaptation.group_parameters(network, 1e-6, 0.0))
    positions = np.arange(size) % len(job.train)
    squares = job.train.pixels[job.train.rows[positions]]
    images = torch.from_numpy(np.ascontiguousarray(squares)).permute(0, 3, 1, 2).to(device)
    target = torch.from_numpy(job.train.target[positions]).to(device)
    known = job.train.covariates[positions] if job.network.covariate_dim > 0 else np.zeros((size, 0), np.float32)
    covariates = torch.from_numpy(known).to(device)
    seconds = []
    for _ in range(1 + _STEPS):
        started = time.perf_counter()
        loss: Tensor = task.compute_loss(network(images, covariates), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if device.type != "cpu":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    # The first step meets cold memory; what else the machine does makes a step slower, never faster.
    return min(seconds[1:])


def _estimate_bytes(job: TrainingJob, size: int) -> float:
    """What the backward pass keeps: the outputs of all layers for one image, times the images."""
    kept = 0

    def count(_module: object, _inputs: object, output: object) -> None:
        nonlocal kept
        kept += output.numel() * output.element_size() if isinstance(output, Tensor) else 0

    network = copy.deepcopy(job.network).eval()
    leaves = [module for module in network.modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    side = job.preprocess.size_px
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side, dtype=torch.uint8), torch.zeros(1, job.network.covariate_dim))
    for hook in hooks:
        hook.remove()
    # Gradients of the largest outputs are alive beside them.
    return 2.0 * kept * size


def _find_free_bytes() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        # Only Linux tells so; elsewhere the sizes are tried as they are.
        return None
    found = {line.partition(":")[0]: line.partition(":")[2].split()[0] for line in lines}
    return float(found["MemAvailable"]) * 1024 if "MemAvailable" in found else None
