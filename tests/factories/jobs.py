"""Small trainings on drawn squares whose answer is their brightness."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phytoscope.data.datamodule import Samples
from phytoscope.models.adapters import adapt_network
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import build_network
from phytoscope.models.target import fit_target_scale
from phytoscope.schema.choices import AdaptKind, AugmentPreset, DataKind, ResizeMode, TargetTransform, TrainMode
from phytoscope.schema.config import EvaluateConfig, PackageConfig, PathsConfig, RunConfig
from phytoscope.schema.data_config import AuditConfig, DataConfig
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.train_config import AdaptConfig, ModelConfig, SweepConfig, TaskConfig, TrainerConfig
from phytoscope.train.job import TrainingJob
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.preprocess import Preprocess

SIDE = 64
TRAINER = TrainerConfig(
    mode=TrainMode.plain,
    max_epochs=3,
    patience=5,
    batch_size=8,
    num_workers=0,
    accelerator="cpu",
    learning_rate=0.01,
    smallest_size=1.0,
)


def draw_squares(n: int, seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Noisy squares, shape (n, side, side, 3), uint8, and the brightness of each, shape (n,)."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(20, 220, n)
    pixels = brightness[:, None, None, None] + rng.normal(0, 25, (n, side, side, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), brightness


def make_samples(n: int, seed: int, *, classes: bool, side: int = SIDE) -> Samples:
    """Squares with a class (bright or dark) or a number (brightness on a learned scale)."""
    pixels, brightness = draw_squares(n, seed, side)
    numbers = ((brightness - 120) / 58).astype(np.float32)[:, None]
    target: Any = (brightness > 120).astype(np.int64) if classes else numbers
    names = tuple(hashlib.sha256(square.tobytes()).hexdigest() for square in pixels)
    return Samples(pixels, np.arange(n), target, sha256=names, group_ids=names)


def make_job(
    place: Path,
    *,
    classes: bool = True,
    backbone: str = "test_resnet",
    adapt: AdaptConfig | None = None,
    trainer: TrainerConfig = TRAINER,
    task: TaskConfig | None = None,
    augment: AugmentPreset = AugmentPreset.none,
    n: int = 26,
    side: int = SIDE,
    seed: int = 0,
    dropout: float = 0.0,
) -> tuple[TrainingJob, list[str]]:
    """A training of a tiny network with random weights, and the list that receives what it says."""
    torch.manual_seed(seed)
    adapt = adapt if adapt is not None else AdaptConfig(kind=AdaptKind.last_stages, frozen_epochs=0)
    model = ModelConfig(backbone=backbone, weights="random", input_size_px=side, dropout=dropout)
    network, _ = build_network(model, 2 if classes else 1)
    scale = fit_target_scale(draw_squares(26, 1)[1], TargetTransform.none)
    meaning = Meaning(class_names=("dark", "bright"))
    if not classes:
        meaning = Meaning(targets=(TargetMeaning("brightness", "g", scale),))
    kind = DataKind.folder if classes else DataKind.table
    config = RunConfig(
        name="tiny",
        seed=seed,
        data=DataConfig(kind=kind, augment=augment, target=None if classes else "brightness"),
        model=model,
        adapt=adapt,
        task=task if task is not None else TaskConfig(label_smoothing=0.0),
        trainer=trainer,
        evaluate=EvaluateConfig(),
        package=PackageConfig(),
        audit=AuditConfig(),
        sweep=SweepConfig(),
        paths=PathsConfig(),
    )
    said: list[str] = []
    job = TrainingJob(
        config=config,
        network=network,
        adaptation=adapt_network(network, adapt),
        meaning=meaning,
        preprocess=Preprocess(
            size_px=side,
            resize=ResizeMode.squash,
            interpolation="bicubic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            crop_pct=1.0,
            scale=None,
            max_megapixels=100.0,
        ),
        train=make_samples(n, 1, classes=classes, side=side),
        val=make_samples(12, 2, classes=classes, side=side),
        unlabelled=None,
        augmentation=build_augmentation(augment, size_px=side, seed=seed),
        cache_dir=place / "cache",
        folder=place / "checkpoints",
        history_path=place / "history.csv",
        progress=SilentProgress(),
        say=said.append,
    )
    return job, said


def with_trainer(job: TrainingJob, **changes: Any) -> TrainingJob:
    """The same training with some trainer settings changed."""
    trainer = dataclasses.replace(job.config.trainer, **changes)
    return dataclasses.replace(job, config=dataclasses.replace(job.config, trainer=trainer))
