"""Compares ways to ask whether the features of new photographs are those of the reference.

Usage: python benchmarks/drift/feature_tests.py DATA WEIGHTS [OUTPUT]

Arguments, model and photographs are those of `photographs.py`, which may have run before. Counted is how often each way
gets below 1 % with 199 permutations of the leaves.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photographs import collect, draw_batch
from sklearn.linear_model import LogisticRegression

from phytoscope.evaluate.drift import DriftSide
from phytoscope.evaluate.drift.kernel import average_kernel, find_components, find_width, map_features, whiten
from phytoscope.evaluate.drift.permute import compare_blocks
from phytoscope.evaluate.drift.pool import Pool, pool_sides
from phytoscope.schema.artifact import write_json

SIZES = (30, 100)
REPEATS = 20
CHANGES = ("as they were", "brightness +10 %", "another camera, hardly to be seen", "apple_field")
Floats = NDArray[np.float64]


def ask_plain(pool: Pool, rng: np.random.Generator) -> float:
    """Maximum mean discrepancy of the features as they are, Gaussian kernel with the median distance."""
    kernel = average_kernel(pool.features, pool.codes, find_width(pool.features, rng))
    return _permute(find_components(kernel), pool)


def ask_whitened(pool: Pool, rng: np.random.Generator) -> float:
    """The same of features of length 1, brought to 32 directions that count alike: what phytoscope does."""
    return _permute(map_features(pool, rng), pool)


def ask_classifier(pool: Pool, rng: np.random.Generator) -> float:
    """Classifier two-sample test (Lopez-Paz 2017): trained on half of the leaves, its score permuted on the others."""
    axes = whiten(pool.features)
    is_new = np.arange(pool.n_groups) >= pool.n_reference
    half = np.zeros(pool.n_groups, dtype=bool)
    for side in (is_new, ~is_new):
        places = rng.permutation(np.flatnonzero(side))
        half[places[: len(places) // 2]] = True
    train = half[pool.codes]
    model = LogisticRegression(class_weight="balanced", max_iter=500, C=0.1)
    model.fit(axes[train], is_new[pool.codes][train])
    score = pool.average(model.decision_function(axes)[:, None])[~half]
    sides = is_new[~half]
    ordered = np.concatenate([score[~sides], score[sides]])
    # One-sided: the score must be larger for new photographs.
    p_value = float(compare_blocks([ordered], int((~sides).sum()), int(sides.sum()), 0.0, 199, [0]).p_values[0])
    return p_value / 2 if score[sides].mean() > score[~sides].mean() else 1 - p_value / 2


WAYS: dict[str, Callable[[Pool, np.random.Generator], float]] = {
    "MMD, features as they are": ask_plain,
    "MMD, whitened": ask_whitened,
    "classifier": ask_classifier,
}


def _permute(columns: Floats, pool: Pool) -> float:
    return float(compare_blocks([columns], pool.n_reference, pool.n_new, 0.0, 199, [0]).p_values[0])


def measure(sides: dict[str, DriftSide]) -> list[dict[str, Any]]:
    """Share of looks below 1 %, for each change, size and way."""
    rows = []
    for name in CHANGES:
        for n in SIZES:
            row: dict[str, Any] = {"change": name, "photographs": n}
            for way, ask in WAYS.items():
                low = []
                for seed in range(REPEATS):
                    rng = np.random.default_rng([n, seed])
                    pool = pool_sides(*draw_batch(rng, sides["as they were"], sides[name], n), rng, 1000)
                    low.append(ask(pool, rng) <= 0.01)
                row[way] = float(np.mean(low))
            rows.append(row)
            print(row, flush=True)
    return rows


if __name__ == "__main__":
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else "runs/drift")
    folder.mkdir(parents=True, exist_ok=True)
    rows = measure(collect(Path(sys.argv[1]), Path(sys.argv[2]), folder))
    write_json(folder / "feature_tests.json", {"repeats": REPEATS, "rows": rows})
