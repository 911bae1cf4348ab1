"""Where the time of training goes: a trace for the profiler's viewer, and a summary in words."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, schedule

from phytoscope.schema.artifact import write_atomic

TRACE_NAME, SUMMARY_NAME = "trace.json.gz", "summary.md"
_WARM_UP, _TRACED = 2, 6
_OPERATIONS = 8
_WAITING_MATTERS, _OPTIMISER_MATTERS = 0.25, 0.15
# What torch calls an operation, and what a person would call it; the first that fits counts.
_WORDS = (
    ("convolution", "convolutions"),
    ("conv", "convolutions"),
    ("batch_norm", "normalisation"),
    ("layer_norm", "normalisation"),
    ("hardswish", "activation functions"),
    ("hardsigmoid", "activation functions"),
    ("silu", "activation functions"),
    ("gelu", "activation functions"),
    ("relu", "activation functions"),
    ("threshold_backward", "activation functions"),
    ("attention", "attention"),
    ("softmax", "softmax and loss"),
    ("nll_loss", "softmax and loss"),
    ("addmm", "matrix products"),
    ("bmm", "matrix products"),
    ("aten::mm", "matrix products"),
    ("linear", "matrix products"),
    ("_foreach", "optimiser arithmetic"),
    ("adam", "optimiser arithmetic"),
    ("pad", "padding"),
    ("mean", "pooling and means"),
    ("pool", "pooling and means"),
    ("copy_", "copies and changes of type or layout"),
    ("contiguous", "copies and changes of type or layout"),
    ("aten::div", "scaling of pixels and other arithmetic"),
    ("aten::sub", "scaling of pixels and other arithmetic"),
    ("aten::mul", "scaling of pixels and other arithmetic"),
    ("aten::add", "scaling of pixels and other arithmetic"),
)


@dataclass
class StepTimes:
    """Seconds of each part of each training step.

    Attributes:
        waiting: From the end of a step until its batch is there.
        forward: Network and loss.
        backward: Gradients.
        optimiser: Clipping and the change of the weights.
        images: Images of each step.
    """

    waiting: list[float] = field(default_factory=list)
    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)
    optimiser: list[float] = field(default_factory=list)
    images: list[int] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        """Share of each part in the time of all steps, 0-1; the first step, which starts everything, is left out."""
        first = 1 if len(self.forward) > 1 else 0
        parts = {
            "waiting for data": sum(self.waiting[first:]),
            "forward": sum(self.forward[first:]),
            "backward": sum(self.backward[first:]),
            "optimiser": sum(self.optimiser[first:]),
        }
        total = max(1e-9, sum(parts.values()))
        return {name: seconds / total for name, seconds in parts.items()}

    def images_per_second(self) -> float:
        """Images a second over the same steps."""
        first = 1 if len(self.forward) > 1 else 0
        parts = (self.waiting, self.forward, self.backward, self.optimiser)
        return sum(self.images[first:]) / max(1e-9, sum(sum(part[first:]) for part in parts))


@dataclass(frozen=True)
class Operation:
    """A kind of computation.

    Attributes:
        name: In words.
        share: Of the time of all computations, 0-1.
    """

    name: str
    share: float


class ProfileWatcher(Callback):
    """Times every step of a training, traces a few of them, and writes both down at the end of the training."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Takes where the files go.

        Args:
            folder: Receives `trace.json.gz` (for chrome://tracing or ui.perfetto.dev) and `summary.md`.
            say: Receiver of the summary.
        """
        self._folder = folder
        self._say = say
        self._times = StepTimes()
        self._marks: dict[str, float] = {}
        self._profiler: Any = None
        self._operations: list[Operation] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Starts the profiler."""
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        steps = schedule(wait=0, warmup=_WARM_UP, active=_TRACED, repeat=1)
        self._profiler = profile(activities=activities, schedule=steps, on_trace_ready=self._keep_trace)
        self._profiler.start()
        self._mark("idle")

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begins to wait for the first batch."""
        self._mark("idle")

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is there."""
        self._times.waiting.append(self._since("idle"))
        self._times.images.append(len(batch.target))
        self._mark("forward")

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: torch.Tensor
    ) -> None:
        """The loss, a scalar without shape, is known."""
        self._times.forward.append(self._since("forward"))
        self._mark("backward")

    def on_after_backward(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The gradients are known."""
        self._times.backward.append(self._since("backward"))
        self._mark("optimiser")

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The weights are changed."""
        self._times.optimiser.append(self._since("optimiser"))
        self._profiler.step()
        self._mark("idle")

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Writes the summary."""
        self._profiler.stop()
        workers = int(getattr(trainer.train_dataloader, "num_workers", 0))
        text = summarise(self._times, self._operations, num_workers=workers)
        with write_atomic(self._folder / SUMMARY_NAME) as temporary:
            temporary.write_text(text, encoding="utf-8")
        self._say(text.rstrip())
        self._say(f"profile: {self._folder / SUMMARY_NAME}, trace: {self._folder / TRACE_NAME}")

    def _keep_trace(self, profiler: Any) -> None:
        self._operations = group_operations([(event.key, _self_seconds(event)) for event in profiler.key_averages()])
        self._folder.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self._folder / TRACE_NAME))

    def _mark(self, name: str) -> None:
        # A GPU computes on while Python has gone ahead.
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._marks[name] = time.perf_counter()

    def _since(self, name: str) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - self._marks[name]


def group_operations(timed: Sequence[tuple[str, float]]) -> list[Operation]:
    """Sums the profiler's operations up under a few words.

    Args:
        timed: The profiler's name of each operation, and the seconds it took itself.

    Returns:
        The most expensive kinds, dearest first.
    """
    sums: dict[str, float] = {}
    for key, seconds in timed:
        # Marks of the profiler itself span everything and compute nothing.
        if key.startswith(("aten::", "cuda", "void ", "mkldnn", "autograd::engine")):
            word = next((word for part, word in _WORDS if part in key.lower()), "everything else")
            sums[word] = sums.get(word, 0.0) + seconds
    total = max(1e-12, sum(sums.values()))
    operations = [Operation(word, seconds / total) for word, seconds in sums.items()]
    return sorted(operations, key=lambda operation: -operation.share)[:_OPERATIONS]


def summarise(times: StepTimes, operations: Sequence[Operation], *, num_workers: int) -> str:
    """Says in words where the time goes and what could be changed.

    Args:
        times: Of the steps.
        operations: The dearest kinds of computation.
        num_workers: Processes that prepared the batches.
    """
    shares = times.shares()
    waiting = shares["waiting for data"]
    bound = "data-bound" if waiting > _WAITING_MATTERS else "compute-bound"
    rows = "\n".join(f"| {name} | {100 * share:.0f} % |" for name, share in shares.items())
    dear = "\n".join(f"| {operation.name} | {100 * operation.share:.0f} % |" for operation in operations)
    advice = "\n".join(f"- {sentence}" for sentence in _advise(shares, num_workers))
    return (
        "# Where the time of training goes\n\n"
        f"{times.images_per_second():,.0f} images/s over {len(times.forward)} steps; this run is {bound}.\n\n"
        f"| part of a step | share |\n|---|---|\n{rows}\n\n"
        f"| computation | share |\n|---|---|\n{dear}\n\n"
        f"What to change:\n\n{advice}\n"
    )


def _advise(shares: dict[str, float], num_workers: int) -> list[str]:
    found = []
    if shares["waiting for data"] > _WAITING_MATTERS:
        found.append(
            f"The network waits for images ({num_workers} processes prepare them): raise trainer.num_workers while "
            "cores are free, choose a lighter data.augment, or compute once what is not trained "
            "(adapt=last_stages or adapt=head with trainer.mode=auto)."
        )
    else:
        found.append(
            "The network itself takes the time: train less of it (adapt=last_stages, adapt=head) with "
            "trainer.mode=auto, start with smaller images (trainer.smallest_size=0.6), choose a smaller "
            "model.input_size_px or model, or compile a long training (trainer.compile=always)."
        )
    if shares["optimiser"] > _OPTIMISER_MATTERS:
        found.append("The optimiser is dear for so few images a step: raise trainer.batch_size.")
    return found


def _self_seconds(event: Any) -> float:
    on_device = getattr(event, "self_device_time_total", 0.0)
    return float(on_device if on_device > 0 else event.self_cpu_time_total) / 1e6
