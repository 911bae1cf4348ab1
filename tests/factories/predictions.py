"""Tables of predictions whose quality is known by construction, for tests of evaluation, figures and the report."""

import dataclasses

import numpy as np
import pandas as pd

from phytoscope.evaluate.report import ReportPlan, Subject, evaluate_predictions
from phytoscope.schema.report import EvaluationReport

LONG_CLASS_NAMES = [
    "Apple___Apple_scab",
    "Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot",
    "Corn_(maize)___Common_rust_",
    "Grape___Esca_(Black_Measles)",
    "Tomato___Spider_mites Two-spotted_spider_mite",
    "Tomato___healthy",
]
SPLITS = ("train", "val", "calibration", "test")


def make_classification(
    class_names=("healthy", "rust", "scab"), n_per_class=12, accuracy=0.9, seed=0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Draw predictions, training rows and a manifest; about `accuracy` of the predictions are right.

    Args:
        class_names: Names of the classes, in order.
        n_per_class: Images of each class in each split.
        accuracy: Chance of a right prediction, 0-1; mistakes go to the next class.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    names = list(class_names)
    rows, manifest = [], []
    for split in SPLITS:
        for index, label in enumerate(names):
            for number in range(n_per_class):
                sample_id = f"{label}/{split}_{number:03d}.jpg"
                group_id = f"{label}-{split}-{number // 3}"
                manifest.append(
                    {"sample_id": sample_id, "path": sample_id, "label": label, "group_id": group_id, "split": split}
                )
                if split == "train":
                    continue
                chosen = index if rng.random() < accuracy else (index + 1) % len(names)
                probs = rng.dirichlet(np.full(len(names), 0.3)) * 0.4
                probs[chosen] += 0.6
                rows.append(
                    {
                        "sample_id": sample_id,
                        "path": sample_id,
                        "group_id": group_id,
                        "split": split,
                        "label": label,
                        "prediction": names[chosen],
                        "probability": probs[chosen],
                        "model_id": "model-1",
                        **{f"prob/{name}": value for name, value in zip(names, probs, strict=True)},
                    }
                )
    table = pd.DataFrame(manifest)
    return pd.DataFrame(rows), table.loc[table["split"] == "train"].reset_index(drop=True), table


def make_regression(n_per_split=40, noise=0.1, seed=0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Draw predictions, training rows and a manifest of a skewed weight in grams.

    Args:
        n_per_split: Images in each split, four to a plant.
        noise: Relative error of the predictions (1 standard deviation of the logarithm).
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for split in SPLITS:
        target = np.exp(rng.normal(-1.5, 1.0, n_per_split))
        names = [f"plants/{split}_{number:03d}.png" for number in range(n_per_split)]
        parts.append(
            pd.DataFrame(
                {
                    "sample_id": names,
                    "path": names,
                    "group_id": [f"{split}-{number // 4}" for number in range(n_per_split)],
                    "split": split,
                    "target": target,
                    "prediction": target * np.exp(rng.normal(0.0, noise, n_per_split)),
                    "green_px": np.round(8000.0 * target**0.7 * np.exp(rng.normal(0.0, 0.3, n_per_split))),
                    "model_id": "model-2",
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    train = table["split"] == "train"
    manifest = table.drop(columns=["prediction", "model_id"])
    return table.loc[~train].reset_index(drop=True), table.loc[train].reset_index(drop=True), manifest


def make_history(metric="macro_f1", epochs=12) -> pd.DataFrame:
    """Draw a training history that improves with every epoch until it settles."""
    epoch = np.arange(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train/loss": 1.2 * np.exp(-epoch / 3.0) + 0.05,
            "val/loss": 1.2 * np.exp(-epoch / 4.0) + 0.15,
            f"val/{metric}": 0.95 - 0.6 * np.exp(-epoch / 3.0),
            "lr": 1e-3 * (1 + np.cos(np.pi * epoch / epochs)) / 2,
        }
    )


def make_rejected(n=3) -> pd.DataFrame:
    """Make a table of rejected rows, two of them for the same reason."""
    rows = [
        {"source_row": None, "path": f"bad/{number}.jpg", "column": "", "value": "", "reason": reason, "remedy": remedy}
        for number, (reason, remedy) in enumerate(
            [("image is empty (0 bytes)", "copy it again"), ("image is truncated", "copy it again")] * n
        )
    ]
    return pd.DataFrame(rows[:n])


def add_more_targets(
    predictions: pd.DataFrame, train_rows: pd.DataFrame, names=("leaf area", "leaves"), known=0.7, seed=0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add further targets to drawn predictions of a weight: multiples of it, known for some of the rows.

    Args:
        predictions: What `make_regression` drew.
        train_rows: Its training rows.
        names: Names of the further targets.
        known: Share of the rows with a true value, 0-1.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    predictions, train_rows = predictions.copy(), train_rows.copy()
    for factor, name in enumerate(names, start=2):
        for table in (predictions, train_rows):
            missing = rng.random(len(table)) >= known
            table[f"target/{name}"] = (factor * table["target"]).mask(missing)
        predictions[f"prediction/{name}"] = factor * predictions["prediction"] + 0.01
    return predictions, train_rows


def evaluate_drawn(predictions, train_rows, **words) -> EvaluationReport:
    """The report of drawn predictions; words are fields of `Subject` and `ReportPlan`, some filled in."""
    about = {"target_name": "class", "unit": "", "name": "run", "data_hash": "d", "split_hash": "s", "class_names": []}
    plan = {field.name: words.pop(field.name) for field in dataclasses.fields(ReportPlan) if field.name in words}
    return evaluate_predictions(predictions, train_rows, Subject(**{**about, **words}), ReportPlan(**plan))
