"""Kill -9 at random moments of a training: does each one, started again, end like one that was never killed?

Usage: python benchmarks/kills.py [--kills 20] [--seed 0] [--output kills.json]

Draws small photographs, trains a tiny network in several ways, each time in a process of its own, and then does it
again and again, killed at a random moment each time: within epochs, in validation, and while checkpoints are written,
which are so frequent here that they take a good part of the time. Prints a table: history and weights must be equal to
the last digit.
"""

import argparse
import dataclasses
import json
import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from phytoscope.configs import compose_config
from phytoscope.steps import RunContext, choose_run_folder, prepare, run_step, train

SIZE_PX = 32
SHARED_WORDS = [
    "model.backbone=test_efficientnet",
    "model.weights=random",
    f"model.input_size_px={SIZE_PX}",
    "trainer.mode=plain",
    "trainer.max_epochs=12",
    "trainer.patience=12",
    "trainer.batch_size=8",
    "trainer.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "trainer.checkpoint_minutes=0.0005",
    "adapt.frozen_epochs=1",
    "data.workers=1",
]
IMPORTED = (prepare, train)
"""The steps themselves, imported before any process is copied."""
WAYS: dict[str, list[str]] = {
    "all weights": [],
    "LoRA with dropout, EMA": ["adapt.kind=lora", "adapt.rank=2", "adapt.dropout=0.2", "trainer.averaging=ema"],
    "mixup and cutmix, SWA": ["task.mixup=0.2", "task.cutmix=1.0", "trainer.averaging=swa"],
    "loading process, classes balanced": [
        "trainer.num_workers=1",
        "task.sampling=balanced",
        "task.class_weighting=none",
    ],
}
"""Name of a way of training -> its settings."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """What became of one killed training.

    Attributes:
        way: Which way of training.
        after_s: Seconds from the start of the training to the kill.
        went_on_at: Epoch and batch of the last checkpoint, counted from 0; None when there was none yet.
        writing: Whether the kill hit while a file was written.
        same_history: Whether the history is the same text.
        same_weights: Whether all weights are equal to the last bit.
    """

    way: str
    after_s: float
    went_on_at: tuple[int, int] | None
    writing: bool
    same_history: bool
    same_weights: bool


def draw_photos(root: Path, per_class: int = 40) -> list[str]:
    """Draws two classes, dark and bright; gives the data settings."""
    rng = np.random.default_rng(0)
    for name, brightness in (("dark", 90), ("bright", 150)):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.clip(rng.normal(brightness, 40, (48, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return ["data=folder", f"data.root={root}"]


def run_kills(place: Path, kills: int, seed: int, ways: Sequence[str] = tuple(WAYS)) -> list[Kill]:
    """Kills trainings and starts them again.

    Args:
        place: Empty folder for everything that is written.
        kills: How many.
        seed: Of the moments.
        ways: Which ways of training, by turns.

    Raises:
        RuntimeError: A training failed.
    """
    rng = np.random.default_rng(seed)
    data = draw_photos(place / "photos")
    whole = {way: _train_whole(place / f"whole-{number}", data, way) for number, way in enumerate(ways)}
    found = []
    for number in range(kills):
        way = ways[number % len(ways)]
        folder, seconds = whole[way]
        run = place / f"killed-{number}"
        after_s = None
        while after_s is None:
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(folder.parent / f"{folder.name}-prepared", run)
            after_s = _kill(_words(run, folder, data, way), run, rng.uniform(0, seconds))
        found.append(_finish(run, folder, data, way, after_s))
    return found


def _words(run: Path, whole: Path, data: Sequence[str], way: str) -> list[str]:
    cache = f"paths.cache_dir={whole.parent / 'cache'}"
    return [*data, *SHARED_WORDS, *WAYS[way], f"paths.run_dir={run}", cache]


def _train_whole(run: Path, data: Sequence[str], way: str) -> tuple[Path, float]:
    words = _words(run, run, data, way)
    _run("prepare", words)
    shutil.copytree(run, run.parent / f"{run.name}-prepared")
    process = _start("train", words)
    begun = _wait_for_begin(process, run)
    process.join()
    seconds = time.monotonic() - begun
    _check(process, "train")
    return run, seconds


def _kill(words: list[str], run: Path, after_s: float) -> float | None:
    # Gives None when the training was over before.
    process = _start("train", words)
    begun = _wait_for_begin(process, run)
    time.sleep(after_s)
    process.kill()
    process.join()
    return time.monotonic() - begun if process.exitcode == -signal.SIGKILL else None


def _finish(run: Path, whole: Path, data: Sequence[str], way: str, after_s: float) -> Kill:
    last = run / "checkpoints" / "last.ckpt"
    went_on_at = None
    if last.exists():
        next_batch = torch.load(last, weights_only=True)["PlantDataModule"]
        went_on_at = (int(next_batch["epoch"]), int(next_batch["batch"]))
    writing = any(run.rglob(".*.tmp*"))
    _run("train", _words(run, whole, data, way))
    same_history = (run / "history.csv").read_text() == (whole / "history.csv").read_text()
    weights = [load_file(folder / "checkpoints" / "weights.safetensors") for folder in (run, whole)]
    same_weights = weights[0].keys() == weights[1].keys() and all(
        torch.equal(weights[0][name], weights[1][name]) for name in weights[0]
    )
    return Kill(way, after_s, went_on_at, writing, same_history, same_weights)


def _run(step: str, words: Sequence[str]) -> None:
    process = _start(step, words)
    process.join()
    _check(process, step)


def _check(process: BaseProcess, step: str) -> None:
    if process.exitcode != 0:
        message = f"the step {step} ended with code {process.exitcode}"
        raise RuntimeError(message)


def _start(step: str, words: Sequence[str]) -> BaseProcess:
    # Copies of a process that has imported everything, because one that starts anew spends most of its time on that;
    # not of this one, whose threads a copy would lack when it trains.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "lightning", "timm", "phytoscope.configs", "phytoscope.steps"])
    process = context.Process(target=_take_step, args=(step, list(words)))
    process.start()
    return process


def _take_step(step: str, words: Sequence[str]) -> None:
    config = compose_config(words)
    run_step(RunContext(config, choose_run_folder(config)), step)


def _wait_for_begin(process: BaseProcess, run: Path) -> float:
    while process.is_alive() and not (run / "checkpoints" / "inputs.json").exists():
        time.sleep(0.002)
    return time.monotonic()


def describe(kills: Sequence[Kill]) -> str:
    """The table: one line a kill, and how many ended the same."""
    lines = [
        "| way | killed after | goes on at epoch, batch | while writing | history | weights |",
        "|---|---|---|---|---|---|",
    ]
    for kill in kills:
        place = "the start" if kill.went_on_at is None else f"{kill.went_on_at[0]}, {kill.went_on_at[1]}"
        same = ["same" if equal else "DIFFERENT" for equal in (kill.same_history, kill.same_weights)]
        writing = "yes" if kill.writing else "no"
        lines.append(f"| {kill.way} | {kill.after_s:.2f} s | {place} | {writing} | {same[0]} | {same[1]} |")
    good = sum(kill.same_history and kill.same_weights for kill in kills)
    return "\n".join([*lines, "", f"{good} of {len(kills)} killed trainings ended like the one that was never killed."])


def main() -> int:
    """Runs the kills, prints the table; the exit code is 1 when one of them ended differently."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="JSON file for the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        kills = run_kills(Path(place), arguments.kills, arguments.seed)
    print(describe(kills))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps([dataclasses.asdict(kill) for kill in kills], indent=2) + "\n")
    return 0 if all(kill.same_history and kill.same_weights for kill in kills) else 1


if __name__ == "__main__":
    sys.exit(main())
