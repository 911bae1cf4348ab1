"""Photographs of drawn leaves, and a package of a small real network that has learned them, for tests of the watch."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

from factories.colour_net import SIDE, draw_leaf
from phytoscope.evaluate.answers import judge_table, read_labelled
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.package import save_package
from phytoscope.predict.prediction_table import predict_table
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import FeatureKeeper, copy_reference, keep_reference
from phytoscope.schema.choices import NoveltyKind, OnnxExport, ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.novelty import fit_novelty

CLASSES = ["healthy", "sick"]
SCALE = {"transform": "none", "unit_value": 1.0, "mean": 5.0, "std": 2.0, "lower": None}
SPLITS = {"train": 80, "val": 40, "calibration": 80, "test": 80}


def draw_photos(root, n=40, *, seed=1000, light=1.0, blur=0.0, sick=0.5, start=0):
    """Draws leaves, two photographs a plant, and gives a table with their truth.

    Args:
        root: Folder for `plantNNN_K.png`.
        n: Photographs.
        seed: Seed of the drawing; other seeds give other plants.
        light: Factor of the brightness.
        blur: Radius of a blur in pixels.
        sick: Share of plants with a lesion.
        start: Number of the first plant.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for plant in range(start, start + n // 2):
        radius = int(rng.integers(5, 10)) if rng.random() < sick else 0
        tone = rng.normal(1.0, 0.04)
        for view in range(2):
            place = tuple(int(value) for value in rng.integers(24, 40, 2))
            pixels = draw_leaf(place, radius, seed=int(rng.integers(1 << 30)))[0] * (light * tone * rng.normal(1, 0.01))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            path = root / f"plant{plant:03d}_{view}.png"
            (image.filter(ImageFilter.GaussianBlur(blur)) if blur else image).save(path)
            rows.append({"path": path, "plant": f"plant{plant:03d}", "label": CLASSES[radius > 0], "spots": radius})
    return pd.DataFrame(rows)


def make_watched_package(place, task=Task.classification, *, seed=0, model_id="0123456789abcdef"):
    """Learns drawn leaves and packs the model with its trust and its reference; gives the folder of the package."""
    place = Path(place)
    rows = pd.concat(
        [
            draw_photos(place / "data" / split, n, seed=seed + number, start=100 * number).assign(split=split)
            for number, (split, n) in enumerate(SPLITS.items())
        ],
        ignore_index=True,
    )
    predictor = _begin(task, model_id)
    photos = [predictor.prepare_photo(path) for path in rows["path"]]
    pixels = np.stack([photo.square for photo in photos])
    truth = np.eye(2)[(rows["label"] == "sick").astype(int)] * 8 if task is Task.classification else None
    wanted = truth if truth is not None else (rows[["spots"]].to_numpy(dtype=float) - SCALE["mean"]) / SCALE["std"]
    train = (rows["split"] == "train").to_numpy()
    _, features = predictor.look(pixels)
    _teach(predictor, features[train], wanted[train])
    outputs, _ = predictor.look(pixels)
    classes = (rows["label"] == "sick").to_numpy(dtype=np.int64) if task is Task.classification else None
    predictor.novelty = fit_novelty(
        NoveltyKind.auto, features[train], outputs[train], None if classes is None else classes[train], seed=0
    )
    # Half of the held-out rows suffice for the reference, and the others show that nothing else is kept.
    keeper = FeatureKeeper(rows["split"].isin(["calibration", "test"]).to_numpy())
    answered = predict_table(
        predictor, pixels, np.arange(len(rows)), batch_size=64, progress=SilentProgress(), keeper=keeper
    )
    known = pd.DataFrame({"split": rows["split"], "group_id": rows["plant"]})
    known = known.assign(label=rows["label"]) if classes is not None else known.assign(target=rows["spots"] * 1.0)
    table = pd.concat([known, answered], axis=1)
    names = predictor.description.class_names
    parts = [read_labelled(table[table["split"] == split], task, names) for split in ("calibration", "val")]
    predictor.trust = fit_trust(task, *parts, TrustWishes(lowest=(None,)))
    answers = judge_table(table, predictor.trust, names)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rows["path"]]
    keep_reference(place, answers, hashes, keeper)
    golden = list(rows["path"][-4:])
    further = [copy_reference(place)]
    save_package(predictor, golden, place / "package", onnx=OnnxExport.never, limitations=[], further=further)
    return place / "package"


def _begin(task, model_id):
    backbone = "test_resnet"
    spec = read_backbone_input(ModelConfig(backbone=backbone, input_size_px=SIDE))
    torch.manual_seed(0)
    network = PlantNetwork(backbone, 2 if task is Task.classification else 1, 0.0, spec)
    preprocess = Preprocess(SIDE, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    is_class = task is Task.classification
    description = ModelDescription(
        name="drawn leaves",
        model_id=model_id,
        task=task,
        backbone=backbone,
        class_names=CLASSES if is_class else [],
        target_name="class" if is_class else "spots",
        unit="" if is_class else "mm",
        preprocess=preprocess.to_dict(),
        target_scale=None if is_class else SCALE,
        weights_origin="random, with a head that was computed",
        data_hash="d" * 64,
        split_hash="s" * 64,
    )
    return Predictor(description, network.state_dict())


def _teach(predictor, features, wanted):
    """Sets the head by ridge regression on the features of a network that nobody trained."""
    middle = features.mean(axis=0)
    seen = features - middle
    scale = 1e-3 * float((seen**2).sum(axis=1).mean())
    weights = np.linalg.solve(seen.T @ seen + scale * np.eye(seen.shape[1]), seen.T @ (wanted - wanted.mean(axis=0)))
    with torch.no_grad():
        predictor.network.head.weight.copy_(torch.from_numpy(weights.T))
        predictor.network.head.bias.copy_(torch.from_numpy(wanted.mean(axis=0) - middle @ weights))
