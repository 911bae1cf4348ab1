"""Compares heat maps by the deletion and insertion test, so that the one that is taken by itself is the best one.

Usage: python benchmarks/explanations.py DATA WEIGHTS [OUTPUT]

DATA holds any of `plantvillage/`, `apple_field/` (class folders) and the tables `arabidopsis_leaf_area/`,
`arabidopsis_age/` and `maize_leaf_count/` (labels.csv beside images/). WEIGHTS is a safetensors file of
tf_mobilenetv3_small_100. OUTPUT (default runs/explanations) receives `explanations.md`.

A linear layer is fitted to the frozen features of some images; the answers for others are explained: of classes for
other photographs, of numbers for plants that were not learned from.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV

from phytoscope.models.network import PlantNetwork, build_network, read_backbone_input
from phytoscope.predict.explain import Explainer
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.explanation import Explanation, ExplanationMethod
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.decode import read_image
from phytoscope.transforms.preprocess import Preprocess

BACKBONE = "tf_mobilenetv3_small_100"
CLASSES = (
    "Apple___Apple_scab",
    "Apple___Black_rot",
    "Apple___Cedar_apple_rust",
    "Apple___healthy",
    "Tomato___Early_blight",
    "Tomato___Late_blight",
)
TABLES = {"arabidopsis_leaf_area": "projected_leaf_area_px", "arabidopsis_age": "day", "maize_leaf_count": "leaf_count"}
LEARNED, EXPLAINED = 60, 10
NUMBERS_EXPLAINED = 48
METHODS = [method for method in ExplanationMethod if method.value.endswith("_cam")]


@dataclass(frozen=True)
class Subject:
    """A fitted model and the images whose answers are explained.

    Attributes:
        predictor: The model.
        sets: Name of a set -> its squares, shape (N, S, S, 3), uint8.
    """

    predictor: Predictor
    sets: dict[str, NDArray[np.uint8]]


def main(data: Path, weights: Path, output: Path) -> None:
    """Fits, explains, writes the table."""
    rows = []
    for subject in (fit_classes(data, weights), *(fit_numbers(data, weights, name) for name in TABLES)):
        for method in METHODS if subject is not None else []:
            explainer = Explainer(subject.predictor, method)
            for name, squares in subject.sets.items():
                rows.append({"set": name, "method": method.value, **summarise(explainer.explain(squares))})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    (output / "explanations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def summarise(explanations: list[Explanation]) -> dict[str, float | int]:
    """Means of one set; areas are probabilities, or numbers in the unit of the target."""
    tests = [each.test for each in explanations if each.test is not None]
    outside = [each.outside_plant for each in explanations if each.outside_plant is not None]
    gains = [test.insertion - test.deletion for test in tests]
    random = [test.random_insertion - test.random_deletion for test in tests]
    return {
        "images": len(tests),
        "better than random": round(float(np.mean([test.better_than_random for test in tests])), 2),
        "insertion - deletion": float(f"{np.mean(gains):.3g}"),
        "the same of random maps": float(f"{np.mean(random):.3g}"),
        "heat off the plant": round(float(np.mean(outside)), 2) if outside else float("nan"),
    }


def fit_classes(data: Path, weights: Path) -> Subject | None:
    """A model of six classes, explained on paper and in the orchard."""
    if not (data / "plantvillage").is_dir():
        return None
    files = {name: sorted((data / "plantvillage" / name).iterdir()) for name in CLASSES}
    network, preprocess = open_network(weights, len(CLASSES))
    learned = read(preprocess, [path for paths in files.values() for path in paths[:LEARNED]])
    truth = np.repeat(np.arange(len(CLASSES)), LEARNED)
    features, mean, spread = extract(network, learned)
    head = LogisticRegression(C=0.05, max_iter=1000).fit(features, truth)
    fill(network, head.coef_, head.intercept_, mean, spread)
    sets = {"laboratory": read(preprocess, [path for paths in files.values() for path in paths[-EXPLAINED:]])}
    if (data / "apple_field").is_dir():
        field = [path for name in CLASSES for path in sorted((data / "apple_field" / name).glob("*"))[:EXPLAINED]]
        sets["orchard"] = read(preprocess, field)
    about = describe(preprocess, Task.classification)
    return Subject(Predictor(replace(about, class_names=list(CLASSES)), network.state_dict()), sets)


def fit_numbers(data: Path, weights: Path, name: str) -> Subject | None:
    """A model of a number, explained on plants that it has not seen."""
    place = data / name
    if not place.is_dir():
        return None
    rows = pd.read_csv(place / "labels.csv")
    plants = np.random.default_rng(0).permutation(rows["plant_id"].unique())
    kept = rows["plant_id"].isin(plants[: max(2, len(plants) // 4)])
    network, preprocess = open_network(weights, 1)
    truth = rows.loc[~kept, TABLES[name]].to_numpy(dtype=np.float64)
    learned = read(preprocess, [place / "images" / file for file in rows.loc[~kept, "filename"]])
    features, mean, spread = extract(network, learned)
    middle, width = float(truth.mean()), float(truth.std())
    head = RidgeCV(alphas=np.logspace(0, 6, 25)).fit(features, (truth - middle) / width)
    fill(network, head.coef_[None], np.array([head.intercept_]), mean, spread)
    scale = {"transform": "none", "unit_value": 1.0, "mean": middle, "std": width, "lower": None}
    about = replace(describe(preprocess, Task.regression), target_scale=scale, target_name=TABLES[name])
    shown = rows[kept].sample(frac=1, random_state=0)["filename"][:NUMBERS_EXPLAINED]
    squares = read(preprocess, [place / "images" / file for file in shown])
    return Subject(Predictor(about, network.state_dict()), {name: squares})


def open_network(weights: Path, outputs: int) -> tuple[PlantNetwork, Preprocess]:
    """The pre-trained network with an empty head, and what it sees."""
    config = ModelConfig(backbone=BACKBONE, weights=str(weights))
    spec = read_backbone_input(config)
    network, _ = build_network(config, outputs)
    preprocess = Preprocess(spec.size_px, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    return network.eval(), preprocess


def read(preprocess: Preprocess, paths: list[Path]) -> NDArray[np.uint8]:
    """Squares of some files, shape (N, S, S, 3)."""
    return np.stack([preprocess(read_image(path, max_megapixels=preprocess.max_megapixels)) for path in paths])


@torch.inference_mode()
def extract(
    network: PlantNetwork, squares: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Standardised features (N, F), and the mean and spread (F,) that were taken out of them."""
    images = torch.from_numpy(squares).permute(0, 3, 1, 2)
    features = torch.cat([network.features(batch) for batch in images.split(32)]).numpy()
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    return (features - mean) / spread, mean, spread


def fill(
    network: PlantNetwork,
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> None:
    """Puts a head that was fitted to standardised features, (outputs, F) and (outputs,), into the network."""
    plain = weights / spread
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(plain))
        network.head.bias.copy_(torch.from_numpy(bias - plain @ mean))


def describe(preprocess: Preprocess, task: Task) -> ModelDescription:
    """What every model here says about itself."""
    return ModelDescription(
        name="explanations",
        model_id="0" * 16,
        task=task,
        backbone=BACKBONE,
        class_names=[],
        target_name="class",
        unit="",
        preprocess=preprocess.to_dict(),
        target_scale=None,
        weights_origin="benchmark",
        data_hash="",
        split_hash="",
    )


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) == 4 else "runs/explanations"))
