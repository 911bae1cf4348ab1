"""Trains on leaves from the laboratory and scores photographs from the orchard, part by part of the preset field_ready.

Usage: python benchmarks/field.py DATA WEIGHTS [OUTPUT] [images=N] [only=NAME,NAME] [KEY=VALUE ...]

DATA holds `plantvillage/` (class folders with leaf-map.json) and `apple_field/` (some of the same classes, photographed
in orchards). WEIGHTS is a file of pre-trained weights for tf_mobilenetv3_small_100. OUTPUT (default runs/field)
receives the runs, `field.md` and `field.json`. `images=70` takes 70 images of each class, for a search; further
settings go to every run. Finished runs are not trained again.

The parts of the preset were chosen while looking at the orchard photographs, so its numbers flatter it. The two halves
(every second photograph of each class) show how much they vary.
"""

import functools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import LABEL, PROB_PREFIX, SAMPLE_ID
from phytoscope.steps import RunContext, choose_run_folder, run_step, training_job
from phytoscope.transforms.augment import FieldAugmentation

BACKBONE = "tf_mobilenetv3_small_100"
FIELD = "orchard"
ACCEPTED_ERROR = 0.1
_FAST = ["evaluate.bootstrap=0", "evaluate.explanations=0", "evaluate.robustness=0", "package.onnx=never"]
_CROP = "data.resize=crop"
_FIELD = "data.augment=field"
_NORM = ("adapt=norm", "adapt.running_statistics=true")


@dataclass(frozen=True)
class Recipe:
    """One row of the table.

    Attributes:
        name: Name of its run folder.
        title: What it is, for the reader.
        words: Settings, as a user would type them.
        parts: Parts of `FieldAugmentation` that differ from the preset's.
        trained_as: Recipe whose training it shares; its own when empty.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    parts: tuple[tuple[str, float], ...] = ()
    trained_as: str = ""


RECIPES = (
    Recipe("plain", "plain: `data=plantvillage`"),
    Recipe("crop", "+ centre crop", (_CROP,)),
    Recipe("light", "+ crop, strong light", (_CROP, _FIELD), (("replaced", 0.0),)),
    Recipe("backgrounds", "+ crop, backgrounds", (_CROP, _FIELD), (("relit", 0.0),)),
    Recipe("both", "+ crop, light and backgrounds", (_CROP, _FIELD)),
    Recipe("field_ready", "`experiment=field_ready`: all of these, balanced", ("experiment=field_ready",)),
    Recipe(
        "views",
        "field_ready, 8 views when answering",
        ("experiment=field_ready", "evaluate.views=8"),
        trained_as="field_ready",
    ),
    Recipe(
        "last_stages", "field_ready, last two stages", ("experiment=field_ready", "adapt=last_stages", "adapt.stages=2")
    ),
    Recipe("plain_norm", "plain, norm with statistics", _NORM),
    Recipe("norm", "field_ready, norm with statistics", ("experiment=field_ready", *_NORM)),
    Recipe("lora", "field_ready, lora", ("experiment=field_ready", "adapt=lora")),
    Recipe("large", "field_ready, 288 px", ("experiment=field_ready", "model.input_size_px=288")),
)


@dataclass(frozen=True)
class Score:
    """What one run reached.

    Attributes:
        name: Name of the recipe.
        laboratory: Balanced accuracy on the laboratory's test split, 0-1.
        free: Balanced accuracy on the orchard photographs, any class allowed, 0-1.
        restricted: The same with the answer restricted to the orchard's classes.
        half_a: `free` and `restricted` on every second photograph of each class.
        half_b: The same on the others.
        answered: Orchard photographs that are answered when the least sure answers are left out until at most a tenth
            of the others is wrong.
        photographs: Orchard photographs.
        seconds: Time of all steps.
    """

    name: str
    laboratory: float
    free: float
    restricted: float
    half_a: tuple[float, float]
    half_b: tuple[float, float]
    answered: int
    photographs: int
    seconds: float


def balanced_accuracy(answer: NDArray[Any], truth: NDArray[Any]) -> float:
    """Mean share of right answers over the classes.

    Args:
        answer: Shape (N,).
        truth: Shape (N,).
    """
    return float(np.mean([np.mean(answer[truth == name] == name) for name in np.unique(truth)]))


def count_answered(confidence: NDArray[np.float64], is_right: NDArray[np.bool_], error: float) -> int:
    """Most answers, the surest first, of which at most a share is wrong.

    Args:
        confidence: Shape (N,).
        is_right: Shape (N,).
        error: The share, 0-1.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~is_right[order])
    fits = np.flatnonzero(wrong <= error * np.arange(1, len(order) + 1))
    return int(fits[-1]) + 1 if len(fits) else 0


def halve(truth: NDArray[Any]) -> NDArray[np.bool_]:
    """Half A: every second image of each class, in the order of the table."""
    chosen = np.zeros(len(truth), dtype=bool)
    for name in np.unique(truth):
        chosen[np.flatnonzero(truth == name)[::2]] = True
    return chosen


