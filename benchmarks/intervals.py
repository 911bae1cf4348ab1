"""Asks whether intervals hold what they promise on plants that were never seen, and how wide they are.

Usage: python benchmarks/intervals.py DATA WEIGHTS [OUTPUT] [SET ...]

DATA holds the tables `arabidopsis_age/`, `arabidopsis_leaf_area/` and `maize_leaf_count/` (labels.csv beside images/).
WEIGHTS is a safetensors file of tf_mobilenetv3_small_100. OUTPUT (default runs/intervals) keeps everything, so that a
second run goes on, and receives `intervals.md` and `intervals.json`. SET limits it to some of the three.

Plants are dealt to folds. For every two folds one network learns from the other plants alone, by the pipeline's own
training in features mode, and answers for both. Then each fold in turn is the plants never seen:

- `one network`: another fold calibrates the network that saw neither; its own val plants give the shape of the widths.
- `cross-validation`: as in `phytoscope cross-validate`. All other folds, each answered by the network that saw neither
  it nor the unseen plants, calibrate the mean of these networks, and give the shape too.
- `images at random`: what is often done. Images of the same plants stand on both sides of a random split, and the
  quantile is taken over images.

Coverage counts every plant once. Its interval is a bootstrap over plants.
"""

import dataclasses
import itertools
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
from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.data.split import hash_split
from phytoscope.schema.artifact import write_atomic, write_json
from phytoscope.schema.choices import IntervalKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import FOLD, GROUP_ID, NOVELTY, PREDICTION, SAMPLE_ID, SPLIT, SPLIT_COLUMNS, TARGET, Split
from phytoscope.steps import RunContext, choose_run_folder
from phytoscope.steps.cross_validate import hold_out
from phytoscope.steps.evaluate import build_predictor
from phytoscope.steps.look import find_cache_folder
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.train import train_prepared
from phytoscope.steps.training_job import build_samples, fit_preprocess
from phytoscope.steps.trust import fit_reference
from phytoscope.train.features.extraction import extract_features
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.intervals import fit_intervals
from phytoscope.trust.observed import Labelled, Observed

Floats = NDArray[np.float64]

BACKBONE = "tf_mobilenetv3_small_100"
DRAWS = 2000
RANDOM_SHARE = 0.2


@dataclass(frozen=True)
class Set:
    """One data set: its target, unit, number of folds and the coverage that its plants can promise."""

    target: str
    unit: str
    folds: int
    coverage: float


# Seven plants can promise 7/8 at most, so 90 % cannot be asked of the eight of leaf area.
SETS = {
    "arabidopsis_age": Set("day", "d", 6, 0.9),
    "arabidopsis_leaf_area": Set("projected_leaf_area_px", "px", 8, 0.8),
    "maize_leaf_count": Set("leaf_count", "leaves", 6, 0.9),
}


def compose(name: str, data: Path, weights: Path, output: Path) -> RunConfig:
    """Settings of one data set: a head on features that are computed once."""
    own, folder = SETS[name], data / name
    return compose_config(
        [
            "data=table",
            f"data.table={folder / 'labels.csv'}",
            f"data.images={folder / 'images'}",
            f"data.target={own.target}",
            f"data.unit={own.unit}",
            "data.group_by=[plant_id]",
            "data.augment=none",
            "model=mobilenetv3_small",
            f"model.backbone={BACKBONE}",
            f"model.weights={weights}",
            "adapt=head",
            "trainer.mode=features",
            "trainer.views=0",
            f"paths.run_dir={output / name}",
            f"paths.cache_dir={output / 'cache'}",
            f"name={name}",
        ]
    )


@dataclass(frozen=True)
class Bench:
    """What all networks of one data set share; `rows` of `prepared` carry the fold of each plant."""

    context: RunContext
    prepared: PreparedData
    cache: PixelCache
    preprocess: Preprocess

    def answer(self, name: str, held: NDArray[np.bool_], *, by_plant: bool = True) -> pd.DataFrame:
        """Answers of a network that learned without the held rows: all rows that it did not learn from."""
        run = RunFolder(self.context.run.root / name)
        kept = run.root / "answers.parquet"
        if kept.exists():
            return pd.read_parquet(kept)
        rows = self.prepared.rows.assign(**{FOLD: np.where(held, 0, 1), SPLIT: Split.train.value})
        prepared = dataclasses.replace(self.prepared, rows=rows)
        data = hold_out(prepared, 0, self.context.config) if by_plant else draw_images(prepared)
        context = dataclasses.replace(self.context, run=run)
        train_prepared(context, data, preprocess=self.preprocess)
        predictor = build_predictor(context.config, run, data)
        reference = fit_reference(context, predictor, self.cache, data.of(Split.train))
        asked = data.rows[data.rows[SPLIT] != Split.train.value].reset_index(drop=True)
        network, meaning = predictor.first_member
        samples = build_samples(asked, self.cache, meaning)
        features = extract_features(network, samples, preprocess=self.preprocess, cache_dir=find_cache_folder(context))
        with torch.inference_mode():
            outputs = network.answer(torch.from_numpy(features), None).double().numpy()
        novelty = np.full(len(asked), np.nan) if reference is None else reference.score(features, outputs)
        table = asked[[SAMPLE_ID, SPLIT, TARGET]].assign(
            **{PREDICTION: predictor.finish(outputs)[:, 0], NOVELTY: novelty}
        )
        with write_atomic(kept) as temporary:
            table.to_parquet(temporary, index=False)
        return table


