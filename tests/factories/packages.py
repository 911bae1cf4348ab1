"""Model packages of tiny networks, as a run leaves them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from factories.trust import make_trust
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.models.target import TargetScale
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import hash_file
from phytoscope.schema.choices import NoveltyKind, OnnxExport, ResizeMode, TargetTransform
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.package_format import hash_description
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.novelty import fit_novelty

ENCODER = CovariateEncoder((Covariate("age", mean=10.0, std=4.0), Covariate("state", ("dry", "wet"))))
WEIGHT = TargetMeaning("fresh_weight", "g", TargetScale(TargetTransform.none, 1.0, 2.0, 0.5))
LEAVES = TargetMeaning("leaves", "", TargetScale(TargetTransform.log1p, 3.0, 0.6, 0.3, 0.0))
MEANINGS = {
    "classes": Meaning(class_names=("Äpfel, grün", "rust", "scab")),
    "number": Meaning(targets=(WEIGHT,)),
    "several": Meaning(targets=(WEIGHT, LEAVES), covariates=ENCODER),
    "classes and more": Meaning(class_names=("rust", "scab"), covariates=ENCODER),
}


def draw_photo(path: Path, seed: int = 0) -> Path:
    """Draws a small photograph that differs with the seed."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, 3) * np.ones((20, 24, 1)) + rng.normal(0, 20, (20, 24, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return path


def make_package(folder: Path, meaning: str = "classes", *, judged: bool = True, name: str = "leaf: a/b") -> Predictor:
    """Writes a package with two golden images; `meaning` is one of `MEANINGS`. Gives what it was made from."""
    means = MEANINGS[meaning]
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", means.outputs, 0.0, spec, means.covariate_dim)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    preprocess = Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name=name,
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=preprocess.to_dict(),
        weights_origin="random initial weights",
        data_hash="d" * 64,
        split_hash="s" * 64,
        metrics={"test/accuracy": 0.5},
        **describe_meaning(means),
    )
    predictor = Predictor(description, network.state_dict())
    if judged:
        predictor.trust = make_trust(means.task, targets=len(means.targets))
        features = np.random.default_rng(0).random((20, predictor.first_member[0].feature_dim), dtype=np.float32)
        predictor.novelty = fit_novelty(NoveltyKind.knn, features, np.zeros((20, 1)), None, seed=0)
    photos = [draw_photo(folder.parent / "photos" / name, seed) for seed, name in enumerate(("one.png", "two.jpg"))]
    known = [{"age": 12.0, "state": "dry"}, {}] if means.covariates is not None else ()
    save_package(predictor, photos, folder, onnx=OnnxExport.never, limitations=[], known=known)
    return predictor


def change_description(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edits `package.json`, and makes its own hash fit as somebody who means harm would."""
    place = folder / "package.json"
    content = json.loads(place.read_text(encoding="utf-8"))
    edit(content)
    if all(isinstance(content.get(name), dict) for name in ("model", "sha256", "variants")):
        content["content_sha256"] = hash_description(content)
    place.write_text(json.dumps(content), encoding="utf-8")


def change_part(folder: Path, name: str, content: bytes) -> None:
    """Puts other bytes into a part, and makes all hashes fit."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    change_description(folder, lambda about: about["sha256"].update({name: hash_file(folder / name)}))
