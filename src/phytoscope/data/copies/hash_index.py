"""Pairs of 64-bit hashes that differ in few bits, without comparing every hash with every other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.transforms.stream import map_ordered

BITS = 64
MOST_BITS = 12
"""Largest distance that is offered; beyond it, unrelated pictures are as close as copies."""
# A distance is packed beside positions.
_DISTANCE_BITS = 4
_QUERIES_PER_BLOCK = 131_072
_KEYS_PER_ROUND = 12
# 2 to the 64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
_MIXER = np.uint64(0x9E3779B97F4A7C15)
_LEAST_LOOKED_AT = 32
# So many fit the processor's cache.
_CANDIDATES_PER_CHUNK = 262_144
_MOST_FOUND = 4_000_000
_MOST_KEPT = 4
_MOST_KEYS = 1_000
_LEAST_KEY_BITS = 8
_KEYS_MEASURED = 3
# In look-ups of a key, about 25 nanoseconds each.
_COST_OF_CANDIDATE = 1.0
_MOST_COST = 360.0
# Share of the hashes.
_TOLERATED = 0.01


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


@dataclass(frozen=True)
class Scheme:
    """How hashes are cut into bands; each choice of `kept` bands is a key, and hashes that share a key are compared.

    Attributes:
        bands: Bands of nearly equal width, 1-64.
        kept: Bands that make up a key, 1 to all of them.

    Raises:
        ConfigError: The bands make no key.
    """

    bands: int
    kept: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 1 <= self.kept <= self.bands <= BITS:
            message = f"{self.kept} of {self.bands} bands make no key: allowed are 1 to all of 1 to {BITS} bands."
            raise ConfigError(message)

    @property
    def exact(self) -> int:
        """Distance up to which hashes always share a key: so many bits leave `kept` bands untouched wherever they are.

        A pair that is further apart still shares one when its bits happen to lie close together.
        """
        return self.bands - self.kept

    def keys(self) -> NDArray[np.uint64]:
        """The bits of each key as a mask, shape (K,), shuffled, so that those asked first have little in common."""
        edges = [BITS * number // self.bands for number in range(self.bands + 1)]
        bands = [2**stop - 2**start for start, stop in pairwise(edges)]
        masks = np.array([sum(some) for some in combinations(bands, self.kept)], dtype=np.uint64)
        return np.random.default_rng(0).permutation(masks)


_LONGEST = Scheme(8, 3)


def choose_scheme(own: NDArray[np.uint64], distance: int, *, limit: int | None) -> Scheme:
    """Chooses the scheme that is exact as far as its work allows, and among those that are, the cheapest.

    Args:
        own: The hashes, shape (N,), uint64.
        distance: Most bits that may differ, 0 to `MOST_BITS`; no scheme needs to be exact beyond.
        limit: Most neighbours that are kept of each hash. With None, the whole distance is exact at any cost; otherwise
            the first 5 bits are, and more where the work of one hash stays bounded.
    """
    most = _most_looked_at(len(own), limit)
    # Crowds that the longest keys do not part are crowds of look-alikes; shorter keys must not make many more.
    tolerated = _measure(own, _LONGEST, most)[1] + _TOLERATED
    for wanted in range(distance, min(distance, _LONGEST.exact) - 1, -1):
        costs = {}
        for scheme in _list_schemes(wanted, len(own)):
            cost, crowded = _measure(own, scheme, most)
            if crowded <= tolerated:
                costs[scheme] = cost
        best = min(costs, key=costs.__getitem__, default=_LONGEST)
        if limit is None or (costs and costs[best] <= _MOST_COST):
            return best
    return _LONGEST


def _list_schemes(wanted: int, n_hashes: int) -> list[Scheme]:
    """Schemes that are exact up to the wanted distance or a little more, the shortest keys first."""
    widest = max(_LEAST_KEY_BITS, n_hashes.bit_length() + 3)
    return [
        Scheme(exact + kept, kept)
        for kept in range(1, _MOST_KEPT + 1)
        for exact in range(wanted, max(wanted, _LEAST_KEY_BITS - 1) + 1)
        if BITS * kept <= widest * (exact + kept) and math.comb(exact + kept, kept) <= _MOST_KEYS
    ]


def _measure(own: NDArray[np.uint64], scheme: Scheme, most: int) -> tuple[float, float]:
    """Work of looking up one hash among these, in keys asked for, and the share of places with more than `most`."""
    keys = scheme.keys()
    loads, crowded = [], []
    for key in keys[:_KEYS_MEASURED]:
        counts = np.unique(own & key, return_counts=True)[1]
        loads.append((counts * np.minimum(counts - 1, most)).sum() / max(1, len(own)))
        crowded.append(counts[counts > most].sum() / max(1, len(own)))
    return len(keys) * (1 + _COST_OF_CANDIDATE * float(np.mean(loads))), float(np.mean(crowded))


def _most_looked_at(n_hashes: int, limit: int | None) -> int:
    return n_hashes if limit is None else max(_LEAST_LOOKED_AT, 2 * limit)


def find_close_hashes(
    hashes: NDArray[np.uint64],
    *,
    distance: int,
    limit: int | None,
    workers: int | None,
    progress: Progress,
    scheme: Scheme | None = None,
) -> HashPairs:
    """Finds pairs of hashes that differ in few bits, in time that grows about linearly with their number.

    Hashes that differ in few bits agree in all bits of some bands (pigeonhole principle; Manku et al. 2007,
    doi 10.1145/1242572.1242592): for each choice of bands, an index is asked for the hashes that agree in them.

    Without a limit, all pairs are found, and there may be as many as the square of the number of hashes.

    With a limit, each hash keeps so many of its nearest, and the work for one hash is bounded. Outside of crowds, pairs
    up to 5 bits apart are all found, however many hashes there are. `choose_scheme` goes further where it can; for
    evenly spread hashes and a distance of 8 all pairs are found

    - up to 8 bits apart among up to 300,000 hashes;
    - up to 7 bits among up to 1,500,000, and 97 % of those 8 bits apart;
    - up to 6 bits among more, and 95 % and 83 % of those 7 and 8 bits apart.

    Where only 5 bits are exact, because hashes share most of their bits, 90, 72 and 53 % of those 6, 7 and 8 bits apart
    are found. All these shares are for pairs that differ in bits at random places.

    A crowd is where more hashes share a key than are looked at, twice the limit: then only neighbours in the sorted
    order of the hashes are compared, and a hash that has its limit of neighbours is not searched for further. That is
    enough to find out which hashes hang together, but not every pair: of planted copies up to 2 bits from their
    original, 99 % were found in crowds of 1,000 look-alikes and 89 % in one crowd of 100,000.

    Args:
        hashes: Shape (N, V), uint64: one row a picture, first its own hash, then those of its variants (mirrored,
            turned); a pair is close when any variant of one is close to the own hash of the other. Own hashes should
            differ from each other, because equal ones crowd the index.
        distance: Most bits that may differ, 0 to `MOST_BITS`.
        limit: Most neighbours that are kept of each hash; None keeps all.
        workers: Threads; None takes one per core.
        progress: Told about every block of hashes.
        scheme: How the hashes are cut, which decides up to where the search is exact; None lets `choose_scheme` do so.

    Raises:
        ConfigError: The distance or the limit is out of range.
    """
    if not 0 <= distance <= MOST_BITS:
        message = f"the distance between hashes is {distance} bits, allowed is 0 to {MOST_BITS}."
        raise ConfigError(message)
    if limit is not None and limit < 1:
        message = f"the limit is {limit} neighbours of a hash, allowed is 1 or more."
        raise ConfigError(message)
    own = np.ascontiguousarray(hashes[:, 0])
    scheme = scheme if scheme is not None else choose_scheme(own, distance, limit=limit)
    step = max(1, _QUERIES_PER_BLOCK // max(1, hashes.shape[1]))
    owners = [np.arange(start, min(start + step, len(hashes))) for start in range(0, len(hashes), step)]
    blocks = [_Block(hashes, some, distance, limit) for some in owners]
    keys = scheme.keys()
    progress.start("Comparing hashes", len(blocks) * math.ceil(len(keys) / _KEYS_PER_ROUND))
    for start in range(0, len(keys), _KEYS_PER_ROUND):
        _ask(blocks, own, keys[start : start + _KEYS_PER_ROUND], limit, workers, progress)
    progress.finish()
    return _collect([block.found for block in blocks], len(hashes))


def _ask(
    blocks: list["_Block"],
    own: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    limit: int | None,
    workers: int | None,
    progress: Progress,
) -> None:
    indexes = list(map_ordered(lambda key: _KeyIndex(own, key, limit), keys, workers, SilentProgress()))
    for _ in map_ordered(lambda block: block.look_up(indexes), blocks, workers, progress):
        pass


class _Block:
    """Some of the hashes, and what was found for them so far.

    Attributes:
        found: Matches as `_pack` has them, sorted, each pair once, shape (M,), int64.
    """

    def __init__(self, hashes: NDArray[np.uint64], owners: NDArray[np.int64], distance: int, limit: int | None) -> None:
        self.found = np.empty(0, np.int64)
        self._hashes = hashes
        self._owners = owners
        self._distance = distance
        self._limit = limit
        self._bits = _position_bits(len(hashes))

    def look_up(self, indexes: list["_KeyIndex"]) -> None:
        """Adds what is found by these keys; hashes that have enough neighbours are not looked up again."""
        queries = self._hashes[self._owners].ravel()
        found = [self.found]
        for index in indexes:
            for query, other, differing in index.near(queries, self._distance):
                owner = self._owners[query // self._hashes.shape[1]]
                real = np.flatnonzero(owner != other)
                found.append(_pack(owner[real], other[real], differing[real], self._bits))
            if sum(map(len, found)) > _MOST_FOUND:
                found = [self._prune(found)]
        self.found = self._prune(found)
        if self._limit is not None:
            # A hash in a crowd has its neighbours by now; looking further would only find more of the crowd.
            first = _unpack(self.found, self._bits)[0]
            counts = np.searchsorted(first, self._owners, side="right") - np.searchsorted(first, self._owners)
            self._owners = self._owners[counts < self._limit]

    def _prune(self, found: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        packed = _closest_of_each(np.concatenate(found))
        if self._limit is None:
            return packed
        first, _, differing = _unpack(packed, self._bits)
        nearest_first = np.lexsort((differing, first))
        ranks = np.arange(len(first)) - np.searchsorted(first, first)
        return packed[np.sort(nearest_first[ranks < self._limit])]


class _KeyIndex:
    """All hashes sorted by the place that their key gives them, and where each place begins.

    Different keys may share a place; what stands there is compared bit by bit anyway.

    Args:
        hashes: Shape (N,), uint64.
        key: Mask of the bits that count.
        limit: Most neighbours that are kept of each hash; None looks at all that share a place.
    """

    def __init__(self, hashes: NDArray[np.uint64], key: np.uint64, limit: int | None) -> None:
        self._key = key
        self._place_bits = len(hashes).bit_length() + 2
        self._most = _most_looked_at(len(hashes), limit)
        places = self._places_of(hashes)
        sorting = self._sorting(hashes, places)
        self._order = np.argsort(sorting)
        self._hashes = hashes[self._order]
        counts = np.bincount(places, minlength=2**self._place_bits)
        self._filled = counts > 0
        self._begins = np.zeros(len(counts) + 1, np.int32)
        np.cumsum(counts, out=self._begins[1:])
        self._sorted = sorting[self._order] if counts.max() > self._most else None

    def near(
        self, queries: NDArray[np.uint64], distance: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Yields positions of queries, positions of hashes close to them that share the key, and the differing bits."""
        places = self._places_of(queries)
        hits = np.flatnonzero(self._filled.take(places))
        begins, counts = self._range(queries, hits, places[hits])
        for start, stop in _cut_by_sum(counts):
            part = counts[start:stop]
            query = np.repeat(hits[start:stop], part)
            place = np.arange(len(query)) + np.repeat(begins[start:stop] - np.cumsum(part) + part, part)
            differing = np.bitwise_count(self._hashes.take(place) ^ queries.take(query))
            close = np.flatnonzero(differing <= distance)
            yield query[close], self._order[place[close]], differing[close].astype(np.int64)

    def _range(
        self, queries: NDArray[np.uint64], hits: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        begins = self._begins.take(places).astype(np.int64)
        counts = self._begins.take(places + 1) - begins
        if self._sorted is not None:
            over = np.flatnonzero(counts > self._most)
            # Sorted neighbours share their first bits too, so the nearest are likely to be among them.
            wanted = self._sorting(queries[hits[over]], places[over])
            middle = np.searchsorted(self._sorted, wanted) - self._most // 2
            begins[over] = np.clip(middle, begins[over], begins[over] + counts[over] - self._most)
            counts[over] = self._most
        return begins, counts

    def _places_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        # Multiplicative hashing: the highest bits of the product depend on all bits of the key.
        return (((hashes & self._key) * _MIXER) >> np.uint64(BITS - self._place_bits)).view(np.int64)

    def _sorting(self, hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The place, followed by the hash from below the key's lowest bit on, shape (N,), uint64."""
        lowest = (int(self._key) & -int(self._key)).bit_length() - 1
        # Twice, because a shift by all 64 bits is undefined.
        rest = (hashes << np.uint64(BITS - 1 - lowest) << np.uint64(1)) | (hashes >> np.uint64(lowest))
        return (places.view(np.uint64) << np.uint64(BITS - self._place_bits)) | (rest >> np.uint64(self._place_bits))


def _cut_by_sum(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CANDIDATES_PER_CHUNK, side="right")))
        yield start, stop
        start = stop


