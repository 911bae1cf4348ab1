"""Tiny squares whose answer is their brightness, and a task that learns them in a second."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from phytoscope.data.datamodule import PlantDataModule, Samples
from phytoscope.models.adapters import adapt_network
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import build_network
from phytoscope.models.target import fit_target_scale
from phytoscope.schema.choices import AugmentPreset, TargetTransform
from phytoscope.schema.events import SilentJournal
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.train_config import AdaptConfig, ModelConfig, TaskConfig, TrainerConfig
from phytoscope.train.callbacks import HistoryWriter
from phytoscope.train.checkpoints import LAST_NAME, load_network_state
from phytoscope.train.fit import fit_task
from phytoscope.train.tasks import ClassificationTask, PlantTask, RegressionTask
from phytoscope.transforms.augment import build_augmentation

SIZE_PX = 32
CONFIG = TrainerConfig(
    max_epochs=3, patience=5, batch_size=8, num_workers=0, accelerator="cpu", learning_rate=0.01, warmup_fraction=0.1
)
THAWED = AdaptConfig(frozen_epochs=0)
LEARNED = TaskConfig(label_smoothing=0.0)


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy squares, shape (n, S, S, 3), and their brightness, shape (n,)."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(20, 220, n)
    pixels = brightness[:, None, None, None] + rng.normal(0, 25, (n, SIZE_PX, SIZE_PX, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), brightness


def make_data(
    *, classes: bool, seed: int = 0, num_workers: int = 0, n: int = 26, n_val: int = 12, balanced: bool = False
) -> PlantDataModule:
    """Batches of squares; the answer is bright or dark, or the brightness itself."""
    parts = []
    for count, draw_seed in ((n, 1), (n_val, 2)):
        pixels, brightness = draw(count, draw_seed)
        target = (
            (brightness > 120).astype(np.int64) if classes else ((brightness - 120) / 58).astype(np.float32)[:, None]
        )
        parts.append(Samples(pixels, np.arange(count), target))
    return PlantDataModule(
        *parts,
        augmentation=build_augmentation(AugmentPreset.top_view, size_px=SIZE_PX, seed=seed),
        batch_size=CONFIG.batch_size,
        seed=seed,
        num_workers=num_workers,
        balanced=balanced,
    )


def make_task(
    *,
    classes: bool,
    seed: int = 0,
    adapt: AdaptConfig = THAWED,
    config: TrainerConfig = CONFIG,
    dropout: float = 0.2,
    learned: TaskConfig = LEARNED,
    backbone: str = "test_resnet",
    counts: Sequence[int] = (13, 13),
) -> PlantTask:
    """A task around a tiny network with random weights."""
    torch.manual_seed(seed)
    model = ModelConfig(backbone=backbone, weights="random", input_size_px=SIZE_PX, dropout=dropout)
    network, _ = build_network(model, 2 if classes else 1)
    adaptation = adapt_network(network, adapt)
    if classes:
        return ClassificationTask(
            network, adaptation, config, seed=seed, task_config=learned, class_counts=np.array(counts)
        )
    scale = fit_target_scale(draw(26, 1)[1], TargetTransform.none)
    meaning = Meaning(targets=(TargetMeaning("brightness", "g", scale),))
    return RegressionTask(network, adaptation, config, seed=seed, task_config=learned, meaning=meaning)


def fit(
    place: Path,
    task: PlantTask,
    data: PlantDataModule,
    config: TrainerConfig = CONFIG,
    watchers: Sequence[Callback] = (),
) -> pd.DataFrame:
    """Trains in a folder; gives the history."""
    fit_task(
        task,
        data,
        config,
        folder=place / "checkpoints",
        history=HistoryWriter(place / "history.csv", SilentJournal()),
        progress=SilentProgress(),
        watchers=watchers,
    )
    return pd.read_csv(place / "history.csv")


def weights(place: Path, name: str = LAST_NAME) -> dict[str, torch.Tensor]:
    """What training changed in the network."""
    return load_network_state(place / "checkpoints" / name)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], prefix: str = "") -> bool:
    """Whether all tensors with this prefix are there and equal to the last bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first if name.startswith(prefix)
    )
