"""Pairs of 64-bit hashes that differ in few bits, without comparing every hash with every other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError
from phytoscope.schema.progress import Progress
from phytoscope.transforms.stream import map_ordered

BITS = 64
MOST_BITS = 12
"""Largest distance that is offered; beyond it, unrelated pictures are as close as copies."""
_LEAST_BANDS = 3
_MOST_BANDS = 8
_QUERIES_PER_BLOCK = 65_536
_LEAST_LOOKED_AT = 32
# Candidates and matches that one thread holds at a time; about 30 bytes each.
_MOST_CANDIDATES = 4_000_000


@dataclass(frozen=True)
class HashPairs:
    """Pairs of positions, each pair once, sorted.

    Attributes:
        first: The smaller position, shape (P,), int64.
        second: The larger position, shape (P,), int64.
        distance: Differing bits of the closest variants, shape (P,), int64.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.int64]


def find_close_hashes(
    hashes: NDArray[np.uint64], *, distance: int, limit: int | None, workers: int | None, progress: Progress
) -> HashPairs:
    """Finds pairs of hashes that differ in few bits, in time that grows linearly with their number.

    Two hashes that differ in `distance` bits agree nearly in at least one of a few bands of bits (pigeonhole
    principle; multi-index hashing, Norouzi et al. 2014, doi 10.1109/TPAMI.2013.231). Each band has a sorted index that
    is asked for the band of each hash and for all bands that differ from it in a few bits.

    Without a limit all pairs are found, and there may be as many as the square of the number of hashes. With a limit,
    each hash keeps so many of its nearest, a hash that has them is not searched for further, and of an overfull place
    in the index only the neighbours in the sorted order of the whole hash are looked at. That is enough to find out
    which hashes hang together, but not every pair of a crowd: of planted copies, up to 2 bits from their original, all
    were found among spread-out hashes, 99 % in crowds of 1,000 look-alikes and 94 % in one crowd of 100,000.

    Args:
        hashes: Shape (N, V), uint64: one row a picture, first its own hash, then those of its variants (mirrored,
            turned); a pair is close when any variant of one is close to the own hash of the other. Own hashes should
            differ from each other, because equal ones crowd the index.
        distance: Most bits that may differ, 0 to `MOST_BITS`.
        limit: Most neighbours that are kept of each hash; None keeps all.
        workers: Threads; None takes one per core.
        progress: Told about every block of hashes.

    Raises:
        ConfigError: The distance or the limit is out of range.
    """
    if not 0 <= distance <= MOST_BITS:
        message = f"the distance between hashes is {distance} bits, allowed is 0 to {MOST_BITS}."
        raise ConfigError(message)
    if limit is not None and limit < 1:
        message = f"the limit is {limit} neighbours of a hash, allowed is 1 or more."
        raise ConfigError(message)
    search = _Search(hashes, distance, limit)
    step = max(1, _QUERIES_PER_BLOCK // max(1, hashes.shape[1]))
    blocks = [(start, min(start + step, len(hashes))) for start in range(0, len(hashes), step)]
    progress.start("Comparing hashes", len(blocks))
    found = list(map_ordered(lambda block: search.look_up(*block), blocks, workers, progress))
    progress.finish()
    first, differing, second = _unpack(np.concatenate([np.empty(0, np.int64), *found]), len(hashes))
    low, high = np.minimum(first, second), np.maximum(first, second)
    # Most pairs were found from both sides.
    chosen = _closest_of_each(low, high, differing)
    return HashPairs(low[chosen], high[chosen], differing[chosen])


@dataclass(frozen=True)
class _Band:
    """Bits of one band: how far they are shifted, how many they are, and how many of them may differ."""

    shift: int
    bits: int
    radius: int

    def masks(self, flips: int) -> NDArray[np.uint64]:
        """All ways in which exactly so many bits of the band differ, as its lowest bits."""
        return np.array(
            [sum(1 << bit for bit in flipped) for flipped in combinations(range(self.bits), flips)], dtype=np.uint64
        )


def _cut_bands(count: int, distance: int) -> list[_Band]:
    # If every band differed in more than its radius, all together would differ in at least distance + 1 bits.
    bands = []
    shift = 0
    for number in range(count):
        bits = BITS // count + (number < BITS % count)
        radius = (distance + 1) // count - 1 + (number < (distance + 1) % count)
        if radius >= 0:
            bands.append(_Band(shift, bits, radius))
        shift += bits
    return bands


def _choose_bands(n_hashes: int, distance: int) -> list[_Band]:
    # Per hash: the places looked at, what is found there by chance, and its share of setting up the places.
    def cost(bands: list[_Band]) -> float:
        return math.fsum(
            sum(math.comb(band.bits, flips) for flips in range(band.radius + 1)) * (1 + n_hashes / 2.0**band.bits)
            + 2.0**band.bits / (10 * max(1, n_hashes))
            for band in bands
        )

    return min((_cut_bands(count, distance) for count in range(_LEAST_BANDS, _MOST_BANDS + 1)), key=cost)


class _Search:
    def __init__(self, hashes: NDArray[np.uint64], distance: int, limit: int | None) -> None:
        self.hashes = hashes
        self.distance = distance
        self.limit = limit
        self.indexes = [_BandIndex(hashes[:, 0], band, limit) for band in _choose_bands(len(hashes), distance)]

    def look_up(self, start: int, stop: int) -> NDArray[np.int64]:
        """Matches of the hashes from `start` to `stop`, packed by `_pack`, sorted, each once."""
        found: list[NDArray[np.int64]] = []
        owners = np.arange(start, stop)
        for flips in range(max(index.band.radius for index in self.indexes) + 1):
            queries = self.hashes[owners].ravel()
            owner_of = np.repeat(owners, self.hashes.shape[1])
            for index in self.indexes:
                for query, other, differing in index.near(queries, flips, self.distance):
                    owner = owner_of[query]
                    real = owner != other
                    found.append(_pack(owner[real], differing[real], other[real], len(self.hashes)))
                    if sum(map(len, found)) > _MOST_CANDIDATES:
                        found = [self._prune(found)]
            found = [self._prune(found)]
            if self.limit is not None:
                # A hash in a crowd has its neighbours by now; looking further would only find more of the crowd.
                counts = np.bincount(_unpack(found[0], len(self.hashes))[0] - start, minlength=stop - start)
                owners = start + np.flatnonzero(counts < self.limit)
        return found[0]

    def _prune(self, found: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        n = len(self.hashes)
        packed = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        first, differing, second = _unpack(packed, n)
        # The same two hashes were met in several bands and variants; the closest meeting counts.
        packed = np.sort(packed[_closest_of_each(first, second, differing)])
        if self.limit is None:
            return packed
        first = _unpack(packed, n)[0]
        starts = np.searchsorted(first, first)
        kept: NDArray[np.int64] = packed[np.arange(len(packed)) - starts < self.limit]
        return kept


class _BandIndex:
    """All hashes sorted with the band's bits in front, and where each value of the band begins."""

    def __init__(self, hashes: NDArray[np.uint64], band: _Band, limit: int | None) -> None:
        self.band = band
        self.turn = (BITS - band.shift - band.bits) % BITS
        self.down = np.uint64(BITS - band.bits)
        self.most = None if limit is None else max(_LEAST_LOOKED_AT, 2 * limit)
        turned = _rotate(hashes, self.turn)
        self.order = np.argsort(turned, kind="stable")
        self.values = turned[self.order]
        self.begins = np.zeros(2**band.bits + 1, np.int64)
        np.cumsum(np.bincount((self.values >> self.down).astype(np.int64), minlength=2**band.bits), out=self.begins[1:])

    def near(
        self, queries: NDArray[np.uint64], flips: int, distance: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Yields positions of queries, positions of hashes close to them, and the differing bits.

        Only hashes whose band differs in exactly `flips` bits are found; none beyond the band's radius.
        """
        if flips > self.band.radius:
            return
        turned = _rotate(queries, self.turn)
        for mask in self.band.masks(flips) << self.down:
            begins, counts = self._range(turned ^ mask)
            for start, stop in _cut_by_sum(counts):
                part = counts[start:stop]
                query = np.repeat(np.arange(start, stop), part)
                place = np.arange(len(query)) + np.repeat(begins[start:stop] - np.cumsum(part) + part, part)
                differing = np.bitwise_count(self.values[place] ^ turned[query])
                close = np.flatnonzero(differing <= distance)
                yield query[close], self.order[place[close]], differing[close].astype(np.int64)

    def _range(self, wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        bucket = (wanted >> self.down).astype(np.int64)
        begins = self.begins[bucket]
        counts = self.begins[bucket + 1] - begins
        if self.most is None:
            return begins, counts
        over = np.flatnonzero(counts > self.most)
        if len(over):
            # Sorted neighbours share the bits after the band too, so the nearest are likely to be among them.
            middle = np.searchsorted(self.values, wanted[over]) - self.most // 2
            begins[over] = np.clip(middle, begins[over], begins[over] + counts[over] - self.most)
            counts[over] = self.most
        return begins, counts


def _cut_by_sum(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _MOST_CANDIDATES, side="right")))
        yield start, stop
        start = stop


def _closest_of_each(
    first: NDArray[np.int64], second: NDArray[np.int64], differing: NDArray[np.int64]
) -> NDArray[np.int64]:
    order = np.lexsort((differing, second, first))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    return order[is_first]


def _rotate(hashes: NDArray[np.uint64], turn: int) -> NDArray[np.uint64]:
    if turn == 0:
        return hashes
    return (hashes << np.uint64(turn)) | (hashes >> np.uint64(BITS - turn))


def _pack(
    first: NDArray[np.int64], differing: NDArray[np.int64], second: NDArray[np.int64], n_hashes: int
) -> NDArray[np.int64]:
    # One number a match is sorted many times faster than three; nearest first within each hash.
    return (first * (MOST_BITS + 1) + differing) * n_hashes + second


def _unpack(packed: NDArray[np.int64], n_hashes: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    rest, second = np.divmod(packed, max(1, n_hashes))
    first, differing = np.divmod(rest, MOST_BITS + 1)
    return first, differing, second
