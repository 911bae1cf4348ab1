"""How cost grows with the number of images: table, validation, copies, groups and split, without any pixel.

Usage: python benchmarks/scale.py [--largest 1000000] [--output docs/images/scale.png]

Writes made-up tables of 1,000 up to LARGEST rows (plants with five photographs each, some faults, some copies), and
takes each through the package's own functions, every stage in a process of its own. Prints seconds and peak memory,
draws both against the number of rows, and writes the numbers beside the picture as JSON.
"""

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.copies.groups import join_groups
from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.data.readers.read_labels import read_labels
from phytoscope.data.split import find_thin_strata, hash_manifest, hash_split, split_by_group
from phytoscope.data.validate import validate_source
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.image_facts import (
    BRIGHTNESS,
    CAMERA,
    CHANNELS,
    EXIF_ORIENTATION,
    EXIF_TIME,
    FORMAT,
    PERCEPTUAL_HASH,
    PERCEPTUAL_HASH_VARIANTS,
    REASON,
    SMALL_COLUMNS,
)
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import GREEN_PX, GROUP_ID, HEIGHT_PX, PATH, SHA256, WIDTH_PX, Task
from phytoscope.visualize.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    paper_style,
    save_figures,
)

SMALLEST = 1_000
PHOTOS_A_PLANT = 5
STAGES = ("read the table", "validate", "find copies", "join groups", "split", "hash versions")
COLOURS = dict(zip(STAGES, (BLUE, ORANGE, PURPLE, SKY, GREEN, VERMILION), strict=True))
RULE = "weight_g = shoot_g + root_g"
BYTES_PER_GB = 1e9


def config_of(folder: Path) -> DataConfig:
    """Settings for the made-up table, as a user would write them."""
    return DataConfig(
        kind=DataKind.table,
        table=str(folder / "labels.csv"),
        images=str(folder / "images"),
        target="weight_g",
        group_by=["experiment", "plant"],
        target_min=0.0,
        rules=[RULE],
    )


def make_table(folder: Path, n_rows: int) -> None:
    """Write a table of plants: 1 % of the weights are missing, 0.1 % negative, and 0.1 % break a rule."""
    rng = np.random.default_rng(n_rows)
    plant = np.arange(n_rows) // PHOTOS_A_PLANT
    # All photographs of a plant have its weight, so copies among them contradict nobody.
    shoot, root = (rng.lognormal(mean, 1, plant[-1] + 1).round(4)[plant] for mean in (-2, -3))
    weight = (shoot + root).round(4)
    weight[rng.random(n_rows) < 0.01] = np.nan
    weight[rng.random(n_rows) < 0.001] *= -1
    weight[rng.random(n_rows) < 0.001] += 1
    table = pd.DataFrame(
        {
            "filename": [f"plants/{number // PHOTOS_A_PLANT:06d}/photo_{number:07d}.jpg" for number in range(n_rows)],
            "experiment": 1 + plant // 1_000,
            "plant": plant % 1_000,
            "taken": 1_700_000_000 + 600 * np.arange(n_rows),
            "age_days": rng.choice([7, 14, 21, 28], n_rows),
            "condition": rng.choice(["control", "drought", "salinity"], n_rows),
            "temperature": rng.normal(22, 2, n_rows).round(2),
            "leaf_area_px": rng.integers(100, 20_000, n_rows),
            "shoot_g": shoot,
            "root_g": root,
            "weight_g": weight,
        }
    )
    (folder / "images").mkdir()
    table.to_csv(folder / "labels.csv", index=False)


