"""Prediction sets that hold the true class as often as promised (conformal prediction)."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import SetKind
from phytoscope.trust.observed import Floats, Labelled
from phytoscope.trust.quantile import group_quantile, number_groups, word_promise

PENALTIES: Final = (0.0, 0.001, 0.01, 0.1, 0.2)
"""What a further class may cost (`raps`); which one is chosen by the size of the sets on the validation rows."""
MIN_ROWS: Final = 30
"""From so many validation rows on the penalty is chosen; with fewer it is 0.01 for each class after the first."""
MAX_ROWS: Final = 20_000
"""So many validation rows are enough to choose a penalty by."""
_USUAL_PENALTY = (0.01, 1)
_HARDLY_LARGER = 1.05
# The same image must get the same set when its probabilities differ in the last digit.
_SLACK = 1e-9
_CHUNK = 65536


@dataclass(frozen=True)
class SetRule:
    """Which classes belong to the set of an image.

    Attributes:
        kind: How the score of a class is made.
        limits: Largest score that belongs to the set: one entry for all classes, or one a class.
        promised: Share of sets that hold the truth for a new group; below what was wanted where the calibration split
            has too few groups to promise more.
        penalty: What each class after the first `free_classes` costs (`raps`).
        free_classes: Classes that cost nothing (`raps`).
    """

    kind: SetKind
    limits: tuple[float, ...]
    promised: float
    penalty: float = 0.0
    free_classes: int = 0

    def choose(self, probs: Floats) -> NDArray[np.bool_]:
        """The classes of each set.

        Args:
            probs: Calibrated probabilities, shape (N, classes).

        Returns:
            Shape (N, classes), bool; the most probable class always belongs to the set, and every class does where
            the probabilities are not numbers.
        """
        chosen = np.empty(probs.shape, dtype=bool)
        for start in range(0, len(probs), _CHUNK):
            part = probs[start : start + _CHUNK]
            chosen[start : start + _CHUNK] = self._choose_all(part)
            chosen[start + np.arange(len(part)), part.argmax(axis=1)] = True
        chosen[np.isnan(probs).any(axis=1)] = True
        return chosen

    def _choose_all(self, probs: Floats) -> NDArray[np.bool_]:
        limits = np.broadcast_to(np.array(self.limits) + _SLACK, probs.shape[1:])
        if self.kind is SetKind.lac:
            return np.asarray(1.0 - probs <= limits)
        ordered = np.sort(probs, axis=1)[:, ::-1]
        before = np.zeros_like(ordered)
        np.cumsum(ordered[:, :-1], axis=1, out=before[:, 1:])
        if self.kind is SetKind.raps:
            before += self.penalty * np.maximum(np.arange(1, probs.shape[1] + 1) - self.free_classes, 0)
        chosen = np.empty(probs.shape, dtype=bool)
        # The score rises from rank to rank, so that a limit is the same as a least probability.
        for limit in np.unique(limits):
            count = np.maximum((before <= limit).sum(axis=1), 1)
            columns = limits == limit
            chosen[:, columns] = probs[:, columns] >= ordered[np.arange(len(probs)), count - 1][:, None]
        return chosen

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values, ready for JSON."""
        return {
            "kind": self.kind.value,
            "limits": list(self.limits),
            "promised": self.promised,
            "penalty": self.penalty,
            "free_classes": self.free_classes,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "SetRule":
        """Rebuilds a rule from `to_dict`'s result."""
        return cls(**{**content, "kind": SetKind(content["kind"]), "limits": tuple(content["limits"])})


def score_truth(
    probs: Floats, truth: NDArray[Any], kind: SetKind, penalty: float = 0.0, free_classes: int = 0
) -> Floats:
    """How far the true class of each image is from belonging to the set.

    `lac`: 1 - its probability. `aps`: the sum of all larger probabilities, so 0 for the first class; `raps` adds
    `penalty` for each rank after `free_classes`. Romano 2020 and Angelopoulos 2021 add a random part of the class's own
    probability to meet the coverage exactly; here nothing of it is added, so that the same photograph gets the same set
    every time. The promise holds all the same, since calibration rows are scored alike; it is exceeded where the most
    probable class alone is right more often than promised.

    Args:
        probs: Calibrated probabilities, shape (N, classes).
        truth: Index of the true class, shape (N,).
        kind: How.
        penalty: What each class after the first `free_classes` costs (`raps`).
        free_classes: Classes that cost nothing (`raps`).

    Returns:
        Shape (N,), float64, 0 at least.
    """
    scores = np.empty(len(probs))
    for start in range(0, len(probs), _CHUNK):
        part = probs[start : start + _CHUNK]
        own = part[np.arange(len(part)), truth[start : start + _CHUNK].astype(np.int64)]
        larger = part > own[:, None]
        score = 1.0 - own if kind is SetKind.lac else (part * larger).sum(axis=1)
        if kind is SetKind.raps:
            score = score + penalty * np.maximum(larger.sum(axis=1) + 1 - free_classes, 0)
        scores[start : start + _CHUNK] = score
    return scores


def fit_sets(
    calibration: Labelled, val: Labelled, *, kind: SetKind, coverage: float, class_conditional: bool
) -> tuple[SetRule | None, list[str]]:
    """Finds which scores belong to a set.

    Args:
        calibration: Calibration rows with calibrated probabilities and the index of the true class.
        val: Validation rows, calibrated too, by which the penalty of `raps` is chosen.
        kind: How the score of a class is made.
        coverage: Share of images of new groups whose set shall hold the true class, between 0 and 1.
        class_conditional: Whether it shall do so in every class (Vovk 2012, arXiv 1209.2673).

    Returns:
        The rule, None where there is no calibration row, and remarks.

    Raises:
        ConfigError: `coverage` is not between 0 and 1.
    """
    if len(calibration) == 0:
        return None, ["There are no prediction sets: the calibration split is empty."]
    penalty, free = _choose_penalty(val, coverage) if kind is SetKind.raps else (0.0, 0)
    scores = score_truth(calibration.observed.answers, calibration.truth, kind, penalty, free)
    limit, promised = group_quantile(scores, calibration.groups, coverage)
    _, n_groups = number_groups(calibration.groups)
    pooled = SetRule(kind, (limit,), promised, penalty, free)
    remarks = [word_promise("Prediction sets", n_groups, promised, coverage)] if promised < coverage else []
    if not class_conditional:
        return pooled, remarks
    limits, promised, short = _limit_classes(calibration, scores, limit, coverage)
    if short:
        remarks.append(
            f"{short} of {len(limits)} classes have too few groups in the calibration split to promise {coverage:.0%} "
            "by themselves; their sets use the limit of all classes together, or a wider one of their own."
        )
    return SetRule(kind, limits, promised, penalty, free), remarks


def _choose_penalty(val: Labelled, coverage: float) -> tuple[float, int]:
    """The penalty and the number of free classes by the size of the sets on the validation rows.

    The smallest penalty is taken whose sets are hardly larger than the smallest ones: a large one gains little, but
    makes all sets huge where one rare mistake of high rank decides the limit.
    """
    if len(val) < MIN_ROWS:
        return _USUAL_PENALTY
    every = -(-len(val) // MAX_ROWS)
    probs, truth, groups = val.observed.answers[::every], val.truth[::every], val.groups[::every]
    own = probs[np.arange(len(probs)), truth.astype(np.int64)]
    free = int(group_quantile(1.0 + (probs > own[:, None]).sum(axis=1), groups, coverage)[0])
    sizes = []
    for penalty in PENALTIES:
        limit, promised = group_quantile(score_truth(probs, truth, SetKind.raps, penalty, free), groups, coverage)
        sizes.append(int(SetRule(SetKind.raps, (limit,), promised, penalty, free).choose(probs).sum()))
    enough = [size <= _HARDLY_LARGER * min(sizes) for size in sizes]
    return PENALTIES[enough.index(True)], free


def _limit_classes(
    rows: Labelled, scores: Floats, pooled: float, coverage: float
) -> tuple[tuple[float, ...], float, int]:
    """Limit of each class, the promise over all of them, and how many have too few groups of their own."""
    limits, promises, sizes, short = [], [], [], 0
    for index in range(rows.observed.answers.shape[1]):
        own = np.asarray(rows.truth) == index
        if not own.any():
            limits.append(pooled)
            short += 1
            continue
        limit, promised = group_quantile(scores[own], rows.groups[own], coverage)
        if promised < coverage:
            limit, short = max(limit, pooled), short + 1
        limits.append(limit)
        promises.append(promised)
        sizes.append(number_groups(rows.groups[own])[1])
    promised = coverage if min(promises) >= coverage else float(np.average(promises, weights=sizes))
    return tuple(limits), promised, short
