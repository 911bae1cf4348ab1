"""In which parts of the images a challenger loses against the champion, by more than chance explains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.bootstrap import FloatArray, GroupSampler, IntArray
from phytoscope.evaluate.compare_places import Cut, iterate_cuts
from phytoscope.schema.promotion import SliceGain
from phytoscope.schema.table import PREDICTION_PREFIX, TARGET_PREFIX, Task

FLIPS: Final = 9999
"""Draws of signs behind each chance, so that one in ten thousand can be told."""
_CHUNK: Final = 250
_DECILES: Final = 10
_LARGEST_LOSS: Final = 99.0
"""Loss that stands for any larger one, where the champion makes next to no error."""
_SAME: Final = 1e-9


@dataclass(frozen=True)
class Duel:
    """Both models on the same images.

    Attributes:
        rows: Rows of the champion's table.
        others: Rows of the challenger's table, the same images in the same order.
        truth: Index of the true class, or true value, shape (N,).
        champion: Whether it is right (1 or 0), or the size of its error, shape (N,), float64.
        challenger: The same of the challenger.
        task: Classification or regression.
        class_names: In the order of the indices; empty for regression.
    """

    rows: pd.DataFrame
    others: pd.DataFrame
    truth: IntArray | FloatArray
    champion: FloatArray
    challenger: FloatArray
    task: Task
    class_names: list[str]


@dataclass(frozen=True)
class SliceRules:
    """When a slice speaks against a challenger.

    Attributes:
        margin: Loss that is allowed: points of accuracy (0-1), or a share of the champion's error.
        min_groups: Groups that a slice must have to be judged.
        level: Chance of blaming any slice where both models are equally good everywhere.
        seed: Seed of the draws.
    """

    margin: float
    min_groups: int
    level: float
    seed: int = 0


@dataclass(frozen=True)
class _Part:
    """A way to cut the images, and how both models do on each image; NaN where that is not known."""

    cut: Cut
    champion: FloatArray
    challenger: FloatArray


def measure_slices(
    duel: Duel, sampler: GroupSampler, rules: SliceRules, columns: Sequence[str] = ()
) -> list[SliceGain]:
    """Gains of the challenger by class or range of the true value, by column, and for further targets.

    A slice is called worse when the loss is larger than the margin and larger than chance explains. The chance comes
    from the paired sign-flip test over groups: where both models are equally good, each group's sum of differences
    could as well have the other sign (Phipson and Smyth 2010 on counting draws, doi 10.2202/1544-6115.1585). The level
    is held over all slices together (see `choose_clear`).

    Args:
        duel: Both models on the same images.
        sampler: Groups of these images.
        rules: When a slice speaks against the challenger.
        columns: Columns to cut by, beside those that are always looked at.

    Returns:
        Slices with at least one image, those that are called worse first, then the largest losses.

    Raises:
        ConfigError: There is no such column.
    """
    found: list[SliceGain] = []
    judged: list[int] = []
    differences: list[FloatArray] = []
    for part in _list_parts(duel, sampler, rules, columns):
        for code, name in enumerate(part.cut.names):
            rows = np.flatnonzero((part.cut.codes == code) & np.isfinite(part.champion + part.challenger))
            if len(rows) == 0:
                continue
            gain = _measure(part, name, rows, sampler, duel.task)
            if gain.n_groups >= rules.min_groups:
                better = part.challenger[rows] - part.champion[rows]
                better = better if duel.task is Task.classification else -better
                summed = np.bincount(sampler.units[rows], weights=better, minlength=sampler.n_units)
                differences.append(summed.astype(np.float64))
                judged.append(len(found))
            found.append(gain)
    if judged:
        table = np.stack(differences, axis=1)
        chances = flip_signs(table, rules.seed)
        clear = choose_clear(chances, rules.level, find_least_chances(table))
        for place, chance, is_clear in zip(judged, chances, clear, strict=True):
            gain = found[place]
            is_worse = bool(is_clear) and gain.gain < -rules.margin
            found[place] = SliceGain(**{**vars(gain), "p": float(chance), "worse": is_worse})
    return sorted(found, key=lambda gain: (not gain.worse, gain.gain))


def flip_signs(differences: FloatArray, seed: int) -> FloatArray:
    """Chance of a sum at most as large as the one found, where each group's difference has either sign.

    Args:
        differences: Sum of each group in each slice, shape (groups, slices), float64; above 0 is better.
        seed: Seed of the draws.

    Returns:
        Shape (slices,), float64, from 1 / 10,000 to 1.
    """
    rng = np.random.default_rng(seed)
    found = differences.sum(axis=0)
    # Sums of the same numbers in another order differ in the last digits.
    reach = found + _SAME * np.maximum(np.abs(differences).sum(axis=0), 1.0)
    below = np.zeros(differences.shape[1], dtype=np.int64)
    for start in range(0, FLIPS, _CHUNK):
        count = min(_CHUNK, FLIPS - start)
        signs = rng.integers(0, 2, (count, len(differences)), dtype=np.int8) * 2.0 - 1.0
        below += (signs @ differences <= reach).sum(axis=0)
    return np.asarray((1.0 + below) / (1.0 + FLIPS))


def find_least_chances(differences: FloatArray) -> FloatArray:
    """Smallest chance that sign flips could show in each slice: one over two to the number of groups that differ.

    Args:
        differences: Of shape (groups, slices), float64, as for `flip_signs`.

    Returns:
        Of shape (slices,), float64, above 0, at most 1.
    """
    sizes = np.abs(differences)
    return np.asarray(0.5 ** np.count_nonzero(sizes > _SAME * sizes.max(axis=0), axis=0))


def choose_clear(chances: FloatArray, level: float, least: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of several chances are too small to be chance, with one level for all of them.

    Those that could not be small enough, whatever the signs, cost nothing (Tarone 1990, doi 10.2307/2531456): else a
    class that is lost wholly would go unseen among many classes in which both models are alike. Over the others the
    level is held step by step (Holm 1979, jstor 4615733).

    Args:
        chances: Of shape (N,), float64, 0-1.
        level: Chance of choosing any where none should be, 0-1.
        least: Of shape (N,), float64, 0-1, the smallest value that each chance could have.

    Returns:
        Of shape (N,), bool.
    """
    count = next((k for k in range(1, len(least)) if np.count_nonzero(least <= level / k) <= k), len(least))
    places = np.flatnonzero(least <= level / count)
    order = places[np.argsort(chances[places], kind="stable")]
    allowed = level / np.arange(len(order), 0, -1)
    clear = np.zeros(len(chances), dtype=bool)
    clear[order] = np.logical_and.accumulate(chances[order] <= allowed)
    return clear