def _collect(found: list[NDArray[np.int64]], n_hashes: int) -> HashPairs:
    bits = _position_bits(n_hashes)
    packed = [np.empty(0, np.int64)]
    while found:
        first, second, differing = _unpack(found.pop(), bits)
        packed.append(_pack(np.minimum(first, second), np.maximum(first, second), differing, bits))
    # Most pairs were found from both sides.
    return HashPairs(*_unpack(_closest_of_each(np.concatenate(packed)), bits))


def _position_bits(n_hashes: int) -> int:
    return max(1, (n_hashes - 1).bit_length())


def _closest_of_each(packed: NDArray[np.int64]) -> NDArray[np.int64]:
    packed = np.sort(packed)
    pair = packed >> _DISTANCE_BITS
    is_first = np.ones(len(packed), bool)
    np.not_equal(pair[1:], pair[:-1], out=is_first[1:])
    chosen: NDArray[np.int64] = packed[is_first]
    return chosen


def _pack(
    first: NDArray[np.int64], second: NDArray[np.int64], differing: NDArray[np.int64], bits: int
) -> NDArray[np.int64]:
    # One number a match is sorted many times faster than three.
    packed: NDArray[np.int64] = (((first << bits) | second) << _DISTANCE_BITS) | differing
    return packed


def _unpack(packed: NDArray[np.int64], bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    pair = packed >> _DISTANCE_BITS
    return pair >> bits, pair & (2**bits - 1), packed & (2**_DISTANCE_BITS - 1)
