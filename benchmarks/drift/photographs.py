"""Counts how often planted changes of real photographs are found, and how often nothing is mistaken for a change.

Usage: python benchmarks/drift/photographs.py DATA WEIGHTS [OUTPUT]

DATA holds `plantvillage/` (class folders with leaf-map.json) and, if wanted, `apple_field/` and `ibean/`; WEIGHTS is a
file of pre-trained weights for tf_mobilenetv3_small_100. One model learns a part of the leaves; of the others, half are
the reference and half are photographed anew: as they were, brighter, by another camera, in another mix of classes.
OUTPUT (default runs/drift) receives the run, what the model saw of every photograph, and `photographs.json`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.configs import compose_config
from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.evaluate.drift.spending import share_of_look
from phytoscope.predict.package import load_package
from phytoscope.predict.predictor import Photo, Predictor
from phytoscope.schema.artifact import write_json
from phytoscope.schema.drift import LookSummary
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    NOVELTY,
    PATH,
    PHOTO_PREFIX,
    PREDICTION,
    PROBABILITY,
    SPLIT,
    VERDICT,
    Split,
)
from phytoscope.schema.verdict import Verdict
from phytoscope.steps import RunContext, choose_run_folder, run_all
from phytoscope.steps.prepared import read_prepared
from phytoscope.transforms.corrupt import Corruption, corrupt
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.stream import map_ordered

BATCH = 32
SIZES = (30, 100, 300)
REPEATS = 40
LOOK = 10
"""Number of the look that is simulated: what it may spend lies between the first and late ones."""
OUTSIDERS = ("apple_field", "ibean")
Pixels = NDArray[np.uint8]


def brighten(gain: float) -> Callable[[Pixels], Pixels]:
    """All pixels times a number."""
    return lambda pixels: np.clip(pixels * gain + 0.5, 0, 255).astype(np.uint8)


def change_camera(severity: int) -> Callable[[Pixels], Pixels]:
    """A colour cast, a softer lens and a stronger compression, the same for every photograph."""

    def change(pixels: Pixels) -> Pixels:
        for kind in (Corruption.white_balance, Corruption.out_of_focus, Corruption.jpeg):
            pixels = corrupt(pixels, kind, severity, 0)
        return pixels

    return change


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "as they were": lambda pixels: pixels,
    "brightness +5 %": brighten(1.05),
    "brightness +10 %": brighten(1.1),
    "brightness +20 %": brighten(1.2),
    "another camera, hardly to be seen": change_camera(1),
    "another camera": change_camera(2),
}


def train(data: Path, weights: Path, output: Path) -> RunContext:
    """Runs one model the whole way; finished steps are reused."""
    config = compose_config(
        [
            "data=plantvillage",
            f"data.root={data / 'plantvillage'}",
            "data.split.val=0.1",
            "data.split.calibration=0.15",
            "data.split.test=0.4",
            "model=mobilenetv3_small",
            "model.backbone=tf_mobilenetv3_small_100",
            f"model.weights={weights}",
            "adapt=head",
            "evaluate.robustness=0",
            "evaluate.explanations=0",
            f"paths.run_dir={output / 'run'}",
            f"paths.cache_dir={output / 'cache'}",
        ]
    )
    context = RunContext(config, choose_run_folder(config), say=lambda text: print(f"  {text}", file=sys.stderr))
    run_all(context)
    return context


def look_at(predictor: Predictor, paths: list[str], change: Callable[[Pixels], Pixels]) -> DriftSide:
    """What the model sees and says of some image files after a change; each image its own group."""

    def prepare(path: Path) -> Photo:
        photo = predictor.prepare_photo(path)
        return Photo(change(photo.square), photo.width_px, photo.height_px)

    if predictor.trust is None:
        message = "the model cannot judge its answers."
        raise SystemExit(message)
    photos = list(map_ordered(prepare, [Path(path) for path in paths], None, SilentProgress()))
    tables, seen = [], []
    names = np.array(predictor.description.class_names, dtype=object)
    for start in range(0, len(photos), BATCH):
        part = photos[start : start + BATCH]
        sizes = np.array([(photo.width_px, photo.height_px) for photo in part], dtype=np.int64)
        observed, features = predictor.observe_features(np.stack([photo.square for photo in part]), None, sizes)
        judged = predictor.trust.judge(observed)
        table = pd.DataFrame({f"{PHOTO_PREFIX}{name}": values for name, values in observed.photo.items()})
        table[PREDICTION] = names[judged.answers.argmax(axis=1)]
        table[PROBABILITY] = judged.answers.max(axis=1)
        table[NOVELTY] = observed.novelty
        table[VERDICT] = [list(Verdict)[place].value for place in judged.verdict]
        tables.append(table)
        seen.append(features)
    whole = pd.concat(tables, ignore_index=True).assign(**{GROUP_ID: paths, PATH: paths})
    return DriftSide(np.concatenate(seen), whole)


def collect(data: Path, weights: Path, output: Path) -> dict[str, DriftSide]:
    """What the model sees of every photograph, kept in OUTPUT."""
    context = train(data, weights, output)
    predictor = load_package(context.run.package)
    rows = read_prepared(context).rows
    held = rows[rows[SPLIT].isin([Split.calibration.value, Split.test.value])].reset_index(drop=True)
    sides = {}
    wanted = {name: (held[PATH].tolist(), change) for name, change in CHANGES.items()}
    for name in OUTSIDERS:
        files = sorted(path for path in (data / name).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if files:
            wanted[name] = ([str(path) for path in files], CHANGES["as they were"])
    for place, (name, (paths, change)) in enumerate(wanted.items()):
        file = output / f"seen_{place}.npz"
        if not file.is_file():
            side = look_at(predictor, paths, change)
            side.table.to_parquet(file.with_suffix(".parquet"))
            np.savez(file, features=side.features)
            print(f"  looked at {len(side)} photographs: {name}", file=sys.stderr)
        table = pd.read_parquet(file.with_suffix(".parquet"))
        if name in CHANGES:
            table = table.assign(**{GROUP_ID: held[GROUP_ID].astype(str), LABEL: held[LABEL]})
        sides[name] = DriftSide(np.load(file)["features"], table)
    return sides


def draw_batch(
    rng: np.random.Generator, held: DriftSide, after: DriftSide, n: int, crop: str = "", kept: float = 1.0
) -> tuple[DriftSide, DriftSide]:
    """A reference of half of the leaves, and some photographs of the other half after a change.

    Args:
        rng: Source of chance.
        held: Photographs of the leaves that the model has not learned, as they were.
        after: The same photographs after a change, or photographs of other leaves.
        n: How many to take.
        crop: Plants of other crops are left out, except for some; all stay when empty.
        kept: Share of the others that stays.
    """
    groups = held.table[GROUP_ID].to_numpy(dtype=object)
    names = rng.permutation(np.unique(groups))
    is_first = np.isin(groups, names[: len(names) // 2])
    stream = np.flatnonzero(~is_first) if len(after) == len(held) else np.arange(len(after))
    if crop:
        others = {name for name in names[len(names) // 2 :] if rng.random() >= kept}
        labels = after.table[LABEL].to_numpy(dtype=object)
        stream = np.array([row for row in stream if labels[row].startswith(crop) or groups[row] not in others])
    chosen = rng.choice(stream, min(n, len(stream)), replace=False)
    return held.take(np.flatnonzero(is_first)), after.take(np.sort(chosen))


def measure(sides: dict[str, DriftSide]) -> list[dict[str, Any]]:
    """Share of looks that find each change, and what found it most often."""
    held = sides["as they were"]
    past = [LookSummary(look, "", 1, 1, 0.05 * share_of_look(look), False) for look in range(1, LOOK)]
    rows = []
    mixes = {"twice as many tomatoes": ("Tomato", 1 / 3), "tomatoes alone": ("Tomato", 0.0)}
    for name in [*sides, *mixes]:
        row: dict[str, Any] = {"change": name}
        for n in SIZES:
            reports = [
                compare_batch(
                    *draw_batch(np.random.default_rng([n, seed]), held, sides.get(name, held), n, *mixes.get(name, ())),
                    DriftPlan(draws=299, seed=seed),
                    past,
                )
                for seed in range(REPEATS)
            ]
            row[f"{n}: plants"] = float(np.median([report.n_groups for report in reports]))
            row[f"{n}: found"] = float(np.mean([report.fired for report in reports]))
            row[f"{n}: below 5 %"] = float(np.mean([report.findings[0].p_value <= 0.05 for report in reports]))
            fired = [finding.name for report in reports for finding in report.list_fired()]
            row[f"{n}: by"] = {each: fired.count(each) / REPEATS for each in sorted(set(fired))}
        rows.append(row)
        print(row, flush=True)
    return rows


if __name__ == "__main__":
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else "runs/drift")
    folder.mkdir(parents=True, exist_ok=True)
    found = measure(collect(Path(sys.argv[1]), Path(sys.argv[2]), folder))
    write_json(folder / "photographs.json", {"look": LOOK, "repeats": REPEATS, "rows": found})
