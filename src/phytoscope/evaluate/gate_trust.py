"""Whether a challenger's answers can be believed as far as those of the champion: calibration, coverage, verdicts."""

import json
from typing import Final

import numpy as np
import pandas as pd

from phytoscope.evaluate.bootstrap import BootstrapPlan, FloatArray, GroupSampler, IntArray, Replicates, find_bounds
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.coverage import describe_coverage
from phytoscope.evaluate.gate_slices import Duel
from phytoscope.evaluate.intervals import to_value
from phytoscope.schema.promotion import PromotionCheck
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    LOWER,
    PREDICTION,
    PROB_PREFIX,
    SET,
    SET_SIZE,
    TARGET,
    UPPER,
    VERDICT,
    Task,
)
from phytoscope.schema.verdict import Verdict

_WORDS: Final = {Verdict.accept: "accepted", Verdict.review: "for review", Verdict.reject: "rejected"}


def check_calibration(duel: Duel, sampler: GroupSampler, margin: float, confidence: float) -> PromotionCheck:
    """Whether probabilities mean what they say as well as those of the champion.

    It fails where the expected calibration error has grown by more than the margin, and by more than chance explains.

    Args:
        duel: Both models on the same images; classification.
        sampler: Groups of these images, and the draws.
        margin: How much it may grow, 0-1.
        confidence: Level of each end of the interval.
    """
    values = []
    for table in (duel.rows, duel.others):
        predicted = _find_places(table[PREDICTION], duel.class_names)
        probs = table[[PROB_PREFIX + name for name in duel.class_names]].to_numpy(dtype=np.float64)
        rows = prepare_class_rows(duel.truth.astype(np.int64), predicted, probs)
        values.append(sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())["ece"])
    growth = _recentre(values[1].minus(values[0]))
    low, high = (to_value(end) for end in find_bounds(growth, sampler.n_groups, 2.0 * confidence - 1.0))
    value = float(growth.whole[0])
    passed = value <= margin or low is None or low <= 0.0
    champion, challenger = (100.0 * float(found.whole[0]) for found in values)
    measured = (
        f"the probabilities are off by {challenger:.1f} points on average, those of the champion by {champion:.1f}"
    )
    allowed = f"allowed are {100 * margin:.3g} more"
    if not passed:
        reason = f"{measured}; {allowed}, and chance does not explain the rest."
    elif value > margin:
        reason = f"{measured}; {allowed}, but on {sampler.n_groups} groups this can be chance."
    else:
        reason = f"{measured}; {allowed}."
    return PromotionCheck("calibration", passed, reason, value, margin, low, high)


def check_coverage(
    answers: pd.DataFrame, task: Task, promised: float | None, margin: float, plan: BootstrapPlan
) -> PromotionCheck:
    """Whether sets or intervals hold the truth as often as promised.

    It fails where they hold it less often than promised by more than the margin, and by more than chance explains.

    Args:
        answers: Judged answers of the challenger.
        task: Classification or regression.
        promised: Share that is promised to hold the truth; None where the model promises nothing.
        margin: How far below the promise is allowed, 0-1.
        plan: How intervals are made; each end has half of what its level leaves.
    """
    found = None if promised is None else _find_held(answers, task)
    what = "set" if task is Task.classification else "interval"
    if promised is None or found is None or len(found[0]) == 0:
        return PromotionCheck("coverage", True, f"the model gives no {what}s, so there is no promise to keep.")
    held, size, groups = found
    (row,) = describe_coverage(
        held, size, groups, what="all", kinds=np.zeros(len(held), dtype=np.int64), names=["all"], plan=plan
    )[:1]
    limit = promised - margin
    passed = row.coverage >= limit or row.high is None or row.high >= promised
    measured = (
        f"{100 * row.coverage:.1f} % of the {what}s hold the truth, {100 * promised:.1f} % are promised and "
        f"{100 * margin:.3g} points less allowed"
    )
    if not passed:
        reason = f"{measured}; chance does not explain the rest."
    elif row.coverage < limit:
        reason = f"{measured}; on {row.n_groups} groups this can be chance."
    else:
        reason = f"{measured}."
    return PromotionCheck("coverage", passed, reason, row.coverage, limit, row.low, row.high)


def is_judging(answers: pd.DataFrame, task: Task) -> bool:
    """Whether answers come with sets or intervals."""
    return _find_held(answers, task) is not None


def word_verdicts(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> list[str]:
    """How often each model's answers are accepted, looked at or rejected, and how wide its intervals are.

    Args:
        champion: Its judged answers; None when there is no champion.
        challenger: Those of the challenger.
    """
    sentences = []
    if VERDICT in challenger:
        sentences.append(f"Verdicts of the challenger: {_word_shares(challenger)}.")
    if champion is not None and VERDICT in champion:
        sentences.append(f"Verdicts of the champion: {_word_shares(champion)}.")
    if champion is not None and {LOWER, UPPER} <= set(champion) & set(challenger):
        new, old = (
            float(np.nanmean(_floats(table, UPPER) - _floats(table, LOWER))) for table in (challenger, champion)
        )
        sentences.append(f"Mean width of the intervals: {new:.3g}, of the champion {old:.3g}.")
    return sentences


def _word_shares(answers: pd.DataFrame) -> str:
    shares = answers[VERDICT].value_counts(normalize=True)
    return ", ".join(f"{100 * float(shares.get(verdict.value, 0.0)):.0f} % {word}" for verdict, word in _WORDS.items())


def _recentre(values: Replicates) -> Replicates:
    """Moves draws to lie around the number, as deviations of bins add up in every draw instead of cancelling."""
    known = values.drawn[np.isfinite(values.drawn)]
    return Replicates(values.whole, values.drawn + (values.whole - np.median(known)), values.without)


def _find_held(answers: pd.DataFrame, task: Task) -> tuple[np.ndarray, FloatArray, np.ndarray] | None:
    """Whether each set or interval holds the truth, its size, and the group of its image; None where there is none."""
    groups = answers[GROUP_ID].to_numpy(dtype=object)
    if task is Task.classification:
        if SET not in answers:
            return None
        held = [str(label) in json.loads(words) for label, words in zip(answers[LABEL], answers[SET], strict=True)]
        return np.array(held, dtype=bool), _floats(answers, SET_SIZE), groups
    if LOWER not in answers or UPPER not in answers:
        return None
    truth, lower, upper = (_floats(answers, name) for name in (TARGET, LOWER, UPPER))
    known = np.isfinite(truth) & np.isfinite(lower) & np.isfinite(upper)
    return ((lower <= truth) & (truth <= upper))[known], (upper - lower)[known], groups[known]


def _find_places(names: pd.Series, class_names: list[str]) -> IntArray:
    return pd.Index(class_names).get_indexer(pd.Index(names.astype(str))).astype(np.int64)


def _floats(table: pd.DataFrame, name: str) -> FloatArray:
    return table[name].to_numpy(dtype=np.float64)