def make_facts(folder: Path, n_rows: int) -> None:
    """Write facts as one pass over such pictures would give them.

    1 % of the files have the bytes of another, 2 % show the picture of another with up to four bits of the hash
    changed, 5 % only look like another (up to eight bits), and 0.1 % cannot be read.
    """
    rng = np.random.default_rng(n_rows + 1)
    picture, content = np.arange(n_rows), np.arange(n_rows)
    variants = rng.integers(0, 2**63, (n_rows, 8), dtype=np.uint64)
    for share, bits, kind in ((0.05, 8, "look-alike"), (0.02, 4, "near"), (0.01, 0, "exact")):
        copies = np.flatnonzero(rng.random(n_rows) < share)
        # Most copies are of the same plant, a few of any.
        near_by, anywhere = copies ^ 1, rng.integers(0, n_rows, len(copies))
        originals = np.where(rng.random(len(copies)) < 0.9, np.minimum(near_by, n_rows - 1), anywhere)
        flips = np.zeros((len(copies), 1), dtype=np.uint64)
        for _ in range(bits):
            flips |= np.uint64(1) << rng.integers(0, 63, (len(copies), 1), dtype=np.uint64)
        variants[copies] = variants[originals] ^ flips
        if kind != "look-alike":
            picture[copies] = picture[originals]
        if kind == "exact":
            content[copies] = content[originals]
    facts = pd.DataFrame(0.5, index=range(n_rows), columns=list(SMALL_COLUMNS))
    names = pd.read_csv(folder / "labels.csv", usecols=["filename"])["filename"]
    salt = np.uint64(0x9E3779B97F4A7C15)
    facts[PATH] = str(folder / "images") + "/" + names
    facts[SHA256] = [f"{number:064x}" for number in (content.astype(np.uint64) * salt).tolist()]
    facts[[FORMAT, CHANNELS, CAMERA]] = ["JPEG", "RGB", ""]
    facts[REASON] = np.where(rng.random(n_rows) < 0.001, "the file is truncated", "")
    facts[[WIDTH_PX, HEIGHT_PX]] = 256
    facts[GREEN_PX] = rng.integers(0, 65_536, n_rows)
    facts[EXIF_TIME] = None
    facts[EXIF_ORIENTATION] = 0
    facts[PERCEPTUAL_HASH] = variants[:, 0]
    facts[BRIGHTNESS] = ((picture * 7919) % 1000) / 1000
    facts.to_parquet(folder / "facts.parquet")
    np.save(folder / "variants.npy", variants)
    np.save(folder / "picture.npy", picture)


def read_facts(folder: Path) -> ImageFacts:
    """Read the facts back; small pictures are painted from the picture's number when they are asked for."""
    variants, picture = (np.load(folder / name, mmap_mode="r") for name in ("variants.npy", "picture.npy"))
    mixers = np.random.default_rng(0).integers(1, 2**31, 48) | 1

    def read_long(column: str, positions: np.ndarray) -> list[bytes | None]:
        if column == PERCEPTUAL_HASH_VARIANTS:
            return [row.tobytes() for row in variants[positions]]
        squares = (picture[positions, None] * mixers >> 7) % 251
        small = squares.reshape(-1, 4, 4, 3).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        return [pixels.tobytes() for pixels in small]

    return ImageFacts(pd.read_parquet(folder / "facts.parquet"), read_long)


def load(folder: Path, name: str) -> Any:
    """Read what an earlier stage of this benchmark left."""
    return pickle.loads((folder / name).read_bytes())  # noqa: S301 (written by this benchmark a moment ago)


def measure(folder: Path, stage: str) -> dict[str, float]:
    """Do one stage on what the earlier ones left: its seconds (by the clock and of all cores), and peak memory."""
    inputs: dict[str, Callable[[], tuple[Any, ...]]] = {
        "read the table": lambda: (config_of(folder),),
        "validate": lambda: (load(folder, "source"), config_of(folder), read_facts(folder), SilentProgress()),
        "find copies": lambda: (load(folder, "manifest"), read_facts(folder)),
        "join groups": lambda: (load(folder, "clustered"),),
        "split": lambda: (load(folder, "clustered"), config_of(folder)),
        "hash versions": lambda: (load(folder, "clustered"), load(folder, "split")),
    }
    work: dict[str, tuple[Callable[..., Any], str]] = {
        "read the table": (read_labels, "source"),
        "validate": (lambda *given: validate_source(*given).manifest, "manifest"),
        "find copies": (
            lambda manifest, facts: add_duplicate_ids(manifest, facts, near=True, progress=SilentProgress()),
            "clustered",
        ),
        "join groups": (join_groups, "groups"),
        "split": (_split, "split"),
        "hash versions": (lambda manifest, split: (hash_manifest(manifest), hash_split(split)), "hashes"),
    }
    given = inputs[stage]()
    do, name = work[stage]
    started, cpu_started = time.perf_counter(), time.process_time()
    result = do(*given)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_GB
    (folder / name).write_bytes(pickle.dumps(result, protocol=5))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak_gb, **_describe(stage, given, result)}


def _split(manifest: pd.DataFrame, config: DataConfig) -> pd.DataFrame:
    split = split_by_group(manifest, Task.regression, config.split, seed=0)
    find_thin_strata(manifest, split, Task.regression)
    return split


def _describe(stage: str, given: tuple[Any, ...], result: Any) -> dict[str, float]:
    if stage == "validate":
        return {"usable": len(result)}
    if stage == "find copies":
        return {"clusters": result["duplicate_id"].nunique(), "contents": given[0][SHA256].nunique()}
    if stage == "join groups":
        return {"groups": result.nunique(), "declared": given[0][GROUP_ID].nunique()}
    return {}


