"""Compares ways to learn a number from frozen features, with plants kept apart.

Usage: python benchmarks/regression.py DATA WEIGHTS [OUTPUT]

DATA holds any of the tables `arabidopsis_leaf_area/`, `arabidopsis_age/` and `maize_leaf_count/` (labels.csv beside
images/). WEIGHTS is a safetensors file of tf_mobilenetv3_small_100. OUTPUT (default runs/regression) keeps the
features, so that a second run starts at once, and receives `regression.md` with the tables.

Every way sees the same features of the same images and the same five folds over plants, drawn three times. Whatever is
chosen (learning rate, epoch, penalty, curve, way back) is chosen inside the training plants of each fold.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phytoscope.configs import compose_config
from phytoscope.data.datamodule import Samples
from phytoscope.models.covariates import fit_covariates
from phytoscope.models.losses.regression import ValueLoss
from phytoscope.models.network import build_network, read_backbone_input
from phytoscope.models.target import TargetScale, fit_scale
from phytoscope.schema.artifact import hash_file
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig
from phytoscope.train.features.axes import fit_axes
from phytoscope.train.features.extraction import extract_features
from phytoscope.train.features.fit import STRONGER, WEAKER
from phytoscope.train.features.solver import HeadSolver
from phytoscope.train.scales.choosing import choose_transform
from phytoscope.train.scales.smearing import fit_residuals
from phytoscope.transforms.decode import read_image
from phytoscope.transforms.preprocess import Preprocess, choose_resize

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

BACKBONE = "tf_mobilenetv3_small_100"
FOLDS, REPEATS, INNER_FOLDS = 5, 3, 5
EPOCHS, BATCH_SIZE, WEIGHT_DECAY = 50, 32, 0.02
RATE = 3e-3
RATES = (3e-3, 3e-2, 0.3)
PENALTIES = np.logspace(-6, 1.5, 16)
SETS = {
    "arabidopsis_leaf_area": ("projected_leaf_area_px", ["subset", "frame"]),
    "arabidopsis_age": ("day", []),
    "maize_leaf_count": ("leaf_count", ["days"]),
}
RAW = TargetScale(TargetTransform.none, 1.0, 0.0, 1.0)
MSE = TaskConfig(loss=RegressionLoss.mse, target_transform=TargetTransform.none, unbiased=False)


@dataclass(frozen=True)
class Rows:
    """Images of one set: features (N, F), targets (N,), the plant of each, and what else is known."""

    features: Floats
    target: Floats
    groups: NDArray[np.str_]
    table: pd.DataFrame
    covariates: list[str]

    def take(self, places: Places) -> "Rows":
        """Some of them."""
        return Rows(
            self.features[places],
            self.target[places],
            self.groups[places],
            self.table.iloc[places],
            self.covariates,
        )


_CURVES: dict[tuple[bytes, int], TargetTransform] = {}
Way = Callable[[Rows, Rows, int], Floats]


def read_rows(name: str, data: Path, weights: Path, output: Path) -> Rows:
    """Features and targets of one set; features are computed once."""
    target, covariates = SETS[name]
    table = pd.read_csv(data / name / "labels.csv")
    if "date" in table:
        table["days"] = (pd.to_datetime(table["date"]) - pd.to_datetime(table["date"]).min()).dt.days.astype(float)
    config = compose_config(
        [f"model.backbone={BACKBONE}", f"model.weights={weights}", f"data.root={data}", "data=folder"]
    )
    network, _ = build_network(config.model, 1)
    spec = read_backbone_input(config.model)
    files = [data / name / "images" / file for file in table["filename"]]
    images = [read_image(file, max_megapixels=100.0) for file in files]
    resize, scale = choose_resize(config.data.resize, np.array([max(i.shape[:2]) for i in images]), spec.size_px)
    facts = (spec.interpolation, spec.mean, spec.std, spec.crop_pct, scale)
    preprocess = Preprocess(spec.size_px, resize, *facts)
    pixels = np.stack([preprocess(image) for image in images])
    hashes = tuple(hash_file(file) for file in files)
    samples = Samples(pixels, np.arange(len(pixels)), np.zeros(len(pixels)), sha256=hashes)
    features = extract_features(network, samples, preprocess=preprocess, cache_dir=output / "cache")
    groups = table["plant_id"].astype(str).to_numpy(dtype=str)
    return Rows(features.astype(float), table[target].to_numpy(dtype=float), groups, table, covariates)


def deal(groups: NDArray[np.str_], folds: int, seed: int) -> list[tuple[Places, Places]]:
    """Divides rows into folds that keep groups together: (train, held) of each."""
    names, group = np.unique(groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % min(folds, len(names)))[group]
    return [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in range(int(fold.max()) + 1)]


def fit_with_gradients(
    train: Rows, held: Rows, seed: int, scale: TargetScale, config: TaskConfig, rate: float
) -> list[Floats]:
    """Trains a linear head with AdamW; outputs for the held rows after each epoch."""
    torch.manual_seed(seed)
    head = torch.nn.Linear(train.features.shape[1], 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    loss = ValueLoss(config, [scale])
    seen, other = (torch.tensor(rows.features, dtype=torch.float32) for rows in (train, held))
    target = torch.tensor(scale.forward(train.target), dtype=torch.float32)[:, None]
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(seen) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    found = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(seen)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss(head(seen[batch]), target[batch]).backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            found.append(head(other)[:, 0].double().numpy())
    return found


def train_head(
    train: Rows, held: Rows, seed: int, scale: TargetScale, config: TaskConfig, rates: tuple[float, ...]
) -> Floats:
    """Chooses learning rate and epoch on plants of the training side, as a run does, and answers with that network."""
    learn, choose = deal(train.groups, 4, seed)[0]
    best, answer = np.inf, np.full(len(held.target), train.target.mean())
    val = train.take(choose)
    both = np.concatenate([choose, np.arange(len(held.target)) + len(train.target)])
    everyone = Rows(np.concatenate([train.features, held.features]), *_join(train, held))
    for rate in rates:
        for outputs in fit_with_gradients(train.take(learn), everyone.take(both), seed, scale, config, rate):
            said, new = outputs[: len(choose)], outputs[len(choose) :]
            back = fit_residuals(scale, said, val.target, tuple(val.groups)) if config.unbiased else scale
            error = float(((back.inverse(said) - val.target) ** 2).mean())
            if error < best:
                best, answer = error, back.inverse(new)
    return answer


def _join(train: Rows, held: Rows) -> tuple[Floats, NDArray[np.str_], pd.DataFrame, list[str]]:
    return (
        np.concatenate([train.target, held.target]),
        np.concatenate([train.groups, held.groups]),
        pd.concat([train.table, held.table]),
        train.covariates,
    )


def solve_ridge(seen: Floats, target: Floats, other: Floats) -> Floats:
    """Ridge regression for every penalty: answers (penalties, N) for the other rows."""
    middle, spread = seen.mean(axis=0), seen.std(axis=0)
    spread[spread == 0] = 1
    seen, other = (seen - middle) / spread, (other - middle) / spread
    spans, axes = np.linalg.eigh(seen @ seen.T)
    kept = spans > spans[-1] * 1e-10
    spans, axes = spans[kept], axes[:, kept]
    along = axes.T @ (target - target.mean())
    penalties = PENALTIES[:, None] * spans.mean()
    answers: Floats = target.mean() + (along / (spans + penalties)) @ (other @ seen.T @ axes).T
    return answers


def fit_raw_ridge(train: Rows, held: Rows, seed: int) -> Floats:
    """Ridge regression of the raw target, its penalty chosen over folds of the training plants."""
    errors = np.zeros(len(PENALTIES))
    for learn, choose in deal(train.groups, INNER_FOLDS, seed):
        outputs = solve_ridge(train.features[learn], train.target[learn], train.features[choose])
        errors += ((outputs - train.target[choose]) ** 2).sum(axis=1)
    answers: Floats = solve_ridge(train.features, train.target, held.features)[int(errors.argmin())]
    return answers


def fit_head(train: Rows, held: Rows, seed: int, scale: TargetScale, config: TaskConfig) -> Floats:
    """Fits the penalised head of the features mode, its penalty chosen on plants of the training side."""
    learn, choose = deal(train.groups, 4, seed)[0]
    seen, val, other = (
        torch.tensor(rows.features, dtype=torch.float32) for rows in (train.take(learn), train.take(choose), held)
    )
    axes = fit_axes(seen)
    target = torch.tensor(scale.forward(train.target[learn]), dtype=torch.float32)[:, None]
    solver = HeadSolver(axes, axes.turn(seen), target, ValueLoss(config, [scale]), 1)
    best, answer = np.inf, np.zeros(len(held.target))
    true = train.target[choose]
    for strength in (*reversed(STRONGER), *WEAKER):
        solver.solve(strength)
        said, new = (solver.head(axes.turn(rows))[:, 0].double().numpy() for rows in (val, other))
        error = float(((scale.inverse(said) - true) ** 2).mean())
        if error < best:
            back = fit_residuals(scale, said, true, tuple(train.groups[choose])) if config.unbiased else scale
            best, answer = error, back.inverse(new)
    return answer


def add_covariates(train: Rows, held: Rows) -> tuple[Rows, Rows]:
    """Puts what is known beside the image beside the features, encoded as on the training rows."""
    # All training plants may have stood before the same camera.
    names = [name for name in train.covariates if len(train.table[name].unique()) > 1]
    encoder = fit_covariates(train.table, names)
    both = [
        Rows(np.hstack([rows.features, encoder.encode(rows.table)]), rows.target, rows.groups, rows.table, [])
        for rows in (train, held)
    ]
    return both[0], both[1]


def choose_curve(train: Rows, seed: int) -> TargetTransform:
    """The curve that the product would take; it looks at the image alone, so it is the same for several ways."""
    key = (train.target.tobytes(), seed)
    if key not in _CURVES:
        features = train.features.astype(np.float32)
        choice = choose_transform(features, train.target, tuple(train.groups), bounds=(0.0, None), seed=seed)
        _CURVES[key] = TargetTransform.none if choice is None else choice.transform
    return _CURVES[key]


def answer_plain(train: Rows, held: Rows, seed: int) -> Floats:
    """Mean squared error on the raw target, as it is mostly done."""
    return train_head(train, held, seed, RAW, MSE, (RATE,))


def answer_tuned(train: Rows, held: Rows, seed: int) -> Floats:
    """The same with the learning rate chosen, and answers that begin at the mean."""
    start = TargetScale(TargetTransform.none, 1.0, float(train.target.mean()), 1.0)
    return train_head(train, held, seed, start, MSE, RATES)


def answer_engine(train: Rows, held: Rows, seed: int) -> Floats:
    """The product's defaults: chosen curve, standardised, huber, smearing where it helps."""
    config = TaskConfig(target_transform=choose_curve(train, seed))
    return train_head(train, held, seed, fit_scale(train.target, config, 0.0), config, (RATE,))


