"""The index finds the pairs that comparing all with all finds, and stays linear where hashes crowd."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phytoscope.data.copies.hash_index import MOST_BITS, Scheme, choose_scheme, find_close_hashes
from phytoscope.errors import ConfigError
from phytoscope.schema.progress import SilentProgress


def flip(hashes, bits, rng):
    """Flip up to `bits` bits of each hash."""
    for _ in range(bits):
        hashes = hashes ^ np.left_shift(np.uint64(1), rng.integers(0, 64, hashes.shape).astype(np.uint64))
    return hashes


def plant(n, variants, seed, most=MOST_BITS + 2):
    """Random hashes, half of them a few bits from a variant of another one."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, variants), dtype=np.uint64)
    for number in range(max(1, n // 2), n):
        source = hashes[rng.integers(0, number), rng.integers(0, variants)]
        hashes[number, 0] = flip(source, int(rng.integers(0, most + 1)), rng)
    return hashes


def find(hashes, distance, limit=None, scheme=None):
    pairs = find_close_hashes(
        hashes, distance=distance, limit=limit, workers=2, progress=SilentProgress(), scheme=scheme
    )
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distance.tolist(), strict=True))


def compare_all(hashes, distance):
    differing = np.bitwise_count(hashes[:, None, :] ^ hashes[None, :, :1]).min(axis=2)
    differing = np.minimum(differing, differing.T)
    first, second = np.nonzero(np.triu(differing <= distance, 1))
    return list(zip(first.tolist(), second.tolist(), differing[first, second].tolist(), strict=True))


@pytest.mark.parametrize("distance", range(MOST_BITS + 1))
def test_all_pairs_are_found_at_every_distance(distance):
    """Six hundred hashes with their eight variants give the same pairs as comparing each with each."""
    hashes = plant(600, 8, seed=distance)
    expected = compare_all(hashes, distance)
    assert len(expected) > 20
    assert find(hashes, distance) == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(1, 8), st.integers(0, MOST_BITS), st.integers(0, 999))
def test_index_agrees_with_comparing_all(n, variants, distance, seed):
    """Whatever the number of hashes and variants, none at all included."""
    hashes = plant(n, variants, seed)
    assert find(hashes, distance) == compare_all(hashes, distance)


SCHEMES = [Scheme(8, 3), Scheme(9, 3), Scheme(10, 3), Scheme(11, 3), Scheme(12, 4), Scheme(10, 2), Scheme(3, 3)]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_every_scheme_is_exact_as_far_as_it_says(scheme):
    """Up to its exact distance a scheme finds all pairs and their distance, beyond it some, and never a wrong one."""
    hashes = plant(600, 8, seed=2)
    found, expected = set(find(hashes, MOST_BITS, scheme=scheme)), set(compare_all(hashes, MOST_BITS))
    assert found <= expected
    assert {pair for pair in expected if pair[2] <= scheme.exact} <= found


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(1, 60), st.integers(1, 8), st.integers(0, 999))
def test_schemes_agree_with_comparing_all(scheme, n, variants, seed):
    """Whatever the hashes: within the exact distance, a limit that nobody reaches changes nothing."""
    hashes = plant(n, variants, seed)
    distance = min(scheme.exact, MOST_BITS)
    assert find(hashes, distance, limit=n, scheme=scheme) == compare_all(hashes, distance)


@pytest.mark.parametrize(
    ("scheme", "distance", "share"), [(Scheme(10, 3), 8, 0.972), (Scheme(9, 3), 7, 0.947), (Scheme(9, 3), 8, 0.828)]
)
def test_recall_beyond_the_exact_distance(scheme, distance, share):
    """Of three thousand planted pairs with bits changed at random places, as many are found as the docstring says."""
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    places = rng.permuted(np.tile(np.arange(64, dtype=np.uint64), (3000, 1)), axis=1)[:, :distance]
    copies = originals ^ np.bitwise_or.reduce(np.uint64(1) << places, axis=1)
    pairs = {pair[:2] for pair in find(np.concatenate([originals, copies])[:, None], distance, 16, scheme)}
    assert np.mean([(number, 3000 + number) in pairs for number in range(3000)]) == pytest.approx(share, abs=0.015)


def test_choice_of_scheme():
    """Few hashes are searched exactly; many, and those that share most of their bits, at least up to five bits."""
    rng = np.random.default_rng(0)
    few, many = rng.integers(0, 2**64, 2000, dtype=np.uint64), rng.integers(0, 2**64, 600_000, dtype=np.uint64)
    assert choose_scheme(few, 8, limit=16).exact >= 8
    assert choose_scheme(many, 8, limit=16).exact == 7
    assert choose_scheme(few & np.uint64(0x00FF00FF00FF00FF), 8, limit=None).exact >= 8
    assert choose_scheme(many & np.uint64(0x00FF00FF00FF00FF), 8, limit=16).exact >= 5


@pytest.mark.parametrize(("bands", "kept"), [(8, 0), (8, 9), (65, 2)])
def test_impossible_scheme_is_refused(bands, kept):
    """The message names the numbers that were asked for."""
    with pytest.raises(ConfigError, match=f"{kept} of {bands} bands make no key: allowed are 1"):
        Scheme(bands, kept)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, MOST_BITS))
def test_equal_and_extreme_hashes(values, distance):
    """Repeated hashes, 0 and all ones are hashes like others."""
    hashes = np.array([*values, *values[:3], 0, 2**64 - 1], dtype=np.uint64)[:, None]
    assert find(hashes, distance) == compare_all(hashes, distance)


def test_limit_keeps_the_nearest():
    """With room for three neighbours, a pair stays when it is among the nearest of either side."""
    hashes = plant(1000, 8, seed=1)
    everything, limited = find(hashes, 8), find(hashes, 8, limit=3)
    assert set(limited) <= set(everything)
    nearest = {
        min((pair[2], pair) for pair in everything if number in pair[:2])[1] for number in {p[0] for p in limited}
    }
    assert len(nearest - set(limited)) <= 0.02 * len(nearest)


def test_crowd_of_look_alikes_hangs_together_with_few_pairs():
    """Fifteen hundred hashes around one give no millions of pairs, and nearly all planted copies are among them."""
    rng = np.random.default_rng(0)
    hashes = flip(np.full(1500, 0x0123456789ABCDEF, dtype=np.uint64), 5, rng)
    hashes[1400:] = flip(hashes[:100], 1, rng)
    pairs = {pair[:2] for pair in find(hashes[:, None], 8, limit=16)}
    assert len(pairs) <= 16 * len(hashes)
    assert sum((number, 1400 + number) in pairs for number in range(100)) >= 95


@pytest.mark.parametrize(
    ("distance", "limit", "match"), [(13, None, "13 bits.*0 to 12"), (-1, 4, "-1"), (8, 0, "limit is 0")]
)
def test_impossible_search_is_refused(distance, limit, match):
    """The message names what was asked for and what is allowed."""
    with pytest.raises(ConfigError, match=match):
        find(plant(5, 1, 0), distance, limit)