def draw_images(prepared: PreparedData) -> PreparedData:
    """Rows of fold 0 as test and images at random as val, which phytoscope itself would refuse to learn with."""
    rows = prepared.rows
    chosen = np.random.default_rng(1000).random(len(rows)) < RANDOM_SHARE / 2
    val = np.where(chosen, Split.val.value, Split.train.value)
    rows = rows.assign(**{SPLIT: np.where(rows[FOLD] == 0, Split.test.value, val)})
    return dataclasses.replace(prepared, rows=rows, split_hash=hash_split(rows[list(SPLIT_COLUMNS)]))


def open_bench(name: str, data: Path, weights: Path, output: Path) -> Bench:
    """Prepares one data set and deals its plants to folds."""
    config = compose(name, data, weights, output)
    context = RunContext(config, choose_run_folder(config))
    run_prepare(context)
    prepared = read_prepared(context)
    plants = np.unique(prepared.rows[GROUP_ID])
    dealt = np.random.default_rng(0).permutation(len(plants)) % SETS[name].folds
    rows = prepared.rows.assign(**{FOLD: dealt[np.searchsorted(plants, prepared.rows[GROUP_ID])]})
    preprocess = fit_preprocess(config, rows)
    prepared = dataclasses.replace(prepared, rows=rows)
    return Bench(context, prepared, open_cache(context, prepared, preprocess), preprocess)


def label(table: pd.DataFrame) -> Labelled:
    """Rows as the room of trust sees them."""
    observed = Observed(
        table[[PREDICTION]].to_numpy(dtype=np.float64, copy=True), table[NOVELTY].to_numpy(dtype=np.float64, copy=True)
    )
    return Labelled(observed, table[[TARGET]].to_numpy(dtype=np.float64), table[GROUP_ID].to_numpy(dtype=object))


@dataclass(frozen=True)
class Bound:
    """Gives the ends of intervals; what they promise; and the kind that was used."""

    ends: Callable[[pd.DataFrame], tuple[Floats, Floats]]
    promised: float
    kind: str


def bound_by_plants(kind: IntervalKind, calibration: pd.DataFrame, val: pd.DataFrame, coverage: float) -> Bound:
    """Intervals of phytoscope."""
    rule, _ = fit_intervals(label(calibration), label(val), target=0, coverage=coverage, kind=kind, lowest=0.0, seed=0)
    if rule is None:
        message = "no calibration row has a true number"
        raise ValueError(message)
    found = rule
    return Bound(lambda test: found.bound(label(test).observed, 0), found.promised, found.kind.value)


def bound_by_images(calibration: pd.DataFrame, coverage: float) -> Bound:
    """Intervals of constant width whose quantile is taken over images, as if each were a plant of its own."""
    images = calibration.assign(**{GROUP_ID: calibration[SAMPLE_ID]})
    return bound_by_plants(IntervalKind.constant, images, images, coverage)


@dataclass(frozen=True)
class Measured:
    """One way on one data set: what was promised and held, the mean width, and how often which kind was used."""

    plants: int
    promised: float
    held: float
    low: float
    high: float
    width: float
    kinds: dict[str, int]


