"""How unlike the training images an image is, from its features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import NoveltyKind
from phytoscope.trust.observed import Floats


@dataclass(frozen=True)
class NoveltyReference:
    """What the training images look like to the network.

    Attributes:
        kind: How novelty is measured; never `auto` or `none`.
        arrays: Name -> array, float32, as the kind needs them (for example means, whitening, a bank of features).
    """

    kind: NoveltyKind
    arrays: dict[str, NDArray[np.float32]]

    def score(self, features: NDArray[np.float32], outputs: Floats) -> Floats:
        """Novelty of some images.

        Args:
            features: Pooled features, shape (N, F), float32.
            outputs: What the network says before it is turned into probabilities, shape (N, outputs).

        Returns:
            Shape (N,), larger is stranger.
        """
        return np.zeros(len(features))

    def to_dict(self) -> dict[str, Any]:
        """What is not an array, as plain values, ready for JSON."""
        return {"kind": self.kind.value}


def fit_novelty(
    kind: NoveltyKind, features: NDArray[np.float32], outputs: Floats, classes: NDArray[np.int64] | None, *, seed: int
) -> NoveltyReference:
    """Learns what training images look like.

    Args:
        kind: How novelty is measured; `auto` takes the best of the benchmark for the task.
        features: Features of the training images, shape (N, F), float32.
        outputs: What the network says of them, shape (N, outputs).
        classes: Class of each, shape (N,), int64; None for numbers.
        seed: Seed of what is drawn.
    """
    return NoveltyReference(NoveltyKind.knn if kind is NoveltyKind.auto else kind, {})
