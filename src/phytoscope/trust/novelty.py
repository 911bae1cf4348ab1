"""How unlike the training images an image is, from its features."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.choices import NoveltyKind
from phytoscope.trust.observed import Floats

Arrays = dict[str, NDArray[np.floating[Any]]]
BANK, MEANS, AXES, SPREADS, REST = "bank", "means", "axes", "spreads", "rest"

_NAMES: Final = {
    NoveltyKind.knn: frozenset({BANK}),
    NoveltyKind.mahalanobis: frozenset({MEANS, AXES, SPREADS, REST}),
    NoveltyKind.energy: frozenset[str](),
}
_BEST: Final = NoveltyKind.knn
_MOST_IMAGES, _MOST_BANK_BYTES = 5000, 8_000_000
# The nearest one alone says more than the mean of several: classes differ in how densely they were photographed.
_MOST_AXES = 256
_STEP = 1024
_TINY = 1e-12


@dataclass(frozen=True)
class NoveltyReference:
    """What the training images look like to the network.

    Attributes:
        kind: How novelty is measured; never `auto` or `none`.
        arrays: Name -> array, as the kind needs them. `knn`: `bank`, features of training images brought to length 1,
            shape (B, F), float16. `mahalanobis`, float32: `means` of the classes' features brought to length 1, shape
            (classes, F); `axes` along which images of a class differ most, shape (K, F); `spreads`, the variance along
            each, shape (K,); `rest`, the variance along all other directions, shape (1,). `energy`: none.
    """

    kind: NoveltyKind
    arrays: Arrays = field(default_factory=dict)

    def score(self, features: NDArray[np.float32], outputs: Floats) -> Floats:
        """Novelty of some images.

        Args:
            features: Pooled features, shape (N, F), float32.
            outputs: What the network says before it is turned into probabilities, shape (N, outputs).

        Returns:
            Shape (N,), larger is stranger. `knn`: distance to the nearest training image, 0-2, both features brought to
            length 1; `mahalanobis`: squared distance to the nearest class; `energy`: minus the logarithm of the summed
            exponentials of the logits.
        """
        if self.kind is NoveltyKind.energy:
            return np.asarray(-logsumexp(np.asarray(outputs, dtype=np.float64), axis=1))
        measure = self._measure_knn() if self.kind is NoveltyKind.knn else self._measure_mahalanobis()
        blocks = [measure(_bring_to_length_1(features[at : at + _STEP])) for at in range(0, len(features), _STEP)]
        return np.concatenate([np.empty(0), *blocks])

    def score_own(self) -> Floats:
        """Novelty of the training images that the bank of `knn` holds, each with itself left out.

        Returns:
            Shape (B,). An image that is measured against itself would never be strange.

        Raises:
            ConfigError: The kind keeps no training images.
        """
        if self.kind is not NoveltyKind.knn:
            message = f"novelty {self.kind.value!r} keeps no training images: only 'knn' does."
            raise ConfigError(message)
        bank = self._wide[BANK]
        own = np.empty(len(bank))
        for at in range(0, len(bank), _STEP):
            alike = bank[at : at + _STEP] @ bank.T
            alike[np.arange(len(alike)), np.arange(at, at + len(alike))] = -1.0
            own[at : at + _STEP] = _to_distance(alike.max(axis=1))
        return own

    def to_dict(self) -> dict[str, Any]:
        """What is not an array, as plain values, ready for JSON."""
        return {"kind": self.kind.value}

    @classmethod
    def from_parts(cls, content: dict[str, Any], arrays: Arrays) -> "NoveltyReference":
        """Rebuilds a reference from `to_dict`'s result and its arrays.

        Raises:
            ArtifactError: The kind is unknown, or the arrays are not those of this kind.
        """
        known = [kind.value for kind in _NAMES]
        if content.get("kind") not in known:
            message = f"novelty is of kind {content.get('kind')!r}, known are {', '.join(known)}: evaluate again."
            raise ArtifactError(message)
        kind = NoveltyKind(content["kind"])
        if set(arrays) != _NAMES[kind]:
            message = f"novelty {kind.value!r} needs the arrays {sorted(_NAMES[kind])}, got {sorted(arrays)}."
            raise ArtifactError(message)
        return cls(kind, dict(arrays))

    @cached_property
    def _wide(self) -> dict[str, NDArray[np.float32]]:
        # Kept: a service asks for one photograph at a time, and widening the numbers costs more than using them.
        return {name: array.astype(np.float32) for name, array in self.arrays.items()}

    def _measure_knn(self) -> "_Measure":
        bank = self._wide[BANK]
        return lambda unit: _to_distance((unit @ bank.T).max(axis=1))

    def _measure_mahalanobis(self) -> "_Measure":
        means, axes, spreads = (self._wide[name] for name in (MEANS, AXES, SPREADS))
        rest = float(self.arrays[REST][0])
        # Distance in all directions alike, corrected along the axes whose variance is known one by one.
        gains = np.sqrt(np.maximum(1 / rest - 1 / spreads, 0.0))
        centres, centres_along = means.astype(np.float64), ((means @ axes.T) * gains).astype(np.float64)

        def measure(unit: NDArray[np.float32]) -> Floats:
            whole = unit.astype(np.float64)
            along = (whole @ axes.T) * gains
            squares = _square_distances(whole, centres) / rest - _square_distances(along, centres_along)
            return np.asarray(squares.min(axis=1))

        return measure


_Measure = Callable[[NDArray[np.float32]], Floats]


def fit_novelty(
    kind: NoveltyKind,
    features: NDArray[np.float32],
    outputs: Floats,
    classes: NDArray[np.int64] | None,
    *,
    seed: int,
    groups: NDArray[np.object_] | None = None,
) -> NoveltyReference:
    """Learns what training images look like.

    `knn` (Sun 2022, arXiv 2204.06507) with one neighbour; `mahalanobis` (Lee 2018, arXiv 1807.03888) on features of
    length 1, with the covariance within classes shrunk as in Ledoit and Wolf 2004 (doi 10.1016/S0047-259X(03)00096-4);
    `energy` (Liu 2020, arXiv 2010.03759).

    Args:
        kind: How novelty is measured; `auto` takes the best of the benchmark.
        features: Features of the training images, shape (N, F), float32.
        outputs: What the network says of them, shape (N, outputs).
        classes: Class of each, shape (N,), int64; None for numbers.
        seed: Seed of what is drawn when there are more images than a bank holds (5,000, fewer of long features).
        groups: Group of each, shape (N,), so that a bank is drawn evenly over them; None when every image is its own.

    Raises:
        ConfigError: Energy is asked for, but the answers are numbers; or novelty is not to be measured.
    """
    kind = _BEST if kind is NoveltyKind.auto else kind
    if kind is NoveltyKind.energy:
        if classes is None or outputs.shape[1] < 2:
            message = (
                "evaluate.novelty=energy is made from the logits of two or more classes, but the model predicts "
                "numbers: use knn or mahalanobis."
            )
            raise ConfigError(message)
        return NoveltyReference(kind)
    if kind is NoveltyKind.none:
        message = "evaluate.novelty=none: there is nothing to learn."
        raise ConfigError(message)
    labels = np.zeros(len(features), dtype=np.int64) if classes is None else classes
    if kind is NoveltyKind.mahalanobis:
        return NoveltyReference(kind, _fit_mahalanobis(_bring_to_length_1(features), labels))
    most = max(1, min(_MOST_IMAGES, _MOST_BANK_BYTES // (2 * features.shape[1])))
    chosen = _draw_evenly(labels, groups, most, np.random.default_rng(seed))
    return NoveltyReference(kind, {BANK: _bring_to_length_1(features[chosen]).astype(np.float16)})


def _bring_to_length_1(features: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.asarray(features, dtype=np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _TINY), dtype=np.float32)


def _to_distance(alike: NDArray[np.float32]) -> Floats:
    return np.sqrt(np.maximum(2.0 - 2.0 * alike.astype(np.float64), 0.0))


def _square_distances(points: Floats, centres: Floats) -> Floats:
    """Squared distance of each point (N, F) to each centre (C, F), shape (N, C)."""
    products = points @ centres.T
    return np.asarray((points**2).sum(axis=1)[:, None] - 2 * products + (centres**2).sum(axis=1))


def _draw_evenly(
    labels: NDArray[np.int64], groups: NDArray[np.object_] | None, most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Places of at most `most` images: of every class as many, and of every group of a class as many."""
    if len(labels) <= most:
        return np.arange(len(labels))
    owners = np.arange(len(labels)) if groups is None else np.unique(groups.astype(str), return_inverse=True)[1]
    order = rng.permutation(len(labels))
    in_group = _count_earlier(labels[order] * (int(owners.max()) + 1) + owners[order])
    # First one image of every group, then a second one; and of those one of every class, then a second one.
    order = order[np.argsort(in_group, kind="stable")]
    in_class = _count_earlier(labels[order])
    return np.sort(order[np.argsort(in_class, kind="stable")][:most])