def measure(tests: list[tuple[Bound, pd.DataFrame]]) -> Measured:
    """Coverage with its interval by plants, and mean width, every plant counting once."""
    parts = []
    for bound, test in tests:
        lower, upper = bound.ends(test)
        held = (lower <= test[TARGET].to_numpy()) & (test[TARGET].to_numpy() <= upper)
        parts.append(pd.DataFrame({"plant": test[GROUP_ID], "held": held, "width": upper - lower}))
    plants = pd.concat(parts).groupby("plant")[["held", "width"]].mean().to_numpy(dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(plants), size=(DRAWS, len(plants)))
    low, high = np.quantile(plants[drawn, 0].mean(axis=1), [0.025, 0.975])
    kinds = [bound.kind for bound, _ in tests]
    return Measured(
        len(plants),
        float(np.mean([bound.promised for bound, _ in tests])),
        float(plants[:, 0].mean()),
        float(low),
        float(high),
        float(plants[:, 1].mean()),
        {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    )


def run_set(name: str, bench: Bench) -> dict[str, Measured]:
    """All ways on one data set: name of the way -> what was measured."""
    own, rows = SETS[name], bench.prepared.rows
    fold = rows[FOLD].to_numpy()
    known = rows.set_index(SAMPLE_ID)[[GROUP_ID, FOLD]]
    pairs: dict[tuple[int, int], pd.DataFrame] = {}
    for i, j in itertools.combinations(range(own.folds), 2):
        table = bench.answer(f"without-{i}-{j}", (fold == i) | (fold == j)).join(known, on=SAMPLE_ID)
        pairs[i, j] = pairs[j, i] = table
        print(f"  {name}: network without folds {i} and {j}", file=sys.stderr)
    tests: dict[str, list[tuple[Bound, pd.DataFrame]]] = {}
    for i in range(own.folds):
        others = [j for j in range(own.folds) if j != i]
        for j in others:
            table = pairs[i, j]
            calibration, test = table[table[FOLD] == j], table[table[FOLD] == i]
            val = table[table[SPLIT] == Split.val.value]
            # Its val plants are too few here for anything but constant width.
            bound = bound_by_plants(IntervalKind.auto, calibration, val, own.coverage)
            tests.setdefault(f"one network, {bound.kind}", []).append((bound, test))
            bound = bound_by_images(calibration, own.coverage)
            tests.setdefault("one network, constant, quantile over images", []).append((bound, test))
        apart = pd.concat([pairs[i, j][pairs[i, j][FOLD] == j] for j in others])
        answers = [pairs[i, j][pairs[i, j][FOLD] == i].set_index(SAMPLE_ID) for j in others]
        mean = pd.concat([table[PREDICTION] for table in answers], axis=1).mean(axis=1)
        # Novelty is measured by the first network of an ensemble.
        test = answers[0].assign(**{PREDICTION: mean}).reset_index()
        for kind in (IntervalKind.constant, IntervalKind.scaled, IntervalKind.cqr, IntervalKind.auto):
            bound = bound_by_plants(kind, apart, apart, own.coverage)
            tests.setdefault(f"cross-validation, {kind.value}", []).append((bound, test))
        bound = bound_by_images(apart, own.coverage)
        tests.setdefault("cross-validation, constant, quantile over images", []).append((bound, test))
        drawn = np.random.default_rng(i).random(len(rows)) < RANDOM_SHARE
        table = bench.answer(f"random-{i}", (fold == i) | drawn, by_plant=False).join(known, on=SAMPLE_ID)
        table = table[table[SPLIT] == Split.test.value]
        bound = bound_by_images(table[table[FOLD] != i], own.coverage)
        tests.setdefault("images at random, constant", []).append((bound, table[table[FOLD] == i]))
    return {way: measure(part) for way, part in tests.items()}


def word(results: dict[str, dict[str, Measured]]) -> str:
    """The tables in Markdown."""
    parts = []
    for name, ways in results.items():
        own = SETS[name]
        first = next(iter(ways.values()))
        parts += [
            f"### {own.target} ({own.unit}): {first.plants} plants, {own.coverage:.0%} wanted\n",
            "| way | promised | held on unseen plants (95 % interval) | mean width | beside constant |",
            "|---|---|---|---|---|",
        ]
        for way, found in ways.items():
            beside = found.width / ways[f"{way.split(',')[0]}, constant"].width
            parts.append(
                f"| {way} | {found.promised:.0%} | {found.held:.1%} ({found.low:.1%} to {found.high:.1%}) "
                f"| {found.width:.4g} {own.unit} | {beside:.2f} |"
            )
        parts.append("")
    return "\n".join(parts)


def main(words: list[str]) -> None:
    """Runs the sets that are there and prints the tables."""
    names = [given for given in words if given in SETS] or list(SETS)
    data, weights, *rest = (Path(given) for given in words if given not in SETS)
    output = rest[0] if rest else Path("runs/intervals")
    results = {}
    for name in names:
        started = time.monotonic()
        results[name] = run_set(name, open_bench(name, data, weights, output))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    write_json(
        output / "intervals.json",
        {name: {way: dataclasses.asdict(one) for way, one in ways.items()} for name, ways in results.items()},
    )
    text = word(results)
    (output / "intervals.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
