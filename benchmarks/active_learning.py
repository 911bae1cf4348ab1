"""What labels are worth: chosen at random, by doubt, or by doubt and difference; and what few field photographs give.

Usage: python benchmarks/active_learning.py DATA WEIGHTS [OUTPUT]

DATA holds `ibean/`, `apple_field/` and `plantvillage/` (class folders); WEIGHTS is a file of pre-trained weights for
tf_mobilenetv3_small_100, whose features are computed once and never trained. OUTPUT (default runs/active_learning)
receives `active_learning.json`, `active_learning.png` and `.pdf`; the tables are printed as Markdown.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from phytoscope.models.network import build_network, read_backbone_input
from phytoscope.models.runtime import PooledFeatures, build_extractor
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import ResizeMode, Runtime
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.decode import IMAGE_SUFFIXES, decode_image
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.picking import measure_doubts, pick_images
from phytoscope.visualize.style import BLUE, GREEN, VERMILION, new_figure, paper_style, save_figures

BACKBONE = "tf_mobilenetv3_small_100"
SEEDS, FIELD_SEEDS = 20, 4
WAYS = ("random", "uncertain", "uncertain and diverse")
ROUNDS = {"ibean": (15, 8), "apple_field": (8, 6)}
FIRST_PER_CLASS, TEST_SHARE, PENALTY = 2, 0.4, 0.02
FIELD_COUNTS, FIELD_KEPT = (0, 1, 2, 5, 10, 20), 20
COLOURS = dict(zip(WAYS, (BLUE, VERMILION, GREEN), strict=True))

Table = tuple[NDArray[np.float32], NDArray[np.str_]]


def read_features(folder: Path, weights: Path) -> Table:
    """Features (N, F) of a folder of class folders, and the class of each."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    config = ModelConfig(backbone=BACKBONE, weights=str(weights))
    spec = read_backbone_input(config)
    prepare = Preprocess(spec.size_px, ResizeMode.letterbox, spec.interpolation, spec.mean, spec.std)
    extractor = build_extractor(PooledFeatures(build_network(config, 1)[0]), spec.size_px, Runtime.auto)

    def read(path: Path) -> NDArray[np.uint8]:
        return prepare(decode_image(path.read_bytes(), name=str(path), max_megapixels=100))

    squares = np.stack(list(map_ordered(read, paths, None, SilentProgress())))
    return extractor(squares), np.array([path.parent.name for path in paths])


