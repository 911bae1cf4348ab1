"""How often sets and intervals held the truth: over all images, in each class or decile, and in the worst groups."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, find_bounds
from phytoscope.evaluate.class_sums import divide
from phytoscope.schema.trust_report import CoverageRow

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WORST_GROUPS: Final = 5
"""Groups that are named one by one."""
LEAST_IMAGES: Final = 2
"""Images from which on a group is named: of a single one, every miss looks like a share of 0."""


def describe_coverage(
    held: npt.NDArray[np.bool_],
    size: FloatArray,
    groups: npt.NDArray[Any],
    *,
    what: str,
    kinds: IntArray,
    names: Sequence[str],
    plan: BootstrapPlan,
) -> list[CoverageRow]:
    """Coverage with intervals by groups.

    Args:
        held: Whether each set or interval held the truth, shape (N,), bool, N at least 1.
        size: Number of classes, or width in the unit of the target, shape (N,), float64.
        groups: Group of each image, shape (N,).
        what: What the images are told apart by: `class` or `decile`.
        kinds: Which class or decile each image is of, shape (N,), int64, 0 to len(names) - 1.
        names: Names of the classes or deciles.
        plan: How intervals are made.

    Returns:
        First the row `all`, then one row for each kind that occurs, then at most five groups that were held least
        often, among those with two images or more that miss something.
    """
    sampler = GroupSampler(groups, plan)
    place = sampler.units * len(names) + kinds
    shape = (sampler.n_units, len(names))
    counts = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    hits = np.bincount(place, weights=held, minlength=counts.size).reshape(shape)
    sums = np.column_stack([hits.sum(axis=1), hits, counts.sum(axis=1), counts])
    shares = sampler.replicate(sums).map(lambda part: {"share": divide(*np.split(part, 2, axis=1))})["share"]
    behind = np.append(sampler.n_groups, sampler.count_groups(kinds, len(names)))
    low, high = find_bounds(shares, behind, plan.confidence, share=True)
    sizes = np.bincount(kinds, weights=size, minlength=len(names))
    rows = []
    for column, name in enumerate(["all", *names]):
        n = int(sums[:, 1 + len(names) + column].sum())
        if n > 0:
            mean = float(size.mean()) if column == 0 else float(sizes[column - 1] / n)
            row = CoverageRow(
                what="all" if column == 0 else what,
                name=name,
                n=n,
                n_groups=int(behind[column]),
                coverage=float(shares.whole[0, column]),
                low=_to_value(low[column]),
                high=_to_value(high[column]),
                size=mean,
            )
            rows.append(row)
    return rows + _name_worst(held, size, groups, sampler.codes)


def _name_worst(
    held: npt.NDArray[np.bool_], size: FloatArray, groups: npt.NDArray[Any], codes: IntArray
) -> list[CoverageRow]:
    count = np.bincount(codes)
    share, mean = np.bincount(codes, weights=held) / count, np.bincount(codes, weights=size) / count
    eligible = np.flatnonzero((count >= LEAST_IMAGES) & (share < 1.0))
    worst = eligible[np.lexsort((-count[eligible], share[eligible]))][:WORST_GROUPS]
    first = {code: int(np.argmax(codes == code)) for code in worst.tolist()}
    return [
        CoverageRow(
            "group", str(groups[first[code]]), int(count[code]), 1, float(share[code]), None, None, float(mean[code])
        )
        for code in worst.tolist()
    ]


def _to_value(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
