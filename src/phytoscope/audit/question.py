"""What is to be predicted, on which images, in which folds: the same for every small model of the inspection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from phytoscope.audit.cross_validation import (
    Floats,
    Integers,
    deal_folds,
    map_to_landmarks,
    predict_kept_back,
)
from phytoscope.audit.evidence import ProbeData, Skipped
from phytoscope.audit.scoring import Tally, choose_balanced, shuffle_answers, tally_classes, tally_numbers
from phytoscope.schema.table import GROUP_ID, LABEL, TARGET, Task

_FEWEST_IMAGES = 20
_FEWEST_GROUPS = 4
_MOST_STRATA = 10
_GROUPS_PER_STRATUM = 4


@dataclass(frozen=True)
class Question:
    """Images with their answers and folds.

    Attributes:
        data: Images of classes that stand in at least two groups, or with a target.
        groups: Group of each image, shape (N,), counting from 0.
        strata: Class or quantile of the target, shape (N,), counting from 0.
        answers: The target in one column, shape (N, 1), or one column per class, shape (N, K).
        class_names: Names of the classes; empty for regression.
        fold_of: Fold of each image, by group, shape (N,).
        seed: Seed of every draw.
    """

    data: ProbeData
    groups: Integers
    strata: Integers
    answers: Floats
    class_names: list[str]
    fold_of: Integers
    seed: int

    @property
    def chance(self) -> float:
        """What guessing reaches: one class in K, or none of the variance."""
        return 1.0 / len(self.class_names) if self.class_names else 0.0

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "balanced_accuracy" if self.class_names else "r2"

    def predict(self, view: Floats, *, orders: Sequence[Integers] = (), sharpness: float = 1.0) -> list[Floats]:
        """Predictions of a model that is shown `view`, shape (N, D), for kept-back groups.

        Args:
            view: Features.
            orders: For every further model, the rows whose answers the images receive, shape (N,).
            sharpness: Of the kernel.

        Returns:
            Predictions, each of shape (N, K): of the model for the true answers, then of the further ones.
        """
        sets = [self.answers, *(self.answers[order] for order in orders)]
        # The matrices are small: threads gain little, and on a busy machine they wait for each other for minutes.
        with threadpool_limits(limits=1, user_api="blas"):
            rows = map_to_landmarks(view, self.seed, sharpness=sharpness)
            return list(predict_kept_back(rows, np.stack(sets), self.fold_of))

    def shuffle(self, times: int) -> list[Integers]:
        """Rows whose answers each image receives when answers are shuffled between groups, `times` arrays (N,)."""
        rng = np.random.default_rng(self.seed)
        return [shuffle_answers(self.groups, rng) for _ in range(times)]

    def tally(self, preds: Floats, *, order: Integers | None = None, balanced: bool = True) -> Tally:
        """How good predictions are, group by group.

        Args:
            preds: Predictions, shape (N, K).
            order: Rows whose answers are the truth, shape (N,); each image's own when None.
            balanced: Whether every class counts the same; without it every image does.
        """
        answers = self.answers if order is None else self.answers[order]
        if not self.class_names:
            return tally_numbers(answers[:, 0], preds[:, 0], self.groups)
        labels = np.asarray(answers.argmax(axis=1), dtype=np.int64)
        chosen = choose_balanced(preds, self.answers.mean(axis=0)) if balanced else preds.argmax(axis=1)
        return tally_classes(labels, np.asarray(chosen, dtype=np.int64), self.groups, balanced=balanced)


def ask(data: ProbeData, *, folds: int, seed: int) -> Question | Skipped:
    """Prepares the question that all small models answer, or says why it cannot be asked.

    Args:
        data: Images with answers.
        folds: Folds of the cross-validation, dealt out by group.
        seed: Seed of every draw.
    """
    data = _keep_usable(data)
    groups = _number(data.rows[GROUP_ID])
    n_groups = int(groups.max()) + 1 if len(groups) > 0 else 0
    if len(data) < _FEWEST_IMAGES or n_groups < _FEWEST_GROUPS:
        return Skipped(
            f"{len(data)} usable images in {n_groups} groups are too few for cross-validation: "
            f"at least {_FEWEST_IMAGES} images in {_FEWEST_GROUPS} groups are needed."
        )
    if data.task is Task.classification:
        codes, names = pd.factorize(data.rows[LABEL].astype(str), sort=True)
        strata = codes.astype(np.int64)
        class_names = [str(name) for name in names]
        if len(class_names) < 2:
            return Skipped("fewer than two classes stand in two or more groups, so there is nothing to tell apart.")
        answers = np.eye(len(class_names))[strata]
    else:
        target = data.rows[TARGET].to_numpy(dtype=float)
        if np.ptp(target) <= 0:
            return Skipped("the target is the same for all images, so there is nothing to explain.")
        strata, class_names, answers = bin_by_group(target, groups), [], target[:, None]
    return Question(data, groups, strata, answers, class_names, deal_folds(groups, strata, folds, seed), seed)


def bin_by_group(target: Floats, groups: Integers) -> Integers:
    """Quantile of the mean target of each image's group, shape (N,), counting from 0.

    Args:
        target: Shape (N,).
        groups: Shape (N,), counting from 0.
    """
    means = pd.Series(target).groupby(groups).mean()
    bins = int(np.clip(len(means) // _GROUPS_PER_STRATUM, 1, _MOST_STRATA))
    ranks = (means.rank(method="first") - 1) * bins // len(means)
    return np.asarray(ranks.astype(int), dtype=np.int64)[groups]


def join_views(views: Sequence[Floats]) -> Floats:
    """Several views side by side, shape (N, D)."""
    return np.concatenate(list(views), axis=1)


def _keep_usable(data: ProbeData) -> ProbeData:
    if data.task is Task.regression:
        usable = np.isfinite(data.rows[TARGET].to_numpy(dtype=float))
    else:
        labelled = data.rows[LABEL].notna()
        spread = data.rows[GROUP_ID].groupby(data.rows[LABEL]).transform("nunique")
        usable = (labelled & (spread >= 2)).to_numpy(dtype=bool)
    return data.take(np.flatnonzero(usable).astype(np.int64))


def _number(groups: pd.Series) -> Integers:
    return np.asarray(pd.factorize(groups, sort=True)[0], dtype=np.int64)
