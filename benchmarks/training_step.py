"""What makes a training step on a CPU fast: memory layout, kept memory, compilation, smaller images, half precision.

Usage: python benchmarks/training_step.py [--weights FILE] [--backbone NAME] [--threads N] [--rounds N] [--compile]

All variants take turns in one process, so that what else the machine does falls on all of them. Printed is the best
round of each in images a second of processor time: what a core at work gives, however busy the machine is.
"""

import argparse
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from phytoscope.models.network import PlantNetwork, build_network
from phytoscope.schema.train_config import ModelConfig
from phytoscope.train.speed.memory import keep_memory
from phytoscope.train.speed.progressive import SizeSchedule

BATCH, CLASSES, SIDE = 32, 25, 224


@dataclass(frozen=True)
class Variant:
    """One way to run a step."""

    name: str
    channels_last: bool = True
    kept: bool = True
    half: bool = False
    compiled: bool = False
    side: int = SIDE


VARIANTS = [
    Variant("channels first", channels_last=False, kept=False),
    Variant("channels last", kept=False),
    Variant("channels last, memory kept"),
    Variant("the same in bf16-mixed", half=True),
    Variant("the same with images of 128 px", side=128),
]


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="random")
    parser.add_argument("--backbone", default="tf_mobilenetv3_small_100")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="also compile, which takes a minute or more")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    variants = [*VARIANTS, *([Variant("the same, compiled", compiled=True)] if options.compile else [])]
    steps = [build_step(variant, options.backbone, options.weights) for variant in variants]
    best = [float("inf")] * len(variants)
    for round_ in range(options.rounds + 1):
        for place, (variant, step) in enumerate(zip(variants, steps, strict=True)):
            with keep_memory() if variant.kept else nullcontext():
                step()
                seconds = measure(step)
            # The first round warms up, and compiles.
            if round_ > 0:
                best[place] = min(best[place], seconds)
    print(f"{options.backbone}, {SIDE} px, batches of {BATCH}, {options.threads} threads\n")
    print("| step | images/s of a core | to the first |\n|---|---|---|")
    for variant, seconds in zip(variants, best, strict=True):
        print(f"| {variant.name} | {BATCH / seconds:.0f} | {best[0] / seconds:.2f} |")
    share = SizeSchedule(SIDE, 0.6, 12).mean_cost()
    print(f"\nImages that grow from 0.6 of the side over 12 epochs: {100 * share:.0f} % of the pixels.")


def build_step(variant: Variant, backbone: str, weights: str) -> Callable[[], None]:
    """One training step of a variant on a batch of its own."""
    torch.manual_seed(0)
    network, _ = build_network(ModelConfig(backbone=backbone, weights=weights), CLASSES)
    network.train()
    images = torch.randint(0, 256, (BATCH, variant.side, variant.side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    if variant.channels_last:
        network.to(memory_format=torch.channels_last)
    else:
        images = images.contiguous()
    if variant.compiled:
        network.compile()
    target = torch.randint(0, CLASSES, (BATCH,))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step() -> None:
        with number_format(variant):
            loss = torch.nn.functional.cross_entropy(answer(network, images), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def number_format(variant: Variant) -> AbstractContextManager[object]:
    """Half precision where the variant wants it."""
    return torch.autocast("cpu", torch.bfloat16) if variant.half else nullcontext()


def answer(network: PlantNetwork, images: torch.Tensor) -> torch.Tensor:
    """Logits (N, classes) of images."""
    logits: torch.Tensor = network(images)
    return logits


def measure(step: Callable[[], None]) -> float:
    """Seconds of processor time of one step."""
    began = time.process_time()
    step()
    return time.process_time() - began


if __name__ == "__main__":
    main()
