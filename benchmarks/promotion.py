"""How often the promotion gate decides wrongly: planted challengers, drawn again and again, and what became of them.

Usage: python benchmarks/promotion.py [--repeats 400] [--draws 1000] [--task classification] [--output FILE.json]

Champion and challenger answer the same drawn images of so many groups. Both find the same images hard, as real models
do. For each planted gain the table says in how many of 100 draws the challenger was promoted, and in how many it would
have been with two other rules for the overall metric: `point` (estimated loss within the margin, nothing else) and
`strict` (a loss of the margin itself is ruled out). The last columns say how often any slice, calibration or coverage
was called worse.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from phytoscope.evaluate.compare import Answers
from phytoscope.evaluate.gate import GatePlan, GateSide, decide_promotion
from phytoscope.schema.operate import PromoteConfig
from phytoscope.schema.promotion import Contender, PromotionDecision
from phytoscope.schema.table import Task

CLASSES = ["healthy", "mildew", "rust", "scab"]
PROMISED = 0.9
_GROUP_SHARE = 0.4
"""Share of what makes an image hard that all images of a group have in common."""
_ALIKE = 0.9
"""Correlation of what is hard for the two models."""


def draw_classes(
    groups: int, images: int, gain: float, *, accuracy: float = 0.9, slice_loss: float = 0.0, seed: int = 0
) -> tuple[GateSide, GateSide]:
    """Draws the judged answers of champion and challenger for images of four classes.

    Args:
        groups: Number of groups, each of one class.
        images: Images of each.
        gain: How much more accurate the challenger is in truth, 0-1; below 0 it is worse.
        accuracy: Accuracy of the champion.
        slice_loss: By how much the challenger is less accurate on the last class alone.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    n = groups * images
    group = np.repeat(np.arange(groups), images)
    true = group % len(CLASSES)
    shared = _draw_hardness(rng, group, groups)
    sides = []
    for number, extra in enumerate((0.0, gain)):
        own = _draw_hardness(rng, group, groups)
        hard = special.ndtr(np.sqrt(_ALIKE) * shared + np.sqrt(1.0 - _ALIKE) * own)
        # Honest probabilities around the accuracy: an image is right as often as they say.
        chance = np.clip(accuracy + extra + rng.uniform(-0.08, 0.08, n), 0.3, 0.999)
        if number == 1:
            chance = np.where(true == len(CLASSES) - 1, chance - slice_loss, chance)
        right = hard < chance
        other = (true + rng.integers(1, len(CLASSES), n)) % len(CLASSES)
        predicted = np.where(right, true, other)
        probs = np.repeat((1.0 - chance)[:, None] / (len(CLASSES) - 1), len(CLASSES), axis=1)
        probs[np.arange(n), predicted] = chance
        held = right | (rng.random(n) < 1.0 - (1.0 - PROMISED) / max(1.0 - accuracy, 1e-9))
        table = _start_table(group, number).assign(
            label=np.array(CLASSES)[true],
            prediction=np.array(CLASSES)[predicted],
            probability=probs.max(axis=1),
            **{f"prob/{name}": probs[:, place] for place, name in enumerate(CLASSES)},
        )
        sets = np.where(held, table["label"] + "|" + table["prediction"], table["prediction"])
        table["set"] = [json.dumps(sorted(set(words.split("|")))) for words in sets]
        table["set_size"] = [len(json.loads(words)) for words in table["set"]]
        sides.append(_build_side(table, number, Task.classification))
    return sides[0], sides[1]


