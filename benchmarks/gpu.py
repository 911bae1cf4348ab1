"""Training and prediction on a GPU in bf16, beside loops as timm's scripts have them; and what each waits for.

Usage: python benchmarks/gpu.py DATA WEIGHTS [--backbone NAME] [--epochs 3] [--batch-size 64] [--size 224]
                                [--workers N] [--turns 2] [--device cuda]

DATA holds class folders of photographs; WEIGHTS is a safetensors file of the backbone, or `random`. Training is the
package's own step `train`: the time of one epoch more is the difference of two trainings, so that no start counts; with
`debug=profile` it says itself how long it waits for data. timm's loop is its loader with its defaults, its mixed
precision and a plain step. Prediction goes from files to labels: the package's reading threads and network, and timm's
loader and network. Each runs in a process of its own, by turns. `phytoscope predict` itself computes on the processor;
its network is run on the device here.

Waiting is the share of the time in which no batch is there while the device is done with the one before: more than a
tenth is called data-bound. Without a GPU this stops, unless --device cpu is given to try the benchmark itself.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
WAITING_MATTERS = 0.1
WAYS = ("train, phytoscope", "train, timm", "predict, phytoscope", "predict, timm")
_HALF = {"cuda": "bf16-mixed", "cpu": "32-true"}


class Waiting:
    """Passes batches on and adds up the time that it waits for them, from the second batch on.

    Attributes:
        images: Images of these batches.
        waited_s: Seconds that were waited.
    """

    def __init__(self, batches: Iterable[tuple[Any, Any]], device: Any) -> None:
        """Watches batches that go to a device."""
        self.images, self.waited_s = 0, 0.0
        self._batches, self._device = batches, device
        self._began: float | None = None

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """The batches; the device is waited for first, so that its work does not count as waiting for data."""
        batches = iter(self._batches)
        while True:
            synchronize(self._device)
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            if self._began is None:
                # The first one waits for the start of everything.
                self._began = time.perf_counter()
            else:
                self.waited_s += time.perf_counter() - asked
                self.images += len(batch[0])
            yield batch

    def report(self) -> dict[str, float]:
        """Images a second behind the first batch, and the share of waiting."""
        synchronize(self._device)
        seconds = time.perf_counter() - (self._began or time.perf_counter())
        if self.images == 0:
            message = "there is only one batch: give more photographs, or a smaller --batch-size."
            raise SystemExit(message)
        return {"images_per_s": self.images / seconds, "waiting": self.waited_s / seconds}


def synchronize(device: Any) -> None:
    """Waits until the device is done."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def train_phytoscope(given: argparse.Namespace) -> dict[str, float]:
    """A profiled training, and two that differ in epochs."""
    from phytoscope.configs import compose_config
    from phytoscope.steps import RunContext, choose_run_folder, run_step
    from phytoscope.steps.profile import profile_training

    def compose(name: str, *words: str) -> RunContext:
        shared = [
            "data=folder",
            f"data.root={given.data.resolve()}",
            f"model.backbone={given.backbone}",
            f"model.weights={given.weights}",
            f"model.input_size_px={given.size}",
            "trainer.mode=plain",
            "trainer.smallest_size=1",
            "adapt.frozen_epochs=0",
            f"trainer.patience={given.epochs + 1}",
            f"trainer.batch_size={given.batch_size}",
            f"trainer.num_workers={given.workers}",
            f"trainer.accelerator={'gpu' if given.device == 'cuda' else 'cpu'}",
            f"trainer.precision={_HALF[given.device]}",
            f"paths.run_dir={given.folder / name}",
            f"paths.cache_dir={given.folder / 'cache'}",
        ]
        config = compose_config([*shared, *words])
        return RunContext(config, choose_run_folder(config), say=lambda _: None)

    def take(epochs: int) -> tuple[float, int]:
        context = compose(f"run-{epochs}", f"trainer.max_epochs={epochs}")
        run_step(context, "prepare")
        began = time.perf_counter()
        run_step(context, "train")
        return time.perf_counter() - began, count_train(context.run.split)

    # The profiled one comes first and fills the cache, so that no other pays for it.
    context = compose("profile", "debug=profile")
    profile_training(context)
    (short, images), (long, _) = take(1), take(1 + given.epochs)
    if long <= short:
        message = "an epoch is too short to be timed: give more photographs, or more --epochs."
        raise SystemExit(message)
    summary = (context.run.root / "profile" / "summary.md").read_text(encoding="utf-8")
    waiting = re.search(r"waiting for data \| (\d+) %", summary)
    return {
        "images_per_s": given.epochs * images / (long - short),
        "waiting": float(waiting[1]) / 100 if waiting else float("nan"),
    }


def count_train(split: Path) -> int:
    """Images of the training part, from the file of the split."""
    import pandas as pd

    return int((pd.read_parquet(split)["split"] == "train").sum())


def list_loader(given: argparse.Namespace, *, is_training: bool) -> Any:
    """Timm's loader with its defaults."""
    import timm.data
    import torch

    dataset = timm.data.create_dataset("", root=str(given.data))
    return timm.data.create_loader(
        dataset,
        input_size=(3, given.size, given.size),
        batch_size=given.batch_size,
        is_training=is_training,
        num_workers=given.workers,
        device=torch.device(given.device),
        persistent_workers=False,
    )


