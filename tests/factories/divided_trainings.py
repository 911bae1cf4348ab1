"""The same trainings in one process and in two that work together, as torchrun starts them."""

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from factories.bright_squares import CONFIG, LEARNED, fit, make_data, make_task
from phytoscope.schema.choices import AdaptKind, Averaging, ClassWeighting
from phytoscope.schema.train_config import AdaptConfig, TaskConfig

BITFIT = AdaptConfig(kind=AdaptKind.bitfit, frozen_epochs=1)
FULL = AdaptConfig(kind=AdaptKind.full, frozen_epochs=0)
WEIGHTED = TaskConfig(class_weighting=ClassWeighting.balanced, label_smoothing=0.1, focal_gamma=1.0)


@dataclass(frozen=True)
class Case:
    """One training; by default of classes, with a last batch of 3 images and an odd number to validate."""

    classes: bool = True
    adapt: AdaptConfig = field(default_factory=lambda: BITFIT)
    learned: TaskConfig = field(default_factory=lambda: LEARNED)
    trainer: dict[str, Any] = field(default_factory=dict)
    backbone: str = "test_resnet"
    balanced: bool = False
    holes: bool = False
    n: int = 27
    batch_size: int = 8


CASES = {
    "bitfit": Case(),
    "head": Case(adapt=AdaptConfig(kind=AdaptKind.head, frozen_epochs=0)),
    "full without batch statistics": Case(adapt=FULL, backbone="test_convnext"),
    "lora": Case(adapt=AdaptConfig(kind=AdaptKind.lora, rank=2, dropout=0.0, frozen_epochs=1)),
    "numbers": Case(classes=False, trainer={"gradient_clip": 0.1}),
    "numbers with gaps": Case(classes=False, holes=True),
    "weighted classes": Case(learned=WEIGHTED),
    "balanced sampling": Case(balanced=True, trainer={"averaging": Averaging.swa}),
    "moving average": Case(trainer={"averaging": Averaging.ema}),
    "early stopping": Case(trainer={"patience": 1, "max_epochs": 8, "learning_rate": 0.3}),
    "odd batches": Case(batch_size=9, n=29),
}
STOPPED = Case(trainer={"checkpoint_minutes": 1e-9, "averaging": Averaging.ema})
"""A training that writes a checkpoint after each batch."""
STOP = (1, 2)


class StopError(Exception):
    """What stops a training here."""


class Noter(Callback):
    """Notes which batches were trained on, and stops before one of them."""

    def __init__(self, stop: tuple[int, int] | None = None) -> None:
        self._stop = stop
        self.places: list[tuple[int, int]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == self._stop:
            raise StopError
        self.places.append((trainer.current_epoch, batch_idx))


def train(place: Path, case: Case, devices: int, stop: tuple[int, int] | None = None) -> list[tuple[int, int]]:
    """Trains or goes on in a folder; gives the batches that it trained on."""
    config = dataclasses.replace(CONFIG, devices=devices, batch_size=case.batch_size, **case.trainer)
    task = make_task(
        classes=case.classes,
        config=config,
        dropout=0.0,
        adapt=case.adapt,
        learned=case.learned,
        backbone=case.backbone,
        counts=(20, 7),
    )
    data = make_data(classes=case.classes, n=case.n, n_val=11, balanced=case.balanced)
    data._batch_size = data.train_sampler._batch_size = case.batch_size
    if case.holes:
        data._train.target[np.arange(0, case.n, 3)] = np.nan
    noter = Noter(stop)
    with contextlib.suppress(StopError):
        fit(place, task, data, config, [noter])
    return noter.places


def train_in_two(place: Path) -> None:
    """Trains in two processes: every case, the rest of what one process began, and the begin of what one goes on with.

    Side effects: writes into `place/<case>`, `place/1 to 2` and `place/2 to 1`.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "none",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "factories.divided_trainings", str(place)],
            env={**shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [worker.communicate(timeout=400)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(said)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name, case in CASES.items():
        train(folder / name, case, 2)
    train(folder / "1 to 2", STOPPED, 2)
    train(folder / "2 to 1", STOPPED, 2, stop=STOP)