def run_size(n_rows: int) -> dict[str, Any]:
    """Make the data of one size and take them through all stages, each in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stage in ("make", *STAGES):
            command = [sys.executable, __file__, "--stage", stage, "--folder", name, "--largest", str(n_rows)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            if stage == "make":
                measured: dict[str, Any] = {"rows": n_rows, "stages": {}}
            else:
                measured["stages"][stage] = json.loads(done.stdout)
        measured["seconds"] = sum(part["seconds"] for part in measured["stages"].values())
        measured["peak_gb"] = max(part["peak_gb"] for part in measured["stages"].values())
        measured["csv_mb"] = (folder / "labels.csv").stat().st_size / 1e6
    return measured


def list_sizes(largest: int) -> list[int]:
    """1, 3, 10, 30 ... thousand, up to the largest."""
    sizes = [SMALLEST * factor * 10**power for power in range(7) for factor in (1, 3)]
    return sorted({*(size for size in sizes if size < largest), largest})


def spread_out(heights: list[float], least: float) -> list[float]:
    """Move numbers apart so that neighbours differ by at least so much, each as little as its rank allows."""
    order = np.argsort(heights)
    moved = np.array(heights, dtype=float)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    return moved.tolist()


@paper_style()
def plot(measured: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds and peak memory against rows, with the line along which cost grows linearly."""
    rows = [one["rows"] for one in measured]
    curves = {stage: [one["stages"][stage]["seconds"] for one in measured] for stage in STAGES}
    curves["all together"] = [one["seconds"] for one in measured]
    last = measured[-1]
    # A little below, where it does not hide the curve that it is compared with.
    slope = [last["seconds"] * number / last["rows"] / 3 for number in rows]
    curves["slope 1"] = slope
    figure = new_figure(7.2, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    ends = spread_out([float(np.log10(seconds[-1])) for seconds in curves.values()], 0.26)
    for (name, seconds), end in zip(curves.items(), ends, strict=True):
        if seconds is slope:
            left.plot(rows, seconds, linestyle=":", color=INK, linewidth=1)
        else:
            width = 1 if name in COLOURS else 1.8
            left.plot(rows, seconds, marker="o", markersize=2.5, linewidth=width, color=COLOURS.get(name, INK))
        label = name if seconds is slope else f"{name} {seconds[-1]:.3g} s"
        place = (rows[-1] * 1.3, 10**end)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        left.annotate(
            label, place, color=COLOURS.get(name, INK), fontsize=7, va="center", bbox=box, annotation_clip=False
        )
    left.set(xscale="log", yscale="log", xlabel="Rows of the table", ylabel="Seconds", title="Time on 2 cores")
    left.set_xlim(rows[0] * 0.8, rows[-1] * 25)
    left.set_ylim(top=4 * last["seconds"])
    left.set_xticks([number for number in rows if str(number).strip("0") == "1"])
    peaks = [one["peak_gb"] for one in measured]
    right.plot(rows, peaks, marker="o", markersize=2.5, color=INK)
    right.annotate(f"{peaks[-1]:.1f} GB", (rows[-1], peaks[-1]), (-6, 5), textcoords="offset points", ha="right")
    right.set(xscale="log", xlabel="Rows of the table", ylabel="Peak memory (GB)", title="Memory, largest stage")
    right.set_ylim(0, 1.2 * max(peaks))
    for ax in (left, right):
        ax.grid(visible=True)
    save_figures({path.stem: figure}, path.parent)
    path.with_suffix(".pdf").unlink()


def main() -> None:
    """Measure all sizes, print a table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("docs/images/scale.png"))
    parser.add_argument("--redraw", action="store_true", help="draw the numbers beside OUTPUT again")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage == "make":
        make_table(arguments.folder, arguments.largest)
        make_facts(arguments.folder, arguments.largest)
        return
    if arguments.stage is not None:
        print(json.dumps(measure(arguments.folder, arguments.stage)))
        return
    if arguments.redraw:
        plot(json.loads(arguments.output.with_suffix(".json").read_text(encoding="utf-8")), arguments.output)
        return
    print("| rows | " + " | ".join(STAGES) + " | seconds | peak GB |")
    print("|---:" * (len(STAGES) + 3) + "|")
    measured = []
    for n_rows in list_sizes(arguments.largest):
        measured.append(run_size(n_rows))
        parts = measured[-1]["stages"]
        cells = [f"{n_rows:,}", *(f"{parts[stage]['seconds']:.2f}" for stage in STAGES)]
        print("| " + " | ".join([*cells, f"{measured[-1]['seconds']:.2f}", f"{measured[-1]['peak_gb']:.2f}"]) + " |")
    write_json(arguments.output.with_suffix(".json"), measured)
    plot(measured, arguments.output)


if __name__ == "__main__":
    main()
