"""Near-duplicate search side by side: every hash with every other (imagehash) against the banded index.

Usage: python benchmarks/near_duplicates.py [PHOTOS] [N ...]

Both sides get the same hashes of 64 bits: random ones, a tenth of them planted copies of another, up to 4 bits apart.
Comparing all takes too long above 3,000, so that larger N (default 10,000, 100,000 and 1,000,000) are run by the index
alone. The index is timed twice: with the pictures' own hashes as imagehash has them, and with all eight mirrored and
turned versions, which imagehash does not search. Making the hashes is no part of these times. With PHOTOS, a folder of
images, the whole way from files to pairs is timed too: imagehash's phash and all pairs against one pass over the
pixels, search and comparison of pixels.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phytoscope.data.copies.duplicates import find_near_duplicates
from phytoscope.data.copies.hash_index import find_close_hashes
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.schema.image_facts import REASON
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import IMAGE_SUFFIXES

DISTANCE = 8
BOTH = (1_000, 3_000)
MORE = (10_000, 100_000, 1_000_000)
MOST_PHOTOS = 3_000
Pairs = set[tuple[int, int]]


def plant_hashes(n: int, seed: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Draws hashes of eight versions each, and for the last tenth of them the row each is a copy of."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, 8), dtype=np.uint64)
    copies = n // 10
    sources = rng.integers(0, n - copies, copies)
    copied = hashes[sources, 0]
    for _ in range(4):
        copied = copied ^ np.left_shift(np.uint64(1), rng.integers(0, 64, copies).astype(np.uint64))
    hashes[n - copies :, 0] = copied
    return hashes, sources


def compare_all(hashes: list[imagehash.ImageHash]) -> Pairs:
    """All pairs of imagehash's own objects within the distance."""
    return {
        (first, second)
        for first in range(len(hashes))
        for second in range(first + 1, len(hashes))
        if hashes[first] - hashes[second] <= DISTANCE
    }


def search(hashes: NDArray[np.uint64], limit: int | None) -> tuple[float, Pairs]:
    """Seconds and pairs of the index."""
    started = time.perf_counter()
    pairs = find_close_hashes(hashes, distance=DISTANCE, limit=limit, workers=None, progress=SilentProgress())
    seconds = time.perf_counter() - started
    return seconds, set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def as_objects(hashes: NDArray[np.uint64]) -> list[imagehash.ImageHash]:
    """The same hashes as imagehash holds them."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1).astype(bool)
    return [imagehash.ImageHash(row.reshape(8, 8)) for row in bits]


def run_hashes(n: int) -> str:
    """One row of the table of hashes."""
    hashes, sources = plant_hashes(n)
    copies = range(n - len(sources), n)
    theirs, found = "-", None
    slow = 0.0
    if n in BOTH:
        objects = as_objects(hashes[:, 0].copy())
        started = time.perf_counter()
        found = compare_all(objects)
        slow = time.perf_counter() - started
        theirs = f"{slow:.2f}"
    own_seconds, own = search(hashes[:, :1].copy(), None)
    seconds, pairs = search(hashes, 16)
    recall = np.mean([pair in pairs for pair in zip(sources.tolist(), copies, strict=True)])
    agreement = "-" if found is None else ("same pairs" if found == own else f"{len(found ^ own)} differ")
    ratio = "-" if found is None else f"{slow / own_seconds:.0f}"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cells = [f"{n:,}", theirs, f"{own_seconds:.2f}", ratio, agreement, f"{len(own):,}"]
    return f"| {' | '.join([*cells, f'{seconds:.2f}', f'{recall:.4f}', f'{memory:.2f}'])} |"


def run_photos(folder: Path) -> None:
    """Times the whole way from files to pairs on photographs."""
    paths = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)[:MOST_PHOTOS]
    started = time.perf_counter()
    objects = []
    for path in paths:
        with Image.open(path) as image:
            objects.append(imagehash.phash(image))
    hashed = time.perf_counter() - started
    found = compare_all(objects)
    theirs = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as kept:
        started = time.perf_counter()
        facts = read_image_facts(paths, Path(kept), max_megapixels=100, workers=None, progress=SilentProgress())
        read = time.perf_counter() - started
        readable = np.flatnonzero((facts.table[REASON] == "").to_numpy())
        pairs = find_near_duplicates(facts, readable, progress=SilentProgress())
        ours = time.perf_counter() - started
    own = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    print(f"\n{len(paths)} photographs of {folder}, from files to pairs:")
    print(f"imagehash: {theirs:.1f} s ({hashed:.1f} s hashing), {len(found)} pairs within {DISTANCE} bits")
    print(
        f"phytoscope: {ours:.1f} s ({read:.1f} s one pass for all image checks), {pairs.candidates} candidates over "
        f"all versions, {len(own)} confirmed on pixels, {len(own & found)} of them among imagehash's pairs"
    )
    print(f"without the reading: {theirs - hashed:.2f} s against {ours - read:.2f} s")


def main(words: list[str]) -> None:
    """Prints the tables."""
    sizes = [int(word.replace(",", "")) for word in words if word.replace(",", "").isdigit()]
    print(f"Hashes of 64 bits, pairs within {DISTANCE} bits, seconds")
    print("| N | all pairs | index | ratio | agreement | pairs | index, 8 versions | planted found | memory GiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in (*BOTH, *(sizes or MORE)):
        print(run_hashes(n), flush=True)
    for word in words:
        if not word.replace(",", "").isdigit():
            run_photos(Path(word))


if __name__ == "__main__":
    main(sys.argv[1:])