class Head:
    """A linear classifier on standardised features."""

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.str_], penalty: float = PENALTY) -> None:
        self._middle, self._spread = features.mean(axis=0), features.std(axis=0) + 1e-3
        self._model = LogisticRegression(C=penalty, max_iter=150).fit(self._scale(features), labels)
        self.names = self._model.classes_

    def answer(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (N, classes)."""
        return np.asarray(self._model.predict_proba(self._scale(features)))

    def _scale(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((features - self._middle) / self._spread)


def choose(way: str, features: NDArray[np.float32], probs: NDArray[np.float64], n: int, rng: Any) -> NDArray[np.int64]:
    """Places of the images to label next."""
    if way == "random":
        return np.asarray(rng.permutation(len(probs))[:n])
    if way == "uncertain":
        ranked = np.sort(probs, axis=1)
        return np.argsort(ranked[:, -1] - ranked[:, -2])[:n]
    return pick_images(features, measure_doubts(probs, np.ones(len(probs))), n, rng).places


def draw_curve(table: Table, way: str, seed: int, per_round: int, rounds: int) -> tuple[list[int], list[float]]:
    """Labelled images and accuracy on kept-back ones, round by round."""
    features, labels = table
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    test, pool = np.split(order, [round(TEST_SHARE * len(order))])
    known = np.concatenate([pool[labels[pool] == name][:FIRST_PER_CLASS] for name in np.unique(labels)])
    counts, accuracies = [], []
    for _ in range(rounds + 1):
        head = Head(features[known], labels[known])
        counts.append(len(known))
        accuracies.append(float(np.mean(head.names[head.answer(features[test]).argmax(axis=1)] == labels[test])))
        rest = np.setdiff1d(pool, known)
        chosen = choose(way, features[rest], head.answer(features[rest]), per_round, rng)
        known = np.concatenate([known, rest[chosen]])
    return counts, accuracies


def measure_curves(name: str, table: Table) -> dict[str, Any]:
    """Mean accuracy of each way, and its gain over random, seed by seed, with the standard error."""
    per_round, rounds = ROUNDS[name]
    drawn = {way: [draw_curve(table, way, seed, per_round, rounds) for seed in range(SEEDS)] for way in WAYS}
    accuracy = {way: np.array([curve for _, curve in curves]) for way, curves in drawn.items()}
    gains = {way: (accuracy[way] - accuracy["random"])[:, 1:].mean(axis=1) for way in WAYS[1:]}
    return {
        "labelled": drawn[WAYS[0]][0][0],
        "accuracy": {way: values.mean(axis=0).tolist() for way, values in accuracy.items()},
        "gain": {way: [float(gain.mean()), float(gain.std() / np.sqrt(SEEDS))] for way, gain in gains.items()},
    }


def measure_field(laboratory: Table, field: Table) -> list[dict[str, float]]:
    """Balanced accuracy in the orchard of a laboratory model with a few orchard photographs of each class."""
    (lab, lab_labels), (orchard, classes) = laboratory, field
    names = np.unique(classes)
    rows = []
    for count in FIELD_COUNTS:
        found = []
        for seed in range(FIELD_SEEDS):
            rng = np.random.default_rng(seed)
            orders = [rng.permutation(np.flatnonzero(classes == name)) for name in names]
            learned = np.concatenate([order[:count] for order in orders])
            test = np.concatenate([order[FIELD_KEPT:] for order in orders])
            head = Head(np.r_[lab, orchard[learned]], np.r_[lab_labels, classes[learned]], 0.01)
            probs = head.answer(orchard[test])
            open_answers = head.names[probs.argmax(axis=1)]
            apple = names[probs[:, np.searchsorted(head.names, names)].argmax(axis=1)]
            found.append([_balance(answers, classes[test], names) for answers in (open_answers, apple)])
        mean = np.mean(found, axis=0)
        rows.append({"photographs a class": count, "all classes": float(mean[0]), "apple only": float(mean[1])})
    return rows


def _balance(answers: NDArray[np.str_], truth: NDArray[np.str_], names: NDArray[np.str_]) -> float:
    return float(np.mean([np.mean(answers[truth == name] == name) for name in names]))


@paper_style()
def draw(curves: dict[str, dict[str, Any]]) -> Figure:
    """Accuracy over labelled images, one panel a data set."""
    figure = new_figure(6.5, 2.8)
    for axes, (name, found) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for way, accuracy in found["accuracy"].items():
            axes.plot(found["labelled"], accuracy, color=COLOURS[way], marker="o", markersize=3, label=way)
        axes.set(title=name, xlabel="labelled images", ylabel="accuracy on kept-back images")
        axes.legend()
    return figure


def main(words: list[str]) -> None:
    """Measures, prints, draws and writes."""
    data, weights, *rest = (Path(word) for word in words)
    output = rest[0] if rest else Path("runs/active_learning")
    tables = {name: read_features(data / name, weights) for name in (*ROUNDS, "plantvillage")}
    curves = {name: measure_curves(name, tables[name]) for name in ROUNDS}
    for name, found in curves.items():
        print(f"\n{name}\n| labelled | {' | '.join(map(str, found['labelled']))} | gain over random |")
        print(f"|---|{'---|' * len(found['labelled'])}---|")
        for way, accuracy in found["accuracy"].items():
            gain, error = found["gain"].get(way, (None, None))
            cells = [f"{100 * value:.1f}" for value in accuracy]
            cells.append("-" if gain is None else f"{100 * gain:+.1f} ± {100 * error:.1f}")
            print(f"| {way} | {' | '.join(cells)} |")
    # Problems this small are solved several times faster by one thread.
    with threadpool_limits(1):
        field = measure_field(tables["plantvillage"], tables["apple_field"])
    print("\n| orchard photographs a class | answers of all 25 classes | answers of apple only |\n|---|---|---|")
    for row in field:
        print(f"| {row['photographs a class']} | {row['all classes']:.1%} | {row['apple only']:.1%} |")
    write_json(output / "active_learning.json", {"curves": curves, "field": field})
    save_figures({"active_learning": draw(curves)}, output)


if __name__ == "__main__":
    main(sys.argv[1:])