def draw_values(
    groups: int, images: int, gain: float, *, slice_loss: float = 0.0, seed: int = 0
) -> tuple[GateSide, GateSide]:
    """Draws the judged answers of champion and challenger for the weights of plants.

    Args:
        groups: Number of plants.
        images: Images of each, with the same weight.
        gain: Share of the champion's error that the challenger does without in truth; below 0 it is worse.
        slice_loss: How much larger, as a share, its error is on the heaviest fifth of the plants alone.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), images)
    target = np.exp(rng.normal(0.0, 0.8, groups))[group]
    shared = _draw_hardness(rng, group, groups)
    heavy = target > np.quantile(target, 0.8)
    sides = []
    for number, factor in enumerate((1.0, 1.0 - gain)):
        noise = np.sqrt(_ALIKE) * shared + np.sqrt(1.0 - _ALIKE) * _draw_hardness(rng, group, groups)
        error = 0.2 * factor * noise * (1.0 + (slice_loss * heavy if number == 1 else 0.0))
        reach = 0.2 * factor * special.ndtri(0.5 + PROMISED / 2.0)
        preds = target + error
        table = _start_table(group, number).assign(target=target, prediction=preds, lower=preds - reach)
        sides.append(_build_side(table.assign(upper=preds + reach), number, Task.regression))
    return sides[0], sides[1]


def decide(sides: tuple[GateSide, GateSide], rules: PromoteConfig, draws: int = 1000) -> PromotionDecision:
    """The gate's decision on a drawn pair."""
    champion, challenger = sides
    return decide_promotion("demo", challenger, champion, [], GatePlan(rules, draws))


def _draw_hardness(rng: np.random.Generator, group: np.ndarray, groups: int) -> np.ndarray:
    own = rng.normal(size=len(group))
    return np.sqrt(_GROUP_SHARE) * rng.normal(size=groups)[group] + np.sqrt(1.0 - _GROUP_SHARE) * own


def _start_table(group: np.ndarray, number: int) -> pd.DataFrame:
    n = len(group)
    return pd.DataFrame(
        {
            "sample_id": [f"{place:05}.jpg" for place in range(n)],
            "path": [f"{place:05}.jpg" for place in range(n)],
            "group_id": [f"plant-{place}" for place in group],
            "split": "test",
            "model_id": f"model-{number}",
            "verdict": "accept",
            "reasons": "",
            "green_px": 1000,
        }
    )


def _build_side(table: pd.DataFrame, number: int, task: Task) -> GateSide:
    name = ("champion", "challenger")[number]
    is_class = task is Task.classification
    answers = Answers(name, table, task, CLASSES if is_class else [], "" if is_class else "g", "weight", "split")
    return GateSide(Contender(f"model-{number}", name, number + 1), answers, PROMISED)


def measure(task: Task, gains: list[float], sizes: list[int], repeats: int, draws: int) -> list[dict[str, float]]:
    """One row for each size and planted gain: how many of 100 were promoted, and by which other rule."""
    rows = []
    for groups in sizes:
        for gain in gains:
            counted = dict.fromkeys(("promoted", "point", "strict", "slices", "calibration", "coverage"), 0)
            for seed in range(repeats):
                draw = draw_classes if task is Task.classification else draw_values
                decision = decide(draw(groups, 3, gain, seed=seed), PromoteConfig(), draws)
                overall = decision.get_check("overall")
                margin = PromoteConfig.margin
                counted["promoted"] += decision.is_accepted
                counted["point"] += overall.value >= -margin
                counted["strict"] += overall.low is not None and overall.low >= -margin
                for name in ("slices", "calibration", "coverage"):
                    counted[name] += any(check.name == name and not check.passed for check in decision.checks)
            row = {name: 100.0 * count / repeats for name, count in counted.items()}
            rows.append({"groups": groups, "gain": 100 * gain, **row})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main(words: list[str]) -> None:
    """Draws, decides, counts and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--task", choices=[task.value for task in Task], default=Task.classification.value)
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100, 300, 1000])
    parser.add_argument("--gains", type=float, nargs="+", default=[-0.1, -0.04, -0.02, 0.0, 0.02, 0.05])
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(words)
    rows = measure(Task(chosen.task), chosen.gains, chosen.sizes, chosen.repeats, chosen.draws)
    if chosen.output is not None:
        chosen.output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
