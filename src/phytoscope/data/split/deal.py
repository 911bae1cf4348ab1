"""Deals groups of images out to parts so that every part has its share of every stratum."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOTAL_WEIGHT = 0.25
_TOTAL_WEIGHT_OF_LARGE = 0.5
_PRESENCE = 0.5
_DIGITS = 9
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15

Held = list[tuple[int, int]]
"""Strata of one group with their images."""


@dataclass(frozen=True)
class GroupCounts:
    """How many images of which stratum each group holds, as the rows of a sparse table.

    Attributes:
        starts: Where each group's entries begin, shape (n_groups + 1,), int64; the last is the number of entries.
        strata: Stratum of each entry, counted from 0, shape (n_entries,), int64.
        images: Images of that stratum in that group, above 0, shape (n_entries,), int64.
    """

    starts: NDArray[np.int64]
    strata: NDArray[np.int64]
    images: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.starts) - 1

    def of(self, keep: NDArray[np.bool_]) -> "GroupCounts":
        """The counts of some groups only.

        Args:
            keep: Which groups, shape (n_groups,), bool.
        """
        lengths = np.diff(self.starts)
        entries = np.repeat(keep, lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
        return GroupCounts(starts, self.strata[entries], self.images[entries])


def count_groups(groups: NDArray[np.int64], strata: NDArray[np.int64], n_groups: int) -> GroupCounts:
    """Counts the images of each stratum in each group.

    Args:
        groups: Group of each image, counted from 0, shape (n_images,), int64.
        strata: Stratum of each image, counted from 0, shape (n_images,), int64.
        n_groups: Number of groups; each of them has an image.
    """
    n_strata = int(strata.max(initial=0)) + 1
    keys, images = np.unique(groups * n_strata + strata, return_counts=True)
    lengths = np.bincount(keys // n_strata, minlength=n_groups)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return GroupCounts(starts, keys % n_strata, images.astype(np.int64))


def deal_groups(
    counts: GroupCounts, shares: Sequence[float], seed: int, *, everywhere: bool = False
) -> NDArray[np.int64]:
    """Deals all groups out, the large ones first, each to the part that is furthest behind its share of the stratum.

    Only parts that still have room for half the group are asked, so large groups stand in every part and the small
    ones even out what is left. Groups that are alike are dealt in one go, so the time grows with the number of images
    and not with images times strata. The numbers are reckoned without any library's random generator or reordered
    sums: the same on every machine.

    Args:
        counts: Images of each stratum in each group, groups in an order that does not depend on the rows.
        shares: Share of each part, above 0, together 1.
        seed: Seed of the order in which groups of like size are dealt; any whole number.
        everywhere: Whether each stratum's first group goes to the first part, and a stratum with at least 1 / share
            groups must stand in the part with that share.

    Returns:
        Part of each group, counted from 0, shape (n_groups,), int64. No part is empty unless there are fewer groups
        than parts.
    """
    order, bounds = _find_runs(counts, seed)
    dealer = _Dealer(counts, shares, everywhere=everywhere)
    dealt = np.full(counts.n_groups, -1, dtype=np.int64)
    for (begin, end), held in zip(bounds, _iterate_held(counts, order, bounds), strict=True):
        position = begin
        spare = 2 * len(shares)
        if end - begin > 2 * spare:
            for part, number in enumerate(dealer.take_many(held, end - begin - spare)):
                dealt[order[position : position + number]] = part
                position += number
        for group in order[position:end].tolist():
            dealt[group] = dealer.take_one(held)
    return dealt


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # SplitMix64 (Steele et al. 2014, doi 10.1145/2660193.2660195): whole numbers only, so alike on every machine and
    # in every release, which random generators do not promise.
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _find_runs(counts: GroupCounts, seed: int) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """The order of dealing, and the runs of groups in it that hold the same numbers of the same strata."""
    digest = hashlib.sha256(str(int(seed)).encode()).digest()
    start = np.frombuffer(digest[:8], dtype="<u8").astype(np.uint64)
    ranks = np.arange(1, counts.n_groups + 1, dtype=np.uint64)
    drawn = _mix(_mix(ranks * np.uint64(_GOLDEN_GAMMA) + start) + start)
    entries = _mix(counts.strata.astype(np.uint64) * np.uint64(_GOLDEN_GAMMA) + counts.images.astype(np.uint64))
    kinds = _mix(np.add.reduceat(entries, counts.starts[:-1]) + _mix(~start))
    sizes = np.add.reduceat(counts.images, counts.starts[:-1])
    # Half octaves: within one, the order is the seed's, otherwise groups of different size would always come alike.
    _, octave = np.frexp(sizes.astype(np.float64) ** 2)
    order = np.lexsort((drawn, kinds, -octave))
    changes = np.flatnonzero(kinds[order][1:] != kinds[order][:-1]) + 1
    edges = [0, *changes.tolist(), len(order)]
    return order.astype(np.int64), list(itertools.pairwise(edges))


def _iterate_held(counts: GroupCounts, order: NDArray[np.int64], bounds: list[tuple[int, int]]) -> Iterator[Held]:
    first = order[[begin for begin, _ in bounds]]
    strata, images = counts.strata.tolist(), counts.images.tolist()
    for begin, end in zip(counts.starts[first].tolist(), counts.starts[first + 1].tolist(), strict=True):
        yield list(zip(strata[begin:end], images[begin:end], strict=True))


class _Dealer:
    """What each part has so far. Plain numbers added up one by one: `sum` rounds otherwise in newer Pythons."""

    def __init__(self, counts: GroupCounts, shares: Sequence[float], *, everywhere: bool) -> None:
        self.shares = [float(share) for share in shares]
        self.parts = range(len(shares))
        n_strata = int(counts.strata.max(initial=0)) + 1
        self.total = np.bincount(counts.strata, weights=counts.images, minlength=n_strata).astype(np.int64).tolist()
        self.groups_left = np.bincount(counts.strata, minlength=n_strata).tolist()
        self.dealt = [0] * n_strata
        self.had = [[0] * len(shares) for _ in range(n_strata)]
        self.all_total = int(counts.images.sum())
        self.all_dealt = 0
        self.all_had = [0] * len(shares)
        self.left = counts.n_groups
        # Strata of a single group: that group has to be learned from, so it fills no other part.
        self.lone = {stratum for stratum, number in enumerate(self.groups_left) if everywhere and number == 1}
        self.everywhere = everywhere
        self.required = [
            [part for part in self.parts if everywhere and round(number * self.shares[part], _DIGITS) >= 1]
            for number in self.groups_left
        ]

    def take_one(self, held: Held) -> int:
        """Deals one group."""
        size, unit = _measure(held)
        best, best_score = -1, (False, -math.inf)
        for part in self._find_allowed(held):
            room = self._room(held, size, part)
            behind = self._behind(held, size, part, 1)
            if all(self.had[stratum][part] == 0 for stratum, _ in held):
                behind += _PRESENCE * unit
            all_room = self.shares[part] * self.all_total - self.all_had[part]
            fits = round(2 * room - unit, _DIGITS) >= 0 and round(2 * all_room - size, _DIGITS) >= 0
            # Of what has been dealt so far: a large part lacks most of the whole until the end, and would take all.
            all_behind = min(all_room, self.shares[part] * (self.all_dealt + size) - self.all_had[part])
            score = (fits, round(behind if fits else room + _TOTAL_WEIGHT_OF_LARGE * all_behind, _DIGITS))
            if score > best_score:
                best, best_score = part, score
        self._book(held, size, best, 1)
        return best

    def take_many(self, held: Held, number: int) -> list[int]:
        """Deals up to `number` groups that hold the same; what cannot be told in whole groups is left over."""
        size, unit = _measure(held)
        taken = [0 for _ in self.parts]
        active = list(self.parts)
        while active and number > 0:
            scores = [self._behind(held, size, part, number) + unit + _TOTAL_WEIGHT * size for part in active]
            ideal = _fill_up(scores, unit + _TOTAL_WEIGHT * size, number)
            room = [max(0, math.floor(round(self._room(held, size, part) / unit, _DIGITS))) for part in active]
            grants = [min(math.floor(round(want, _DIGITS)), most) for want, most in zip(ideal, room, strict=True)]
            for part, grant in zip(active, grants, strict=True):
                self._book(held, size, part, grant)
                taken[part] += grant
                number -= grant
            still = [part for part, grant, most in zip(active, grants, room, strict=True) if grant < most]
            if len(still) == len(active):
                break
            active = still
        return taken

    def _find_allowed(self, held: Held) -> list[int]:
        # The last groups are kept for parts that have none yet.
        allowed = list(self.parts)
        empty = [part for part in self.parts if self.all_had[part] == 0]
        free = self.left - (0 if any(stratum in self.lone for stratum, _ in held) else len(self.lone))
        if len(empty) >= free:
            allowed = empty or allowed
        if not self.everywhere:
            return allowed
        if 0 in allowed and any(self.had[stratum][0] == 0 for stratum, _ in held):
            return [0]
        for stratum, _ in held:
            lacking = [part for part in self.required[stratum] if self.had[stratum][part] == 0]
            if len(lacking) >= self.groups_left[stratum]:
                allowed = [part for part in allowed if part in lacking] or allowed
        return allowed

    def _room(self, held: Held, size: int, part: int) -> float:
        room = 0.0
        for stratum, images in held:
            room += images * (self.shares[part] * self.total[stratum] - self.had[stratum][part])
        return room / size

    def _behind(self, held: Held, size: int, part: int, number: int) -> float:
        """How far a part will be behind its share when `number` such groups are dealt, the last of them to it."""
        share, behind = self.shares[part], 0.0
        for stratum, images in held:
            due = share * (self.dealt[stratum] + number * images)
            behind += images * (due - self.had[stratum][part] - images)
        # Each small stratum is rounded; what a part has had too little of all strata together evens that out.
        due = share * (self.all_dealt + number * size)
        return behind / size + _TOTAL_WEIGHT * (due - self.all_had[part] - size)

    def _book(self, held: Held, size: int, part: int, number: int) -> None:
        for stratum, images in held:
            self.had[stratum][part] += number * images
            self.dealt[stratum] += number * images
            self.groups_left[stratum] -= number
            if number > 0:
                self.lone.discard(stratum)
        self.all_had[part] += number * size
        self.all_dealt += number * size
        self.left -= number


def _measure(held: Held) -> tuple[int, float]:
    size = square = 0
    for _, images in held:
        size += images
        square += images * images
    return size, square / size


def _fill_up(scores: list[float], step: float, number: int) -> list[float]:
    """How often each score must be lowered by `step`, `number` times in all, so that the lowered ones are level."""
    level, total = -math.inf, 0.0
    for above, score in enumerate(sorted(scores, reverse=True), start=1):
        if score <= level:
            break
        total += score
        level = (total - number * step) / above
    return [max(0.0, (score - level) / step) for score in scores]
