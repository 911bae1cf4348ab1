"""Compares the checks of images of `phytoscope inspect` with cleanvision's, in time and in what is found.

Usage: python benchmarks/image_checks.py DATA [--images N] [--repeats N] [--seed N]

DATA is a folder of photographs, with sub-folders. The same images go through both, one after the other and in turns,
each time from nothing: phytoscope's whole pass over the pixels (all columns, hash and descriptor), the checks of
quality, exact and near duplicates; cleanvision's `Imagelab.find_issues()` as it comes. Into a copy of the folder are
planted dark, light, blurry, empty, odd-sized and copied pictures, so that there is something to be found.
"""

import argparse
import contextlib
import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from cleanvision import Imagelab
from PIL import Image, ImageEnhance, ImageFilter

from phytoscope.audit.quality import judge_quality
from phytoscope.data.copies.duplicates import find_near_duplicates
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import SHA256
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.stream import count_cores

Found = dict[str, set[str]]
PLANTED_SHARE = 50
PLAIN = 2.0
"""Standard deviation of each channel, in grey levels, below which nothing is to be seen."""
NAMES = {
    "dark": "dark",
    "light": "light",
    "blurry": "blurry",
    "low_information": "low_information",
    "odd_size": "odd_size",
    "odd_aspect_ratio": "odd_aspect",
    "grayscale": "greyscale",
}
"""Issue of cleanvision -> ours."""


