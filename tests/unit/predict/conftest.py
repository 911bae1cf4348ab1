"""Small predictors, as they are after a training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess

CLASSES = ["Äpfel, grün", "rust", "scab"]
SCALE = {"transform": "log1p", "unit_value": 2.0, "mean": 0.6, "std": 0.3, "lower": 0.0}


def make_predictor(task: Task = Task.classification, seed: int = 0) -> Predictor:
    """A predictor whose answers differ from image to image."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    outputs = len(CLASSES) if task is Task.classification else 1
    torch.manual_seed(seed)
    network = PlantNetwork("test_resnet", outputs, 0.0, spec)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    preprocess = Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        task=task,
        backbone="test_resnet",
        class_names=CLASSES if task is Task.classification else [],
        target_name="class" if task is Task.classification else "fresh_weight",
        unit="" if task is Task.classification else "g",
        preprocess=preprocess.to_dict(),
        target_scale=None if task is Task.classification else SCALE,
        weights_origin="random initial weights",
        data_hash="d" * 64,
        split_hash="s" * 64,
        metrics={"test/accuracy": 0.5, "test/mape": None},
    )
    return Predictor(description, network.state_dict())


@pytest.fixture(params=list(Task))
def predictor(request) -> Predictor:
    """A predictor for each task."""
    return make_predictor(request.param)


@pytest.fixture
def classifier() -> Predictor:
    """A predictor of classes."""
    return make_predictor(Task.classification)


@pytest.fixture
def photo(tmp_path) -> Callable[[str], Path]:
    """Draws a small photograph of the given name; the name decides what it shows."""

    def draw(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([len(name), *map(ord, name[-12:])])
        pixels = rng.integers(0, 256, 3) * np.ones((20, 24, 1)) + rng.normal(0, 20, (20, 24, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
        return path

    return draw
