"""Compares ways to tell images that are unlike the training images, and counts what is rejected in the end.

Usage: python benchmarks/novelty.py DATA WEIGHTS [OUTPUT] [KEY=VALUE ...]

DATA holds `plantvillage/` (class folders with leaf-map.json) and any of `not_a_leaf/`, `apple_field/`, `ibean/`,
`arabidopsis_leaf_area/`, `arabidopsis_age/` and `maize_leaf_count/` (folders of images at any depth); WEIGHTS is a file
of pre-trained weights for tf_mobilenetv3_small_100. Two models learn the laboratory leaves the whole way: one whose
backbone stays as it was, one that is trained in all layers. OUTPUT (default runs/novelty) receives the runs, which are
resumable, and `novelty.json`; the table is printed as Markdown.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from phytoscope.configs import compose_config
from phytoscope.predict.package import load_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import NoveltyKind
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SPLIT, Split
from phytoscope.schema.verdict import Verdict
from phytoscope.steps import RunContext, choose_run_folder, run_all
from phytoscope.steps.prepared import read_prepared
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.novelty import fit_novelty
from phytoscope.trust.novelty_limits import fit_novelty_limits

BACKBONE = "tf_mobilenetv3_small_100"
WAYS = {"head": "adapt=head", "all layers": "adapt=full"}
KINDS = (NoveltyKind.knn, NoveltyKind.mahalanobis, NoveltyKind.energy)
OUTSIDERS = ("not_a_leaf", "apple_field", "ibean", "arabidopsis_leaf_area", "arabidopsis_age", "maize_leaf_count")
BATCH = 32


@dataclass(frozen=True)
class Seen:
    """What a network says of some images: features (N, F), outputs (N, classes), and their verdicts."""

    features: NDArray[np.float32]
    outputs: NDArray[np.float64]
    verdicts: list[str]


def train_one(way: str, data: Path, weights: Path, output: Path, more: list[str]) -> tuple[RunContext, RunFolder]:
    """Runs one model the whole way; finished steps are reused."""
    words = [
        "data=plantvillage",
        f"data.root={data / 'plantvillage'}",
        "model=mobilenetv3_small",
        f"model.backbone={BACKBONE}",
        f"model.weights={weights}",
        WAYS[way],
        "evaluate.robustness=0",
        "evaluate.explanations=0",
        f"paths.run_dir={output / way.replace(' ', '_')}",
        f"paths.cache_dir={output / 'cache'}",
    ]
    config = compose_config([*words, *more])
    context = RunContext(config, choose_run_folder(config), say=lambda text: print(f"  {text}", file=sys.stderr))
    run_all(context)
    return context, context.run


def look_at(predictor: Predictor, paths: Sequence[str]) -> Seen:
    """Features, outputs and verdicts of some image files."""
    photos = map_ordered(predictor.prepare_photo, [Path(path) for path in paths], None, SilentProgress())
    features, outputs, verdicts, batch = [], [], [], []
    for count, photo in enumerate(photos, start=1):
        batch.append(photo)
        if len(batch) == BATCH or count == len(paths):
            said, seen = predictor.look(np.stack([one.square for one in batch]))
            features.append(seen)
            outputs.append(said)
            verdicts += [answer.verdict for answer in predictor.answer([""] * len(batch), batch)]
            batch = []
    return Seen(np.concatenate(features), np.concatenate(outputs), verdicts)


def list_outsiders(data: Path) -> dict[str, list[str]]:
    """Name of each folder of other pictures that is there -> its files."""
    found = {name: sorted((data / name).rglob("*")) for name in OUTSIDERS if (data / name).is_dir()}
    return {
        name: [str(path) for path in paths if path.suffix.lower() in IMAGE_SUFFIXES] for name, paths in found.items()
    }


def measure(way: str, context: RunContext, run: RunFolder, outsiders: dict[str, list[str]]) -> list[dict[str, Any]]:
    """One row for each kind of novelty, and one for the verdicts of the model as it is delivered."""
    predictor = load_package(run.package)
    rows = read_prepared(context).rows
    parts = {split: rows[rows[SPLIT] == split.value] for split in Split}
    seen: dict[str, Seen] = {split.value: look_at(predictor, part[PATH].tolist()) for split, part in parts.items()}
    seen |= {name: look_at(predictor, paths) for name, paths in outsiders.items()}
    classes = parts[Split.train][LABEL].astype("category").cat.codes.to_numpy(dtype=np.int64)
    groups = {split: part[GROUP_ID].astype(str).to_numpy(dtype=object) for split, part in parts.items()}
    share = context.config.evaluate.false_reject
    found = []
    for kind in KINDS:
        train = seen[Split.train.value]
        reference = fit_novelty(
            kind, train.features, train.outputs, classes, seed=context.config.seed, groups=groups[Split.train]
        )
        novelty = {name: reference.score(part.features, part.outputs) for name, part in seen.items()}
        known = (Split.calibration, Split.val)
        limit, _ = fit_novelty_limits(
            np.concatenate([novelty[split.value] for split in known]),
            np.concatenate([groups[split] for split in known]),
            share,
        )
        if limit is None:
            message = "the calibration split is too small for a limit."
            raise SystemExit(message)
        test = novelty[Split.test.value]
        found.append(
            {
                "trained": way,
                "way": kind.value,
                "laboratory leaves rejected": float(np.mean(test > limit)),
                "rejected": {name: float(np.mean(novelty[name] > limit)) for name in outsiders},
                "auroc": {name: rank(test, novelty[name]) for name in outsiders},
            }
        )
    rejected = {name: float(np.mean([said == Verdict.reject for said in part.verdicts])) for name, part in seen.items()}
    verdict = {
        "laboratory leaves rejected": rejected[Split.test.value],
        "rejected": {n: rejected[n] for n in outsiders},
    }
    return [*found, {"trained": way, "way": "verdict", **verdict, "auroc": {}}]


def rank(known: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    """Area under the curve: how often a strange image scores higher than a known one."""
    truth = np.arange(len(known) + len(strange)) >= len(known)
    return float(roc_auc_score(truth, np.concatenate([known, strange])))


def show(rows: list[dict[str, Any]], names: Sequence[str]) -> None:
    """Prints the table."""
    print(f"| trained | novelty | laboratory test leaves rejected | {' | '.join(names)} |")
    print(f"|---|---|---|{'---|' * len(names)}")
    for row in rows:
        cells = [
            f"{row['rejected'][name]:.0%}" + (f" ({row['auroc'][name]:.3f})" if row["auroc"] else "") for name in names
        ]
        print(f"| {row['trained']} | {row['way']} | {row['laboratory leaves rejected']:.1%} | {' | '.join(cells)} |")


def main(words: list[str]) -> None:
    """Trains both models, measures, prints and writes."""
    more = [word for word in words if "=" in word]
    data, weights, *rest = (Path(word) for word in words if "=" not in word)
    output = rest[0] if rest else Path("runs/novelty")
    outsiders = list_outsiders(data)
    rows = []
    for way in WAYS:
        context, run = train_one(way, data, weights, output, more)
        rows += measure(way, context, run, outsiders)
    show(rows, list(outsiders))
    write_json(output / "novelty.json", {"rows": rows})


if __name__ == "__main__":
    main(sys.argv[1:])