def train_timm(given: argparse.Namespace) -> dict[str, float]:
    """The loop of timm's train.py, mixed precision as `--amp --amp-dtype bfloat16` has it."""
    import torch
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2

    device = torch.device(given.device)
    model = build_timm(given).to(device=device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05)
    loss_of = LabelSmoothingCrossEntropy(0.1)
    loader = list_loader(given, is_training=True)
    found = []
    for _ in range(given.epochs):
        watched = Waiting(loader, device)
        for images, target in watched:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = loss_of(model(images.contiguous(memory_format=torch.channels_last)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(watched.report())
    return average(found)


def predict_timm(given: argparse.Namespace) -> dict[str, float]:
    """The loop of timm's inference.py, from files to the best class."""
    import torch

    device = torch.device(given.device)
    model = build_timm(given).to(device=device, memory_format=torch.channels_last).eval()
    watched, labels = Waiting(list_loader(given, is_training=False), device), []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for images, _ in watched:
            best = model(images.contiguous(memory_format=torch.channels_last)).softmax(-1).argmax(1)
            labels.append(best.cpu())
    return watched.report()


def predict_phytoscope(given: argparse.Namespace) -> dict[str, float]:
    """The package's reading threads, measuring each photograph, and its network on the device."""
    import numpy as np
    import torch

    from phytoscope.models.network import build_network, read_backbone_input
    from phytoscope.schema.choices import ResizeMode
    from phytoscope.schema.progress import SilentProgress
    from phytoscope.schema.train_config import ModelConfig
    from phytoscope.transforms.photo import read_photo
    from phytoscope.transforms.preprocess import Preprocess
    from phytoscope.transforms.stream import map_ordered

    config = ModelConfig(backbone=given.backbone, weights=str(given.weights), input_size_px=given.size)
    spec = read_backbone_input(config)
    preprocess = Preprocess(
        given.size, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct, reduced=True
    )
    device = torch.device(given.device)
    network, _ = build_network(config, len(list_classes(given.data)))
    network.to(device=device, memory_format=torch.channels_last).eval()
    paths = [path for path in sorted(given.data.rglob("*")) if path.is_file()]

    def batches() -> Iterator[tuple[Any, None]]:
        squares = []
        read = map_ordered(
            lambda path: read_photo(path, preprocess, measured=True).square, paths, given.workers, SilentProgress()
        )
        for square in read:
            squares.append(square)
            if len(squares) == given.batch_size:
                yield torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2), None
                squares = []
        if squares:
            yield torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2), None

    watched, labels = Waiting(batches(), device), []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for images, _ in watched:
            labels.append(network(images.to(device)).softmax(-1).argmax(1).cpu())
    return watched.report()


def build_timm(given: argparse.Namespace) -> Any:
    """The backbone in timm's own class, with as many classes as there are folders."""
    import timm

    classes = len(list_classes(given.data))
    if given.weights == "random":
        return timm.create_model(given.backbone, num_classes=classes)
    overlay = {"file": str(given.weights)}
    return timm.create_model(given.backbone, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay)


def list_classes(data: Path) -> list[str]:
    """Names of the class folders."""
    return sorted(path.name for path in data.iterdir() if path.is_dir())


def average(found: list[dict[str, float]]) -> dict[str, float]:
    """Means of several reports."""
    return {name: statistics.fmean(one[name] for one in found) for name in found[0]}


RUN = {
    "train, phytoscope": train_phytoscope,
    "train, timm": train_timm,
    "predict, phytoscope": predict_phytoscope,
    "predict, timm": predict_timm,
}


def measure_all(words: list[str], turns: int) -> dict[str, list[dict[str, float]]]:
    """Takes all ways in turns, each in a process of its own."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for turn in range(turns):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, *words, "--way", way, "--folder", folder]
                done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (our own file)
            if done.returncode != 0:
                message = f"{way} failed:\n{done.stderr[-3000:]}"
                raise SystemExit(message)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"turn {turn + 1}, {way}: {found[way][-1]}", file=sys.stderr, flush=True)
    return found


def write_table(found: dict[str, list[dict[str, float]]]) -> str:
    """Medians over the turns; rates also as multiples of timm's, turn by turn."""
    lines = ["| | images/s | times timm | waiting for data | |", "|---|--:|--:|--:|---|"]
    for way, reports in found.items():
        peers = found[f"{way.split(',')[0]}, timm"]
        rate = statistics.median(one["images_per_s"] for one in reports)
        times = statistics.median(
            one["images_per_s"] / peer["images_per_s"] for one, peer in zip(reports, peers, strict=True)
        )
        waiting = statistics.median(one["waiting"] for one in reports)
        bound = "data-bound" if waiting > WAITING_MATTERS else "compute-bound"
        lines.append(f"| {way} | {rate:,.0f} | {times:.2f} | {waiting:.0%} | {bound} |")
    return "\n".join(lines)


def main() -> None:
    """Refuses without a GPU, then measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--backbone", default="tf_mobilenetv3_small_100")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=tuple(_HALF))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way is not None:
        print(json.dumps(RUN[given.way](given)))
        return
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU on this machine: give --device cpu to try the benchmark itself (in 32 bits).")
    name = torch.cuda.get_device_name() if given.device == "cuda" else "processor, to try the benchmark only"
    found = measure_all(sys.argv[1:], given.turns)
    print(f"{given.backbone}, {given.size} px, batches of {given.batch_size}, {given.workers} workers; {name}\n")
    print(write_table(found))


if __name__ == "__main__":
    main()