def answer_raw_head(train: Rows, held: Rows, seed: int) -> Floats:
    """The head of the features mode with the mean squared error on the raw target."""
    start = TargetScale(TargetTransform.none, 1.0, float(train.target.mean()), float(train.target.std()))
    return fit_head(train, held, seed, start, MSE)


def answer_engine_head(train: Rows, held: Rows, seed: int) -> Floats:
    """The head of the features mode with the product's defaults."""
    config = TaskConfig(target_transform=choose_curve(train, seed))
    return fit_head(train, held, seed, fit_scale(train.target, config, 0.0), config)


def answer_with_covariates(train: Rows, held: Rows, seed: int) -> Floats:
    """The same with what is known beside the image."""
    choose_curve(train, seed)
    return answer_engine_head(*add_covariates(train, held), seed)


WAYS: dict[str, Way] = {
    "plain: AdamW, MSE, raw target": answer_plain,
    "plain, rate tuned, starts at the mean": answer_tuned,
    "ridge, raw target": fit_raw_ridge,
    "head of features mode, MSE, raw target": answer_raw_head,
    "engine with AdamW": answer_engine,
    "engine, features mode": answer_engine_head,
    "engine, features mode, covariates": answer_with_covariates,
}


def compare(name: str, rows: Rows) -> list[str]:
    """Runs every way on every fold; lines of a table."""
    ways = {title: way for title, way in WAYS.items() if rows.covariates or way is not answer_with_covariates}
    answers = {title: np.zeros((REPEATS, len(rows.target))) for title in ways}
    by_fold: dict[str, list[float]] = {title: [] for title in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for repeat in range(REPEATS):
        for learn, held in deal(rows.groups, FOLDS, repeat):
            train, test = rows.take(learn), rows.take(held)
            for title, way in ways.items():
                began = time.perf_counter()
                found = way(train, test, repeat)
                seconds[title] += time.perf_counter() - began
                answers[title][repeat, held] = found
                by_fold[title].append(float(np.sqrt(((found - test.target) ** 2).mean())))
    lines = [
        f"### {name}: {len(rows.target)} images, {len(set(rows.groups))} plants",
        "",
        "| way | RMSE | R2 | RMSE less plain | folds won | RMSE less raw ridge | folds won | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title in ways:
        squared = ((answers[title] - rows.target) ** 2).mean(axis=1)
        rmse = np.sqrt(squared)
        r2 = 1 - squared.mean() / rows.target.var()
        cells = [_differ(by_fold[title], by_fold[other]) for other in (next(iter(WAYS)), "ridge, raw target")]
        lines.append(
            f"| {title} | {rmse.mean():.4g} ± {rmse.std(ddof=1):.2g} | {r2:.3f} | {' | '.join(cells)} | "
            f"{seconds[title]:.0f} |"
        )
    return [*lines, ""]


def _differ(own: list[float], other: list[float]) -> str:
    differences = np.array(own) - np.array(other)
    if not differences.any():
        return "- | -"
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{differences.mean():+.3g} ± {error:.2g} | {int((differences < 0).sum())} of {len(differences)}"


def main() -> None:
    """Runs all sets that are there."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    data, weights = Path(sys.argv[1]), Path(sys.argv[2])
    output = Path(sys.argv[3]) if len(sys.argv) > 3 else Path("runs/regression")
    lines = []
    for name in SETS:
        if (data / name).is_dir():
            lines += compare(name, read_rows(name, data, weights, output))
            print("\n".join(lines[-12:]), flush=True)
    (output / "regression.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
