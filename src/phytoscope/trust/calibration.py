"""Probabilities that mean what they say: temperature and vector scaling, fitted on the calibration split."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from phytoscope.schema.choices import CalibrationKind
from phytoscope.trust.observed import Floats, Labelled
from phytoscope.trust.quantile import weigh_groups

MIN_ROWS: Final = 30
"""Fewer calibration rows than these say too little about probabilities."""
MAX_ROWS: Final = 200_000
"""One number, or two a class, are known well enough from so many rows; more only cost time."""
SCALES: Final = (0.1, 10.0)
"""Least and largest 1 / temperature."""
_SCALE_SPREAD = 0.25
_BIAS_SPREAD = 0.5
_BINS = 15
# Parts of the way from temperature 1 to the best one that are tried, the whole way first.
_STEPS = (1.0, 0.8, 0.6, 0.4, 0.2)
# A probability of 0 is one below what float32 holds, and has no logarithm.
_FLOOR = float(np.finfo(np.float32).tiny)
_CHUNK = 65536


@dataclass(frozen=True)
class Calibration:
    """From the network's probabilities to honest ones.

    Attributes:
        kind: How.
        scale: What the logarithm of each class's probability is multiplied by: one entry (1 / temperature) or one a
            class.
        bias: What is added to it afterwards; empty, or one entry a class.
    """

    kind: CalibrationKind = CalibrationKind.none
    scale: tuple[float, ...] = (1.0,)
    bias: tuple[float, ...] = ()

    @property
    def temperature(self) -> float | None:
        """What all logits are divided by; None for another kind than `temperature`."""
        return 1.0 / self.scale[0] if self.kind is CalibrationKind.temperature else None

    def apply(self, probs: Floats) -> Floats:
        """Calibrated probabilities.

        Args:
            probs: The network's own, shape (N, classes), each row summing to 1.

        Returns:
            Shape (N, classes), each row summing to 1; NaN in rows that are not numbers.
        """
        if self.kind is CalibrationKind.none:
            return probs
        scale, bias = np.array(self.scale), np.array(self.bias if self.bias else (0.0,))
        calibrated = np.empty(probs.shape)
        for start in range(0, len(probs), _CHUNK):
            part = calibrated[start : start + _CHUNK]
            part[:] = take_log(probs[start : start + _CHUNK]) * scale + bias
            with np.errstate(invalid="ignore"):
                part -= part.max(axis=1, keepdims=True)
                np.exp(part, out=part)
                part /= part.sum(axis=1, keepdims=True)
        return calibrated

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain values, ready for JSON."""
        return {"kind": self.kind.value, "scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """Rebuilds a calibration from `to_dict`'s result."""
        return cls(CalibrationKind(content["kind"]), tuple(content["scale"]), tuple(content["bias"]))


def take_log(probs: Floats) -> Floats:
    """Logarithms of probabilities, which are logits up to a constant a row; 0 is taken for 1e-38."""
    return np.asarray(np.log(np.maximum(probs, _FLOOR)))


def fit_calibration(kind: CalibrationKind, rows: Labelled) -> tuple[Calibration, list[str]]:
    """Finds the scaling under which the true classes are most probable.

    Every group counts once: images of one leaf are right or wrong together, and a leaf with many of them would pull the
    temperature to itself. One imagined group is added in which the runner-up is true (as in Platt's scaling, 1999):
    without it, a split without a mistake would ask for probabilities of exactly 1.

    Temperature scaling: Guo 2017, arXiv 1706.04599. Vector scaling (same source) has two numbers a class, so each is
    drawn towards the temperature as if that had been seen on one group before.

    Args:
        kind: How probabilities are made honest.
        rows: Calibration rows with the network's own probabilities, N of them, without values that are not numbers.

    Returns:
        The scaling, and remarks. None of log loss, Brier score and calibration error is worse on these rows than
        without: the temperature stops on its way from 1 where one of them would be. The kind is `none` where not even
        the first part of the way is better, and where there are fewer than 30 rows or fewer than two true classes.
    """
    if kind is CalibrationKind.none:
        return Calibration(), []
    n_classes = len(np.unique(rows.truth))
    if len(rows) < MIN_ROWS or n_classes < 2:
        message = (
            f"The probabilities are the network's own: the calibration split has {len(rows)} images of {n_classes} "
            f"classes, {MIN_ROWS} images of at least two are needed."
        )
        return Calibration(), [message]
    every = -(-len(rows) // MAX_ROWS)
    probs, truth = rows.observed.answers[::every], np.asarray(rows.truth[::every], dtype=np.int64)
    shares, n_groups = weigh_groups(rows.groups[::every])
    sample = _Sample(take_log(probs), truth, shares / n_groups, n_groups)
    scale = _fit_scale(sample)
    fitted = [Calibration(CalibrationKind.temperature, (1.0 + step * (scale - 1.0),)) for step in _STEPS]
    if kind is CalibrationKind.vector:
        fitted.insert(0, _fit_vector(sample, scale))
    before = _measure(probs, sample)
    for found in fitted:
        if all(now <= then for now, then in zip(_measure(found.apply(probs), sample), before, strict=True)):
            return found, [] if found.kind is kind else ["Vector scaling was no better: one temperature is used."]
    return Calibration(), ["The probabilities are the network's own: no scaling made them more honest."]


@dataclass(frozen=True)
class _Sample:
    """Rows to fit on: logarithms (N, C), true classes (N,), shares of all groups (N,) with sum 1."""

    logs: Floats
    truth: NDArray[np.int64]
    shares: Floats
    n_groups: int

    def aim(self) -> Floats:
        """What the log loss wants of each class, shape (N, C): nearly all of the true one, a little of its rival."""
        rows = np.arange(len(self.truth))
        others = self.logs.copy()
        others[rows, self.truth] = -np.inf
        imagined = 1.0 / (self.n_groups + 1.0)
        wanted = np.zeros_like(self.logs)
        wanted[rows, others.argmax(axis=1)] = imagined
        wanted[rows, self.truth] = 1.0 - imagined
        return wanted * self.shares[:, None]


def _softmax(logs: Floats) -> Floats:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _fit_scale(sample: _Sample) -> float:
    """1 / temperature: where the slope of the log loss, which is convex in it, is zero."""
    weighted = sample.logs * sample.shares[:, None]
    wanted = float(np.einsum("ij,ij->", sample.aim(), sample.logs))

    def slope(scale: float) -> float:
        return float(np.einsum("ij,ij->", _softmax(scale * sample.logs), weighted)) - wanted

    low, high = SCALES
    if slope(low) >= 0.0:
        return low
    if slope(high) <= 0.0:
        return high
    return float(optimize.brentq(slope, low, high, xtol=1e-5))


def _fit_vector(sample: _Sample, scale: float) -> Calibration:
    logs, aim, n_classes = sample.logs, sample.aim(), sample.logs.shape[1]
    prior_scale = 1.0 / (sample.n_groups * (scale * _SCALE_SPREAD) ** 2)
    prior_bias = 1.0 / (sample.n_groups * _BIAS_SPREAD**2)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        away, biases = numbers[:n_classes] - scale, numbers[n_classes:]
        moved = logs * numbers[:n_classes] + biases
        moved -= moved.max(axis=1, keepdims=True)
        total = np.log(np.exp(moved).sum(axis=1, keepdims=True))
        surplus = np.exp(moved - total) * sample.shares[:, None] - aim
        value = float((sample.shares @ total)[0] - np.einsum("ij,ij->", aim, moved))
        value += 0.5 * float(prior_scale * away @ away + prior_bias * biases @ biases)
        slope_scale = np.einsum("ij,ij->j", surplus, logs) + prior_scale * away
        return value, np.concatenate([slope_scale, surplus.sum(axis=0) + prior_bias * biases])

    start = np.concatenate([np.full(n_classes, scale), np.zeros(n_classes)])
    bounds = [SCALES] * n_classes + [(None, None)] * n_classes
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
    return Calibration(CalibrationKind.vector, tuple(found[:n_classes]), tuple(found[n_classes:]))


def _measure(probs: Floats, sample: _Sample) -> tuple[float, float, float]:
    """Log loss, Brier score and expected calibration error in equally filled bins, every group counting once."""
    own = probs[np.arange(len(probs)), sample.truth]
    brier = sample.shares @ (np.einsum("ij,ij->i", probs, probs) - 2.0 * own + 1.0)
    confidence = probs.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    gap = (sample.shares * (confidence - (probs.argmax(axis=1) == sample.truth)))[order]
    starts = np.unique(np.arange(_BINS) * len(gap) // _BINS)
    error = np.abs(np.add.reduceat(gap, starts)).sum()
    return float(-sample.shares @ np.log(np.maximum(own, _FLOOR))), float(brier), float(error)
