"""Draws the figures of docs/explanations from simulations, and prints the numbers that the pages name.

Usage: python docs/make_explanation_pictures.py. Nothing is read, nothing is trained but lines; it takes a minute.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from phytoscope.data.synthetic import draw_rosette_dataset
from phytoscope.schema.artifact import write_atomic
from phytoscope.trust.quantile import group_quantile
from phytoscope.visualize.style import BLUE, GREEN, GREY, VERMILION, new_figure, paper_style

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_IMAGES = Path(__file__).parent / "images"
_PLANTS, _NEW_PLANTS, _TRAITS, _FOLDS = 40, 500, 40, 5
_PHOTOS = (1, 2, 3, 5, 10)
_SIGNAL, _NOISE = (0.6, 0.48), 0.5
"""How far the two first traits of a class lie from 0, and how much photographs differ; plants differ by 1."""
_TIMES, _PROMISES = 40, 500
_CALIBRATED, _PROMISED = (5, 10, 20, 40), 0.9
_WEIGHED = 400


def draw_random_splits() -> None:
    """Scores one model on random folds, on folds by plant, and on plants that nobody had, as photographs are added."""
    scores = np.array([[score_folds(photos, seed) for seed in range(_TIMES)] for photos in _PHOTOS]).mean(axis=1)
    table = pd.DataFrame(100 * scores, columns=["random", "by plant", "new plants"]).set_axis(list(_PHOTOS))
    print("photographs a plant, right answers in %:\n", table.round(1).to_string(), "\n")

    def draw(axes: Axes) -> None:
        looks = (("random", VERMILION, "o-", "folds of random photographs"),)
        looks += (("by plant", BLUE, "s-", "folds of whole plants"), ("new plants", GREEN, "^--", "500 new plants"))
        for column, colour, line, label in looks:
            axes.plot(list(_PHOTOS), table[column], line, color=colour, label=label)
        axes.axhline(50, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(xlabel="photographs of each of 40 plants", ylabel="right answers (%)", ylim=(45, 100))
        axes.set_title("The same model, the same plants: only the folds differ")
        axes.legend(loc="center right", frameon=False)

    _draw("random_splits.png", draw)


def score_folds(photos: int, seed: int) -> tuple[float, float, float]:
    """Judges one model in three ways.

    Args:
        photos: Photographs of each plant.
        seed: Seed of the draw.

    Returns:
        Share of right answers with random folds, with folds by plant, and on new plants, 0-1.
    """
    rng = np.random.default_rng(seed)
    traits, labels, plants = _photograph(rng, _PLANTS, photos)
    new_traits, new_labels, _ = _photograph(rng, _NEW_PLANTS, 1)
    at_random = rng.permutation(len(labels)) % _FOLDS
    by_plant = (rng.permutation(_PLANTS) % _FOLDS)[plants]
    new = float(_fit(traits, labels).score(new_traits, new_labels))
    return _cross_validate(traits, labels, at_random), _cross_validate(traits, labels, by_plant), new


def _photograph(rng: np.random.Generator, plants: int, photos: int) -> tuple[Floats, Integers, Integers]:
    """Traits of each photograph, the class of its plant, and the plant: half of the plants are ill."""
    ill = np.arange(plants) % 2
    looks = rng.normal(size=(plants, _TRAITS))
    looks[:, : len(_SIGNAL)] += np.outer(2 * ill - 1, _SIGNAL)
    number = np.repeat(np.arange(plants), photos)
    return looks[number] + _NOISE * rng.normal(size=(len(number), _TRAITS)), ill[number], number


def _fit(traits: Floats, labels: Integers) -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(traits, labels)


def _cross_validate(traits: Floats, labels: Integers, fold_of: Integers) -> float:
    right = 0
    for fold in range(_FOLDS):
        kept = fold_of == fold
        right += int((_fit(traits[~kept], labels[~kept]).predict(traits[kept]) == labels[kept]).sum())
    return right / len(labels)


def draw_promises() -> None:
    """Compares what 90 % hold on new plants when a limit is learned from photographs, and when from plants."""
    rows = []
    for plants in _CALIBRATED:
        held = np.array([hold(plants, np.random.default_rng([plants, time])) for time in range(_PROMISES)])
        rows.append([plants, min(_PROMISED, plants / (plants + 1)), *held.mean(axis=0)])
    table = pd.DataFrame(rows, columns=["plants", "promised by plant", "by photograph", "by plant"]).set_index("plants")
    print("calibration plants, held on new plants in %:\n", (100 * table).round(1).to_string(), "\n")

    def draw(axes: Axes) -> None:
        axes.plot(table.index, 100 * table["by photograph"], "o-", color=VERMILION, label="limit from photographs")
        axes.plot(table.index, 100 * table["by plant"], "s-", color=BLUE, label="limit from plants")
        promised = 100 * table["promised by plant"]
        axes.plot(table.index, promised, "--", color=GREY, label="what can be promised")
        axes.set(xlabel="plants that the limit was learned from", ylabel="truth inside, new plants (%)", ylim=(65, 100))
        axes.set_xticks(list(_CALIBRATED))
        axes.set_title("90 % wanted: held or not")
        axes.legend(loc="lower right", frameon=False)

    _draw("prediction_sets.png", draw)


def hold(plants: int, rng: np.random.Generator) -> tuple[float, float]:
    """Learns a limit for errors from some plants, in two ways, and asks how many errors on new plants keep it.

    Args:
        plants: Calibration plants.
        rng: Source of the draws.

    Returns:
        Share of the errors within a limit learned from photographs, and within one learned from plants, 0-1; each new
        plant counts once.
    """
    # Plants that are hard to judge are hard in all their photographs, and easy ones were photographed more often.
    errors, number = _err(plants, rng)
    new, new_plants = _err(200, rng)
    by_photo = float(np.quantile(errors, _PROMISED, method="higher"))
    by_plant, _ = group_quantile(errors, number, _PROMISED)
    weights = 1 / np.bincount(new_plants)[new_plants]
    return float(np.average(new <= by_photo, weights=weights)), float(np.average(new <= by_plant, weights=weights))


def _err(plants: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    hardness = rng.exponential(size=plants)
    photos = np.where(hardness < 1, 12, 3)
    number = np.repeat(np.arange(plants), photos)
    return hardness[number] * np.abs(rng.normal(size=len(number))), number


def draw_skew() -> None:
    """Shows the weights of drawn plants as they are and on a scale of roots, and which plants own the squared error."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "plants"
        draw_rosette_dataset(root, plants=_WEIGHED, photos_per_plant=1, size_px=32, seed=0)
        table = pd.read_csv(root / "digital_biomass_labels.csv", decimal=",")
    weight = table["fresh_weight_total"].to_numpy(dtype=float)
    weight = weight[weight > 0]
    squared = np.sort(np.square(0.2 * weight))[::-1]
    tenth = len(weight) // 10
    quarters = ", ".join(f"{value:.3f}" for value in np.quantile(weight, (0.0, 0.25, 0.5, 0.75, 1.0)))
    print(f"{len(weight)} plants, g: {quarters} (least, quarters, most); mean {weight.mean():.3f}")
    print(f"skewness {pd.Series(weight).skew():.2f}, of the roots {pd.Series(np.sqrt(weight)).skew():.2f}")
    share = squared[:tenth].sum() / squared.sum()
    print(f"every answer 20 % off: the heaviest tenth has {100 * share:.0f} % of the squared error")

    def left(axes: Axes) -> None:
        axes.hist(weight, bins=30, color=BLUE)
        axes.axvline(float(weight.mean()), color=VERMILION, label="mean")
        axes.axvline(float(np.median(weight)), color=GREEN, linestyle="--", label="median")
        axes.set(xlabel="fresh weight (g)", ylabel="plants")
        axes.set_title("As weighed")
        axes.legend(frameon=False)

    def right(axes: Axes) -> None:
        axes.hist(np.sqrt(weight), bins=30, color=BLUE)
        axes.set(xlabel="root of the fresh weight (√g)", ylabel="plants")
        axes.set_title("On a scale of roots")

    _draw("skew.png", left, right)


def _draw(name: str, *parts: Callable[[Axes], None]) -> None:
    with paper_style():
        figure = new_figure(5.2 if len(parts) == 1 else 7.4, 3.1)
        for number, part in enumerate(parts, start=1):
            part(figure.add_subplot(1, len(parts), number))
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=150, format="png")
    with write_atomic(_IMAGES / name) as temporary:
        Image.open(drawn).convert("RGB").quantize(64).save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    # The matrices are small: threads gain nothing, and on a busy machine they wait for each other.
    with threadpool_limits(limits=1):
        draw_random_splits()
        draw_promises()
        draw_skew()
