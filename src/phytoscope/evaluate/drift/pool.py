"""Images of both sides put together so that, if nothing has changed, nobody can tell which side a group is from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.drift.side import DriftSide, join_sides
from phytoscope.schema.table import GROUP_ID

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Images of both sides, those of the reference first.

    Attributes:
        features: Shape (N, F), float32.
        table: One row per image.
        codes: Group of each image, shape (N,), int64: 0 to n_reference - 1 for groups of the reference, then those of
            the new images.
        n_reference: Groups of the reference.
        n_new: Groups of the new images.
    """

    features: npt.NDArray[np.float32]
    table: pd.DataFrame
    codes: IntArray
    n_reference: int
    n_new: int

    @property
    def n_groups(self) -> int:
        """Groups of both sides."""
        return self.n_reference + self.n_new

    def average(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Mean of each group, NaN left out.

        Args:
            values: Shape (N, M), float.

        Returns:
            Shape (groups, M), float64; NaN where a group has no value.
        """
        known = np.isfinite(values)
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(self.n_groups))
        sums = np.add.reduceat(np.where(known, values, 0.0)[order], starts, axis=0)
        counts = np.add.reduceat(known[order].astype(np.float64), starts, axis=0)
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def pool_sides(reference: DriftSide, new: DriftSide, rng: np.random.Generator, most: int | None) -> Pool:
    """Puts both sides together, with as many images a group on one side as on the other.

    The mean of a plant that was photographed ten times scatters less than that of one that was photographed once. Where
    one side has more photographs a plant, the sides would differ although no plant has changed; so the larger groups of
    each side are thinned out until both sides' sizes are alike, rank by rank.

    Args:
        reference: Images of the reference.
        new: New images. Where a group stands on both sides, its images count as two groups: they are more alike than
            chance, which can only hide a difference.
        rng: Source of chance.
        most: Images of each side that are kept, drawn by group; all when None.
    """
    parts = [_draw_groups(side, rng, most) for side in (reference, new)]
    codes = [pd.factorize(side.table[GROUP_ID], sort=False)[0].astype(np.int64) for side in parts]
    rows = match_sizes(codes[0], codes[1], rng)
    kept = [side.take(row) for side, row in zip(parts, rows, strict=True)]
    n_reference, n_new = (int(code.max()) + 1 for code in codes)
    joined = join_sides(kept)
    both = np.concatenate([codes[0][rows[0]], codes[1][rows[1]] + n_reference])
    return Pool(joined.features, joined.table, both, n_reference, n_new)


def match_sizes(first: IntArray, second: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Which images to keep so that groups of both sides are equally large.

    Args:
        first: Group of each image of one side, 0 to the number of groups minus 1, shape (N,), int64.
        second: The same of the other side, shape (M,).
        rng: Decides which images of a group are kept.

    Returns:
        Places of the kept images on each side, ascending, int64. No group is lost.
    """
    sizes = [np.bincount(codes) for codes in (first, second)]
    kept = []
    for codes, own, other in ((first, sizes[0], sizes[1]), (second, sizes[1], sizes[0])):
        ordered = np.sort(other)
        # The rank of a group among its own side -> the size of the other side's group of the same rank.
        rank = np.empty(len(own), dtype=np.int64)
        rank[np.argsort(own, kind="stable")] = np.arange(len(own))
        place = ((rank + 0.5) / len(own) * len(ordered)).astype(np.int64)
        wanted = np.minimum(own, ordered[place])
        kept.append(_keep(codes, wanted, rng))
    return kept[0], kept[1]


def _keep(codes: IntArray, wanted: IntArray, rng: np.random.Generator) -> IntArray:
    """A number of images of each group, by chance."""
    shuffled = rng.permutation(len(codes))
    by_group = shuffled[np.argsort(codes[shuffled], kind="stable")]
    ordered = codes[by_group]
    starts = np.searchsorted(ordered, np.arange(len(wanted)))
    within = np.arange(len(ordered)) - starts[ordered]
    return np.sort(by_group[within < wanted[ordered]])


def _draw_groups(side: DriftSide, rng: np.random.Generator, most: int | None) -> DriftSide:
    """Whole groups by chance until there are `most` images; the last one is cut off."""
    if most is None or len(side) <= most:
        return side
    codes = pd.factorize(side.table[GROUP_ID], sort=False)[0]
    turn = rng.permutation(int(codes.max()) + 1)
    order = np.argsort(turn[codes], kind="stable")
    return side.take(np.sort(order[:most]).astype(np.int64))
