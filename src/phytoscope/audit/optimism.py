"""Optimism gap: by how much a random split would flatter a model on these data."""

from dataclasses import replace

import numpy as np

from phytoscope.audit.cross_validation import WHOLE_PICTURE_SHARPNESS, deal_folds
from phytoscope.audit.evidence import ProbeData, Skipped
from phytoscope.audit.question import ask
from phytoscope.audit.scoring import interval_of
from phytoscope.schema.audit import OptimismGap
from phytoscope.schema.progress import Progress

_FEWEST_SHARED = 0.05
"""Share of images that stand in a group with others, below which a random split is a split by group."""


def measure_optimism(data: ProbeData, *, folds: int, seed: int, progress: Progress) -> OptimismGap | Skipped:
    """Scores one quick model on the whole picture with random folds and with folds by group.

    Both arms have the same images, features, landmarks and model; only the folds differ, and the penalty, which is
    chosen the way the folds are drawn, as somebody with such a split would choose it.

    Args:
        data: Images with answers.
        folds: Folds of both cross-validations.
        seed: Seed of folds, landmarks and interval.
        progress: Told about both arms.

    Returns:
        The gap in accuracy or R², or why it was not measured.
    """
    question = ask(data, folds=folds, seed=seed)
    if isinstance(question, Skipped):
        return question
    sizes = np.bincount(question.groups)
    shared = float((sizes[question.groups] > 1).mean())
    if shared < _FEWEST_SHARED:
        return Skipped(
            f"{100 * (1 - shared):.0f} % of the images are groups of their own, so a random split is a split by group; "
            "if several pictures show the same plant, say so with data.group_by or data.group_pattern."
        )
    progress.start("Comparing a random split with groups", 2)
    view = question.data.facts.features(question.data.positions).astype(float)
    grouped = question.tally(question.predict(view, sharpness=WHOLE_PICTURE_SHARPNESS)[0], balanced=False)
    progress.advance(1)
    alone = np.arange(len(question.data), dtype=np.int64)
    at_random = replace(question, fold_of=deal_folds(alone, question.strata, folds, seed))
    random = question.tally(at_random.predict(view, sharpness=WHOLE_PICTURE_SHARPNESS)[0], balanced=False)
    progress.advance(1)
    progress.finish()
    low, high = interval_of([random, grouped], (1.0, -1.0), seed)
    metric = "accuracy" if question.class_names else "r2"
    scores = random.score, grouped.score
    verdict = _word(metric, *scores, low, high)
    gap = scores[0] - scores[1]
    return OptimismGap(metric, *scores, gap, low, high, len(question.data), len(sizes), verdict)


def _word(metric: str, random: float, group: float, low: float, high: float) -> str:
    if metric == "accuracy":
        values, unit = (100 * random, 100 * group, 100 * (random - group), 100 * low, 100 * high), " points"
        both = f"{values[0]:.1f} % right on a random split and {values[1]:.1f} % when groups stay together"
        size, ends = f"{values[2]:.1f}", f"{values[3]:.1f} to {values[4]:.1f}"
    else:
        both, unit = f"R² {random:.2f} on a random split and {group:.2f} when groups stay together", " in R²"
        size, ends = f"{random - group:.2f}", f"{low:.2f} to {high:.2f}"
    if low > 0:
        return f"A random split flatters by {size}{unit} (95 % interval {ends}): the same quick model is {both}."
    return f"No sign that a random split flatters ({size}{unit}, 95 % interval {ends}): the quick model is {both}."