def score_run(name: str, run: RunFolder, seconds: float) -> Score:
    """Scores a finished run from its tables."""
    answers = pd.read_parquet(run.external / f"{FIELD}.parquet").sort_values(SAMPLE_ID)
    answers = answers[answers[LABEL].notna()]
    truth = answers[LABEL].to_numpy(dtype=object)
    columns = [column for column in answers if column.startswith(PROB_PREFIX)]
    names = np.array([column.removeprefix(PROB_PREFIX) for column in columns], dtype=object)
    probs = answers[columns].to_numpy(dtype=np.float64)
    free = names[probs.argmax(axis=1)]
    possible = np.isin(names, np.unique(truth))
    restricted = names[possible][probs[:, possible].argmax(axis=1)]
    test = pd.read_parquet(run.answers).query("split == 'test'")
    a = halve(truth)
    halves = [
        (balanced_accuracy(free[rows], truth[rows]), balanced_accuracy(restricted[rows], truth[rows]))
        for rows in (a, ~a)
    ]
    return Score(
        name,
        balanced_accuracy(test["prediction"].to_numpy(dtype=object), test[LABEL].to_numpy(dtype=object)),
        balanced_accuracy(free, truth),
        balanced_accuracy(restricted, truth),
        *halves,
        answered=count_answered(probs.max(axis=1), free == truth, ACCEPTED_ERROR),
        photographs=len(truth),
        seconds=seconds,
    )


@contextmanager
def changed_parts(recipe: Recipe) -> Iterator[None]:
    """Parts of the preset's augmentation that no setting reaches, for the ablation alone."""
    if not recipe.parts:
        yield
        return

    def build(_: object, *, size_px: int, seed: int, backgrounds: Any) -> FieldAugmentation:
        return FieldAugmentation(size_px, seed=seed, backgrounds=backgrounds, **dict(recipe.parts))

    with mock.patch.object(training_job, "build_augmentation", build):
        yield


def run_recipe(recipe: Recipe, data: Path, weights: Path, output: Path, more: list[str]) -> Score:
    """Runs one recipe and scores it; what was finished before is read."""
    folder = recipe.trained_as or recipe.name
    done = output / "scores" / f"{recipe.name}.json"
    if done.exists():
        found = json.loads(done.read_text())
        return Score(**{**found, "half_a": tuple(found["half_a"]), "half_b": tuple(found["half_b"])})
    words = [
        "data=plantvillage",
        f"data.root={data / 'plantvillage'}",
        "model=mobilenetv3_small",
        f"model.backbone={BACKBONE}",
        f"model.weights={weights}",
        f"evaluate.external=[{FIELD}={data / 'apple_field'}]",
        f"paths.run_dir={output / folder}",
        f"paths.cache_dir={output / 'cache'}",
        f"name={folder}",
        *_FAST,
        *more,
        *recipe.words,
    ]
    config = compose_config(words)
    run = choose_run_folder(config)
    began = time.monotonic()
    say = functools.partial(print, f"  {recipe.name}:", file=sys.stderr, flush=True)
    with changed_parts(recipe):
        for step in ("prepare", "train", "evaluate"):
            run_step(RunContext(config, run, say=say), step)
    score = score_run(recipe.name, run, time.monotonic() - began)
    done.parent.mkdir(exist_ok=True)
    done.write_text(json.dumps(asdict(score)))
    return score


def take_some(data: Path, images: int, output: Path) -> Path:
    """Links to some images of each laboratory class, and to all of the orchard, beside the runs."""
    some = output / f"data{images}"
    for folder in sorted(path for path in (data / "plantvillage").iterdir() if path.is_dir()):
        (some / "plantvillage" / folder.name).mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir())[:images]:
            link = some / "plantvillage" / folder.name / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    for name in ("plantvillage/leaf-map.json", "apple_field"):
        if not (some / name).exists():
            (some / name).symlink_to((data / name).resolve())
    return some


def tabulate(scores: list[Score]) -> str:
    """The table as Markdown."""
    titles = {recipe.name: recipe.title for recipe in RECIPES}
    lines = [
        "| training | laboratory | orchard, free | four classes | half A | half B | answered at 10 % error | time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        halves = [f"{free:.2f} / {restricted:.2f}" for free, restricted in (score.half_a, score.half_b)]
        answered = f"{score.answered} of {score.photographs}"
        cells = [titles[score.name], f"{score.laboratory:.3f}", f"{score.free:.3f}", f"{score.restricted:.3f}"]
        lines.append(f"| {' | '.join([*cells, *halves, answered, f'{score.seconds:.0f} s'])} |")
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> None:
    """Runs the recipes and writes the table after each."""
    given = dict(word.split("=", 1) for word in words if word.startswith(("images=", "only=")))
    more = [word for word in words if "=" in word and word.split("=", 1)[0] not in given]
    data, weights, *rest = (Path(word) for word in words if "=" not in word)
    output = rest[0] if rest else Path("runs/field")
    output.mkdir(parents=True, exist_ok=True)
    known = {recipe.name: recipe for recipe in RECIPES}
    wanted = given["only"].split(",") if "only" in given else list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        message = f"only={given['only']}: {', '.join(unknown)} is not known; allowed: {', '.join(known)}."
        raise ConfigError(message)
    if "images" in given:
        data = take_some(data, int(given["images"]), output)
    scores = []
    for name in wanted:
        scores.append(run_recipe(known[name], data, weights, output, more))
        (output / "field.md").write_text(tabulate(scores))
        (output / "field.json").write_text(json.dumps([asdict(score) for score in scores], indent=1))
        print(tabulate(scores[-1:]).splitlines()[-1], flush=True)
    print(tabulate(scores))


if __name__ == "__main__":
    main(sys.argv[1:])
