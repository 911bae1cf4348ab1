"""Who wins where: by class or size, by column, and the groups in which two models differ most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.bootstrap import FloatArray, GroupSampler, IntArray, find_bounds, is_clear
from phytoscope.evaluate.class_sums import divide
from phytoscope.evaluate.intervals import to_value
from phytoscope.evaluate.regression import describe_deciles
from phytoscope.evaluate.slices import MIN_GROUPS, MIN_IMAGES, choose_columns, cut_column
from phytoscope.schema.comparison import PlaceRow, Winner
from phytoscope.schema.table import Task

LISTED_GROUPS: Final = 6
"""Groups listed for each model: those where it is furthest ahead."""
_DECILES = 10


@dataclass(frozen=True)
class Wins:
    """How both models do on each image.

    Attributes:
        truth: Index of the true class, or true value, shape (N,).
        first: Whether the first is right (1 or 0), or the size of its error, shape (N,), float64.
        second: The same of the second.
        first_wins: Whether only the first is right, or it is closer, shape (N,), bool.
        second_wins: The same of the second.
        higher_is_better: Whether more of `first` is better.
    """

    truth: IntArray | FloatArray
    first: FloatArray
    second: FloatArray
    first_wins: npt.NDArray[np.bool_]
    second_wins: npt.NDArray[np.bool_]
    higher_is_better: bool


@dataclass(frozen=True)
class Cut:
    """One way to cut the images.

    Attributes:
        what: `class`, `decile` of the true value, or the name of a column.
        names: Names of the places.
        codes: Place of each image, shape (N,), int64, -1 for none.
    """

    what: str
    names: list[str]
    codes: IntArray


def compare_places(
    rows: pd.DataFrame,
    wins: Wins,
    sampler: GroupSampler,
    *,
    task: Task,
    class_names: list[str],
    slices: Sequence[str] = (),
) -> list[PlaceRow]:
    """Compares two models on parts of the images.

    A winner is named only where the difference is larger than chance explains with a level that is shared by all places
    (Bonferroni), and where there are at least 10 images of 3 groups.

    Args:
        rows: Rows of the table of predictions.
        wins: How both models do on each of them.
        sampler: Their groups and the draws.
        task: Classification or regression.
        class_names: In the order of the indices.
        slices: Columns asked for.

    Raises:
        ConfigError: A slice names no column.
    """
    cuts = list(iterate_cuts(rows, wins.truth, task, class_names, slices))
    n_places = sum(len(cut.names) for cut in cuts)
    level = (1.0 - sampler.plan.confidence) / max(1, n_places)
    found = [place for cut in cuts for place in _compare_cut(cut, wins, sampler, level)]
    return found + _find_groups(wins, sampler)


def iterate_cuts(
    rows: pd.DataFrame,
    truth: IntArray | FloatArray,
    task: Task,
    class_names: list[str],
    slices: Sequence[str],
    deciles: int = _DECILES,
) -> Iterator[Cut]:
    """The ways to cut some images: by class or by the true value, then by columns.

    Args:
        rows: Rows of the table of predictions.
        truth: Index of the true class, or true value, shape (N,).
        task: Classification or regression.
        class_names: In the order of the indices.
        slices: Columns asked for, beside those that are always looked at.
        deciles: Most parts of the range of true values.

    Raises:
        ConfigError: A slice names no column.
    """
    if task == Task.classification:
        yield Cut("class", class_names, truth.astype(np.int64))
    else:
        target = truth.astype(np.float64)
        parts = describe_deciles(target, target, deciles)
        codes = np.searchsorted(np.array([part.lower for part in parts]), target, side="right") - 1
        yield Cut("decile", [f"{part.lower:.4g} to {part.upper:.4g}" for part in parts], codes)
    for column in choose_columns(rows, slices):
        parted = cut_column(rows, column)
        if parted:
            codes = np.full(len(rows), -1, dtype=np.int64)
            for place, part in enumerate(parted):
                codes[part.rows] = place
            yield Cut(parted[0].column, [part.value for part in parted], codes)


def _compare_cut(cut: Cut, wins: Wins, sampler: GroupSampler, level: float) -> list[PlaceRow]:
    n, known = len(cut.names), cut.codes >= 0
    codes = cut.codes[known]

    def count(part: npt.NDArray[np.bool_]) -> IntArray:
        return np.bincount(codes, weights=part[known], minlength=n).astype(np.int64)

    def add_up(part: FloatArray) -> FloatArray:
        cells = sampler.units[known] * n + codes
        added = np.bincount(cells, weights=part[known], minlength=sampler.n_units * n)
        return added.astype(np.float64).reshape(sampler.n_units, n)

    def measure(sums: FloatArray) -> dict[str, FloatArray]:
        counts, first, second = (sums[:, i * n : (i + 1) * n] for i in range(3))
        return {"first": divide(first, counts), "second": divide(second, counts)}

    sums = [add_up(part) for part in (np.ones_like(wins.first), wins.first, wins.second)]
    values = sampler.replicate(np.concatenate(sums, axis=1)).map(measure)
    gap = values["second"].minus(values["first"])
    groups, images = sampler.count_groups(cut.codes, n), np.bincount(codes, minlength=n)
    judged = (images >= MIN_IMAGES) & (groups >= MIN_GROUPS)
    low, high = find_bounds(gap, groups, sampler.plan.confidence)
    clear = is_clear(gap, groups, level) & judged if sampler.plan.draws > 0 else np.zeros(n, dtype=bool)
    first_wins, second_wins = count(wins.first_wins), count(wins.second_wins)
    return [
        PlaceRow(
            what=cut.what,
            name=cut.names[place],
            n=int(images[place]),
            n_groups=int(groups[place]),
            first=float(values["first"].whole[0, place]),
            second=float(values["second"].whole[0, place]),
            low=to_value(low[place]) if judged[place] else None,
            high=to_value(high[place]) if judged[place] else None,
            first_wins=int(first_wins[place]),
            second_wins=int(second_wins[place]),
            winner=_choose_winner(float(gap.whole[0, place]), wins) if clear[place] else Winner.unclear,
        )
        for place in np.flatnonzero(images > 0)
    ]


def _choose_winner(gap: float, wins: Wins) -> Winner:
    return Winner.second if (gap > 0) == wins.higher_is_better else Winner.first


def _find_groups(wins: Wins, sampler: GroupSampler) -> list[PlaceRow]:
    """The groups in which one model is furthest ahead, without a verdict: one group decides nothing."""
    counts = np.bincount(sampler.codes, minlength=sampler.n_groups)
    if counts.max() < 2:
        return []
    first, second, first_wins, second_wins = (
        np.bincount(sampler.codes, weights=part, minlength=sampler.n_groups)
        for part in (wins.first, wins.second, wins.first_wins, wins.second_wins)
    )
    lead = (second - first) * (1 if wins.higher_is_better else -1)
    order = np.argsort(-lead, kind="stable")
    ahead = [place for place in order[:LISTED_GROUPS] if lead[place] > 0]
    behind = [place for place in order[::-1][:LISTED_GROUPS] if lead[place] < 0]
    return [
        PlaceRow(
            what="group",
            name=str(sampler.names[place]),
            n=int(counts[place]),
            n_groups=1,
            first=float(first[place] / counts[place]),
            second=float(second[place] / counts[place]),
            low=None,
            high=None,
            first_wins=int(first_wins[place]),
            second_wins=int(second_wins[place]),
            winner=Winner.unclear,
        )
        for place in [*ahead, *behind]
    ]