def _list_parts(duel: Duel, sampler: GroupSampler, rules: SliceRules, columns: Sequence[str]) -> Iterator[_Part]:
    # So few parts that each has enough groups to be judged, where that is possible.
    deciles = min(_DECILES, max(1, sampler.n_groups // rules.min_groups))
    for cut in iterate_cuts(duel.rows, duel.truth, duel.task, duel.class_names, columns, deciles):
        if len(cut.names) > 1:
            yield _Part(cut, duel.champion, duel.challenger)
    for column in map(str, duel.rows.columns):
        if duel.task is Task.regression and column.startswith(TARGET_PREFIX):
            name = column.removeprefix(TARGET_PREFIX)
            answer = PREDICTION_PREFIX + name
            if answer not in duel.rows or answer not in duel.others:
                continue
            truth = duel.rows[column].to_numpy(dtype=np.float64)
            sizes = [np.abs(table[answer].to_numpy(dtype=np.float64) - truth) for table in (duel.rows, duel.others)]
            yield _Part(Cut("target", [name], np.zeros(len(truth), dtype=np.int64)), sizes[0], sizes[1])


def _measure(part: _Part, name: str, rows: IntArray, sampler: GroupSampler, task: Task) -> SliceGain:
    champion, challenger = part.champion[rows].mean(), part.challenger[rows].mean()
    relative = find_relative_gain(np.array(champion), np.array(challenger))
    return SliceGain(
        what=part.cut.what,
        name=name,
        n=len(rows),
        n_groups=len(pd.unique(sampler.codes[rows])),
        champion=float(champion),
        challenger=float(challenger),
        gain=float(challenger - champion if task is Task.classification else relative),
        p=None,
        worse=False,
    )


def find_relative_gain(champion: FloatArray, challenger: FloatArray) -> FloatArray:
    """The share of the champion's error that the challenger does without, at most 1; -99 stands for any lower one.

    Args:
        champion: Errors of the champion, 0 or above, NaN where not defined, any shape.
        challenger: Errors of the challenger, of the same shape and in the same unit.

    Returns:
        Of the same shape, 0 where both make the same error, NaN where one is not defined.
    """
    share = np.full(champion.shape, _LARGEST_LOSS + 1.0)
    np.divide(challenger, champion, out=share, where=champion > 0)
    gain = np.where(challenger == champion, 0.0, np.clip(1.0 - share, -_LARGEST_LOSS, 1.0))
    return np.asarray(np.where(np.isfinite(champion + challenger), gain, np.nan))