def _count_earlier(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each key has occurred before, shape (N,)."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(keys)])
    earlier = np.empty(len(keys), dtype=np.int64)
    earlier[order] = np.arange(len(keys)) - np.repeat(starts, lengths)
    return earlier


def _fit_mahalanobis(unit: NDArray[np.float32], labels: NDArray[np.int64]) -> Arrays:
    values = unit.astype(np.float64)
    present, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(present), values.shape[1]))
    np.add.at(means, place, values)
    means /= sizes[:, None]
    centred = values - means[place]
    covariance = centred.T @ centred / len(centred)
    width = len(covariance)
    level = max(float(np.trace(covariance)) / width, _TINY)
    covariance = _shrink(centred, covariance, level)
    spreads, axes = np.linalg.eigh(covariance)
    kept = min(_MOST_AXES, width - 1)
    rest = float(spreads[: width - kept].mean())
    # Noise in the estimate must not make a leading axis narrower than what is left.
    leading = np.maximum(spreads[width - kept :], rest)
    return {
        MEANS: means.astype(np.float32),
        AXES: np.ascontiguousarray(axes[:, width - kept :].T, dtype=np.float32),
        SPREADS: leading.astype(np.float32),
        REST: np.array([rest], dtype=np.float32),
    }


def _shrink(centred: Floats, covariance: Floats, level: float) -> Floats:
    """The covariance drawn towards a sphere as far as its noise asks for (Ledoit and Wolf 2004)."""
    images, width = centred.shape
    squares = centred**2
    noise = float((squares.T @ squares).sum() / images - (covariance**2).sum()) / (width * images)
    apart = float(((covariance - level * np.eye(width)) ** 2).sum()) / width
    share = 1.0 if apart <= 0 else min(max(noise, 0.0) / apart, 1.0)
    return (1 - share) * covariance + share * level * cast("Floats", np.eye(width))
