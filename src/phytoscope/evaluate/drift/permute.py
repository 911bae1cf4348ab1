"""The significance of several differences at once, by dealing the groups anew to both sides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln
from scipy.stats import norm

from phytoscope.evaluate.drift.side import MOST_DRAWS

FloatArray = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.float32]], FloatArray]

_CHUNK: Final = 500
# Draws expected beyond the threshold, were the p-value exactly there: with one, chance decides too often.
_BEYOND: Final = 2.0
_TAIL: Final = 250
_SAME: Final = 1e-4
# With as many draws beyond it, a p-value is read off; with fewer, and no more to come, the tail is continued.
_FEW: Final = 10


@dataclass(frozen=True)
class Outcome:
    """What the permutations say.

    Attributes:
        statistics: Squared distance between both sides in each block, shape (blocks,), float64.
        expected: Its mean over all ways to deal the groups, shape (blocks,), float64.
        p_values: Of each block, adjusted for all blocks, 0-1, shape (blocks,), float64.
        draws: Permutations that were drawn.
    """

    statistics: FloatArray
    expected: FloatArray
    p_values: FloatArray
    draws: int


def compare_blocks(
    blocks: Sequence[FloatArray], n_reference: int, n_new: int, alpha: float, draws: int, seed: Sequence[int]
) -> Outcome:
    """Tests whether the groups' means differ between both sides, in several blocks of columns at once.

    Groups are dealt anew, not images, because photographs of one plant are alike. The statistic of a block is the
    squared length of the difference of the means over its columns: with columns of a kernel's feature map this is the
    squared maximum mean discrepancy (Gretton 2012, JMLR 13:723). To make blocks comparable each statistic is brought to
    about a standard normal by its permutation mean and variance (Wilson and Hilferty 1931, doi 10.1073/pnas.17.12.684);
    p-values come from the largest of them in each draw, so that the chance of any false alarm among all blocks is kept
    exactly, and most is gained where blocks say the same (Westfall and Young 1993).

    If the largest one cannot get below `alpha` any more, drawing stops after the first `draws`; otherwise there are as
    many as `alpha` needs. Where 200,000 are not enough, the tail beyond the 250 largest is taken as exponential in
    minus the logarithm of the normal tail, two standard errors flatter than fitted (after Knijnenburg 2009, doi
    10.1093/bioinformatics/btp211): from there on the promise is approximate.

    Args:
        blocks: Each of shape (groups, columns), float64, groups of the reference first; not NaN.
        n_reference: Groups of the reference.
        n_new: Groups of the new images.
        alpha: Threshold that decides, 0-1.
        draws: Draws of a look in which nothing stands out.
        seed: Seed of the draws.
    """
    scale = _Scale(blocks, n_reference, n_new)
    p_values, drawn = permute(scale.score, n_reference, n_new, alpha, draws, seed)
    statistics = scale.measure(mark_new(n_reference, n_new))[0]
    return Outcome(statistics, scale.mean, p_values, drawn)


def permute(
    score: Score, n_reference: int, n_new: int, alpha: float, draws: int, seed: Sequence[int]
) -> tuple[FloatArray, int]:
    """P-values of several scores, adjusted by the largest of them in each draw; see `compare_blocks`.

    Args:
        score: From ways to deal the groups, shape (draws, groups), float32, 1 for a new group and 0 for one of the
            reference, to scores of shape (draws, scores), float64; larger speaks more against chance, and about
            standard normal if nothing has changed.
        n_reference: Groups of the reference.
        n_new: Groups of the new images.
        alpha: Threshold that decides, 0-1; 0 for none.
        draws: Draws of a look in which nothing stands out.
        seed: Seed of the draws.

    Returns:
        P-values of shape (scores,), float64, 0-1, and how many permutations were drawn.
    """
    observed = score(mark_new(n_reference, n_new))[0]
    rng = np.random.default_rng(list(seed))
    wanted = count_draws(alpha, draws)
    # The decision is that of all wanted draws; drawing stops early only when it cannot become an alarm any more.
    exact = alpha * (wanted + 1) >= 1
    give_up = alpha * (wanted + 1) if exact else float(_FEW)
    largest: list[FloatArray] = []
    exceeding = np.zeros(len(observed), dtype=np.int64)
    drawn = 0
    while drawn < wanted and not (drawn >= draws and exceeding.min() + 1 > give_up):
        until = wanted if drawn >= draws else draws
        top = score(_deal(n_reference, n_new, min(_CHUNK, until - drawn), rng)).max(axis=1)
        # Equal ways to deal differ in the last digits.
        exceeding += (top[:, None] >= observed - _SAME).sum(axis=0)
        largest.append(top)
        drawn += len(top)
    p_values = (exceeding + 1) / (drawn + 1)
    if alpha > 0 and not exact and drawn == wanted:
        p_values = np.where(exceeding < _FEW, _extend(np.concatenate(largest), observed), p_values)
    return p_values, drawn


def count_draws(alpha: float, draws: int) -> int:
    """Permutations that a threshold needs, at least `draws` and at most 200,000."""
    return int(min(max(draws, np.ceil(_BEYOND / alpha)), MOST_DRAWS)) if alpha > 0 else draws


def find_least_p(n_reference: int, n_new: int) -> float:
    """Smallest chance that any difference can have: one over the number of ways to deal the groups.

    Args:
        n_reference: Groups of the reference.
        n_new: Groups of the new images.
    """
    ways = gammaln(n_reference + n_new + 1) - gammaln(n_reference + 1) - gammaln(n_new + 1)
    return float(np.exp(-ways))


class _Scale:
    """From a way to deal the groups to one comparable number for each block."""

    def __init__(self, blocks: Sequence[FloatArray], n_reference: int, n_new: int) -> None:
        n = n_reference + n_new
        # Sums over one side say all, once the columns sum to 0; single precision is enough for a rank.
        centred = [block - block.mean(axis=0) for block in blocks]
        self.columns = np.concatenate(centred, axis=1).astype(np.float32)
        self.starts = np.cumsum([0, *(block.shape[1] for block in blocks[:-1])])
        self.gain = (1 / n_reference + 1 / n_new) ** 2
        spread = self.gain * n_reference * n_new / (n * max(n - 1, 1))
        grams = [spread * block.T @ block for block in centred]
        self.mean = np.array([np.trace(gram) for gram in grams])
        variance = 2 * np.array([np.sum(gram**2) for gram in grams])
        self.varies = self.mean > 1e-12
        self.shape = np.divide(self.mean**2, variance, out=np.ones_like(variance), where=self.varies)

    def measure(self, sides: npt.NDArray[np.float32]) -> FloatArray:
        squares = np.asarray(sides @ self.columns, dtype=np.float64) ** 2
        return np.asarray(self.gain * np.add.reduceat(squares, self.starts, axis=1))

    def score(self, sides: npt.NDArray[np.float32]) -> FloatArray:
        statistics = self.measure(sides)
        relative = np.divide(statistics, self.mean, out=np.zeros_like(statistics), where=self.varies)
        ninth = 1 / (9 * self.shape)
        normal = (np.cbrt(relative) - (1 - ninth)) / np.sqrt(ninth)
        # A block in which nothing varies can never stand out.
        return np.asarray(np.where(self.varies, normal, -np.inf))


def mark_new(n_reference: int, n_new: int) -> npt.NDArray[np.float32]:
    """How the groups really are: shape (1, groups), float32, 1 for a new one."""
    is_new = np.arange(n_reference + n_new) >= n_reference
    return is_new[None].astype(np.float32)


def _deal(n_reference: int, n_new: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    taken = min(n_reference, n_new)
    keys = rng.random((draws, n_reference + n_new), dtype=np.float32)
    chosen = np.argpartition(keys, taken - 1, axis=1)[:, :taken]
    sides = np.full(keys.shape, float(n_new > n_reference), dtype=np.float32)
    np.put_along_axis(sides, chosen, float(n_new <= n_reference), axis=1)
    return sides


def _extend(largest: FloatArray, observed: FloatArray) -> FloatArray:
    """P-values beyond the last draw."""
    height = -norm.logsf(np.sort(largest)[-_TAIL:])
    edge = height[0]
    slope = (height - edge).mean() * (1 + 2 / np.sqrt(_TAIL))
    beyond = np.maximum(-norm.logsf(observed) - edge, 0.0)
    return np.asarray(_TAIL / (len(largest) + 1) * np.exp(-beyond / slope))
