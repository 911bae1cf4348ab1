"""Evaluated and packaged runs whose quality is planted, made in a second, and registered like any other."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from factories.predictions import evaluate_drawn
from phytoscope.evaluate.answers import judge_table, read_labelled
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package, state_hash
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.seen_files import keep_seen
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import OnnxExport, ResizeMode
from phytoscope.schema.events import EndStatus, EventLog
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import SPLIT
from phytoscope.schema.train_config import ModelConfig
from phytoscope.steps.gate_answers import answer_unseen
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.fit import TrustWishes, fit_trust

CLASSES = ("bright", "dark")
SIZE_PX = 32
SPLITS = ("train", "val", "calibration", "test")


@dataclass(frozen=True)
class Photos:
    """Drawn photographs: one row an image, two images of each plant."""

    root: Path
    rows: pd.DataFrame


def draw_photos(root: Path, plants: int = 80, seed: int = 0) -> Photos:
    """Draws dark and bright leaves that overlap a little, so that no model is always right."""
    rng = np.random.default_rng(seed)
    rows = []
    for plant in range(plants):
        label = CLASSES[plant % 2]
        base = (150 if label == "bright" else 90) + rng.normal(0, 12)
        for number in range(2):
            noise = rng.normal(0, 12, (SIZE_PX, SIZE_PX, 3)) + rng.normal(0, 6)
            path = root / label / f"{seed}-{plant:03}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8)).save(path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            name = path.relative_to(root).as_posix()
            rows.append((name, str(path), sha256, f"plant-{seed}-{plant}", label))
    columns = ["sample_id", "path", "sha256", "group_id", "label"]
    table = pd.DataFrame(rows, columns=columns).assign(width_px=SIZE_PX, height_px=SIZE_PX, green_px=10)
    return Photos(root, table)


def split_photos(photos: Photos, turn: int = 0) -> pd.DataFrame:
    """Deals plants: a fifth trains, a tenth validates, three tenths calibrate, the rest tests; `turn` rotates."""
    plant = (pd.factorize(photos.rows["group_id"])[0] // 2 + turn) % 10
    place = np.searchsorted([2, 3, 6], plant, side="right")
    return photos.rows.assign(split=np.array(SPLITS)[place])


def make_run(
    root: Path,
    rows: pd.DataFrame,
    *,
    store: str | None = None,
    spoilt: float = 0.0,
    seed: int = 0,
    name: str = "leaves",
    seen: bool = True,
    split_hash: str = "s" * 64,
) -> RunFolder:
    """Fits a head to the features of a network nobody trained, and leaves behind what an evaluated run does.

    Args:
        root: Folder of the run.
        rows: Photographs with their splits.
        store: Tracking URI in its settings.
        spoilt: Share of the head that is replaced by chance, 0-1.
        seed: Seed of network and chance.
        name: Name of the run.
        seen: Whether the package says what it has seen.
        split_hash: Hash of the split in the package.
    """
    run = RunFolder(root)
    root.mkdir(parents=True)
    predictor = _fit(rows, seed, spoilt, name, split_hash)
    judged = rows[rows[SPLIT] != "train"].reset_index(drop=True)
    predictions = answer_unseen([predictor], judged, [], progress=SilentProgress()).tables[0]
    parts = [
        read_labelled(predictions[predictions[SPLIT] == split], predictor.description.task, CLASSES)
        for split in ("calibration", "val")
    ]
    predictor.trust = fit_trust(predictor.description.task, parts[0], parts[1], TrustWishes(coverage=0.8))
    answers = judge_table(predictions, predictor.trust, CLASSES)
    predictions.to_parquet(run.predictions, index=False)
    answers.to_parquet(run.answers, index=False)
    train = rows[rows[SPLIT] == "train"]
    report = evaluate_drawn(
        answers,
        train,
        task=predictor.description.task,
        class_names=list(CLASSES),
        target_name="class",
        unit="",
        name=name,
        data_hash="d" * 64,
        split_hash=split_hash,
    )
    write_json(run.report, report.to_dict())
    words = ["data=folder", f"data.root={Path(rows['path'][0]).parents[1]}", f"name={name}", "track.pyfunc=false"]
    words += [] if store is None else [f"track.uri={store}"]
    run.config.write_text(yaml.safe_dump({"overrides": words}), encoding="utf-8")
    golden = [Path(path) for path in rows.loc[rows[SPLIT] == "test", "path"][:2]]
    further = [keep_seen(rows[rows[SPLIT] != "test"])] if seen else []
    save_package(predictor, golden, run.package, onnx=OnnxExport.never, limitations=[], further=further)
    _write_events(run, name)
    return run


def _fit(rows: pd.DataFrame, seed: int, spoilt: float, name: str, split_hash: str) -> Predictor:
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=SIZE_PX))
    torch.manual_seed(seed)
    network = PlantNetwork("test_resnet", len(CLASSES), 0.0, spec).eval()
    train = rows[rows[SPLIT] == "train"]
    pixels = np.stack([np.asarray(Image.open(path)) for path in train["path"]])
    with torch.inference_mode():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        features = network.look(images, None)[1].double().numpy()
    sign = np.where(train["label"] == CLASSES[0], 1.0, -1.0)
    centred = features - features.mean(axis=0)
    ridge = 1e-3 * np.trace(centred.T @ centred) / centred.shape[1]
    weight = np.linalg.solve(centred.T @ centred + ridge * np.eye(centred.shape[1]), centred.T @ sign)
    chance = np.random.default_rng(seed).normal(size=weight.shape) * weight.std()
    weight = (1.0 - spoilt) * weight + spoilt * chance
    bias = -float(features.mean(axis=0) @ weight)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(np.stack([weight, -weight])).float() * 2.0)
        network.head.bias.copy_(torch.tensor([bias, -bias]) * 2.0)
    state = network.state_dict()
    preprocess = Preprocess(SIZE_PX, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name=name,
        model_id=state_hash(state),
        backbone="test_resnet",
        preprocess=preprocess.to_dict(),
        weights_origin="random initial weights",
        data_hash="d" * 64,
        split_hash=split_hash,
        metrics={"test/macro_f1": 0.9},
        **describe_meaning(Meaning(class_names=CLASSES)),
    )
    return Predictor(description, state)


def _write_events(run: RunFolder, name: str) -> None:
    log = EventLog(run)
    log.begin("identity", name=name)
    log.params({"seed": 0})
    log.metrics({"test/macro_f1": 0.9}, step=1)
    for path in (run.answers, run.report):
        log.artifact(path, "tables")
    log.package(run.package)
    log.end(EndStatus.finished)