def plant_faults(folder: Path, seed: int) -> Found:
    """Adds altered copies of some pictures and returns their names by kind."""
    rng = np.random.default_rng(seed)
    originals = sorted(folder.iterdir())
    makers: dict[str, Callable[[Image.Image], Image.Image]] = {
        "dark": lambda image: ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.08, 0.25))),
        "light": lambda image: image.point(lambda level: 248 + level * 7 // 255),
        "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.015, 0.03)) * image.width)),
        "low_information": lambda image: image.resize((1, 1)).resize(image.size),
        "odd_size": lambda image: image.resize((image.width * 5, image.height * 5)),
        "odd_aspect": lambda image: image.resize((image.width, max(1, image.height // 4))),
        "greyscale": lambda image: image.convert("L"),
        "near": lambda image: image.resize((image.width * 4 // 5, image.height * 4 // 5)),
    }
    planted: Found = {"exact": set()}
    each = max(3, len(originals) // (PLANTED_SHARE * len(makers)))
    for kind, make in makers.items():
        chosen = [originals[place] for place in rng.choice(len(originals), each, replace=False)]
        planted[kind] = {f"{kind}_{number}.jpg" for number in range(each)}
        for number, path in enumerate(chosen):
            make(Image.open(path).convert("RGB")).save(folder / f"{kind}_{number}.jpg", quality=85)
    for number, place in enumerate(rng.choice(len(originals), each, replace=False)):
        name = f"exact_{number}{originals[place].suffix}"
        shutil.copyfile(originals[place], folder / name)
        planted["exact"].add(name)
    return planted


def check_ours(paths: list[str], folder: Path) -> Found:
    """What phytoscope finds, by kind: names of files."""
    facts = read_image_facts(paths, folder, max_megapixels=100, workers=count_cores(), progress=SilentProgress())
    names = np.array([Path(path).name for path in paths])
    found = {
        issue.name: set(issue.sample_ids) for issue in judge_quality(facts.table, names.tolist(), examples=len(paths))
    }
    found["exact"] = set(names[facts.table[SHA256].duplicated(keep=False)])
    near = find_near_duplicates(facts, np.arange(len(paths)), progress=SilentProgress())
    found["near"] = set(names[np.concatenate([near.first, near.second])])
    return found


def check_theirs(paths: list[str]) -> Found:
    """What cleanvision finds, by our names of the kinds."""
    lab = Imagelab(filepaths=paths)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab.find_issues(n_jobs=count_cores(), verbose=False)
    names = np.array([Path(path).name for path in lab.issues.index])
    found = {ours: set(names[lab.issues[f"is_{theirs}_issue"].to_numpy()]) for theirs, ours in NAMES.items()}
    for kind in ("exact", "near"):
        found[kind] = set(names[lab.issues[f"is_{kind}_duplicates_issue"].to_numpy()])
    return found


def timed(work: Callable[[], Found]) -> tuple[Found, float, float]:
    """What was found, the seconds on the clock and the seconds of the processors, children included."""
    before, started = os.times(), time.perf_counter()
    found = work()
    seconds, after = time.perf_counter() - started, os.times()
    return found, seconds, sum(after[:4]) - sum(before[:4])


def print_found(ours: Found, theirs: Found, planted: Found) -> None:
    """Prints one row a kind: how many each found, and what of the other's and of the planted ones ours missed."""
    print("| kind | cleanvision | phytoscope | of cleanvision's found | planted | found | cleanvision found | missed |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in [*NAMES.values(), "exact", "near"]:
        mine, others, known = ours.get(kind, set()), theirs[kind], planted.get(kind, set())
        # A copy that is equal byte for byte is found, under whichever of the two names.
        alike = mine | (ours["exact"] if kind == "near" else set())
        missed = sorted(others - alike)
        cells = [kind, len(others), len(mine), f"{len(others & alike)} of {len(others)}", len(known)]
        cells += [len(known & alike), len(known & others), ", ".join(missed[:5]) or "-"]
        print("| " + " | ".join(map(str, cells)) + " |")


def explain_missed(ours: Found, theirs: Found, folder: Path) -> None:
    """Says of each near duplicate of cleanvision's that ours does not have what kind of picture it is."""
    for name in sorted(theirs["near"] - ours["near"] - ours["exact"]):
        pixels = np.asarray(Image.open(folder / name).convert("RGB"), dtype=float)
        colour = pixels.mean(axis=(0, 1)).round().astype(int).tolist()
        if pixels.std(axis=(0, 1)).max() < PLAIN:
            print(
                f"{name} is plain, of colour {colour}: no copy, it shares a coarse hash with plain pictures of others"
            )
        else:
            print(f"{name} was missed: look whether it is a copy")


def main() -> None:
    """Plants, measures in turns, and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=None, help="so many, drawn at random")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sources = sorted(path for path in given.data.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if given.images is not None and given.images < len(sources):
        order = np.random.default_rng(given.seed).permutation(len(sources))[: given.images]
        sources = [sources[place] for place in sorted(order)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        folder.mkdir()
        for number, path in enumerate(sources):
            shutil.copyfile(path, folder / f"{number:06d}{path.suffix.lower()}")
        planted = plant_faults(folder, given.seed)
        paths = sorted(map(str, folder.iterdir()))
        print(f"{len(paths)} images, {count_cores()} cores, {given.repeats} repeats in turns")
        rows = []
        for repeat in range(given.repeats):
            cold = Path(temporary) / f"facts{repeat}"
            ours, mine, my_cpu = timed(partial(check_ours, paths, cold))
            theirs, other, other_cpu = timed(partial(check_theirs, paths))
            rows.append((mine, other, other / mine, my_cpu, other_cpu, other_cpu / my_cpu))
            print(f"  {mine:.2f} s, cleanvision {other:.2f} s: {other / mine:.1f} times faster", flush=True)
        _, again, _ = timed(partial(check_ours, paths, cold))
        print_found(ours, theirs, planted)
        explain_missed(ours, theirs, folder)
    columns = ["phytoscope s", "cleanvision s", "ratio", "phytoscope CPU s", "cleanvision CPU s", "CPU ratio"]
    medians = pd.DataFrame(rows, columns=columns).median()
    print("\n".join(f"{name}: {value:.2f}" for name, value in medians.items()))
    print(f"phytoscope s, second pass: {again:.2f}")
    print(f"ratio, median of {given.repeats}: {statistics.median(row[2] for row in rows):.1f} times faster")


if __name__ == "__main__":
    main()
