"""What a cluster costs: the same prediction by engine=local and engine=ray on one machine, start-up included.

    python benchmarks/engine.py PACKAGE PHOTOS --images 20000

Each runs in a process of its own, `--repeats` times in turn. Prints JSON: seconds and images a second of each run, the
overhead of Ray over local from the medians in percent, and the hashes of the answers, which must be the same.
"""

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png"}


def write_list(photos: Path, place: Path, count: int) -> None:
    """Writes a list that repeats the images of a folder."""
    found = sorted(path.resolve() for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        message = f"no images in {photos}"
        raise SystemExit(message)
    place.write_text("".join(f"{path}\n" for path in itertools.islice(itertools.cycle(found), count)), encoding="utf-8")


def measure(words: list[str]) -> tuple[float, str]:
    """Runs one prediction; gives its seconds and the hash of its rows."""
    began = time.perf_counter()
    program = "import sys; from phytoscope.cli import main; sys.exit(main())"
    done = subprocess.run(  # noqa: S603 (our own words)
        [sys.executable, "-c", program, "predict", *words], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found = re.search(r"\b[0-9a-f]{64}\b", done.stdout)
    return seconds, "" if found is None else found[0]


def main() -> None:
    """Runs both and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores of each worker")
    parser.add_argument("--rows-per-task", type=int, default=1024)
    given = parser.parse_args()
    ways = {
        "local": [],
        "ray": [
            *("--engine", "ray", "--engine-set", f"cores={given.cores}"),
            *("--engine-set", f"rows_per_task={given.rows_per_task}"),
        ],
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    hashes: dict[str, set[str]] = {way: set() for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.txt"
        write_list(given.photos, images, given.images)
        for turn in range(given.repeats):
            for way, words in ways.items():
                output = Path(folder) / f"{way}-{turn}.csv"
                common = [str(given.package), str(images), "-o", str(output), "--runtime", given.runtime]
                took, found = measure([*common, "--batch-size", str(given.batch_size), *words])
                seconds[way].append(took)
                hashes[way].add(found)
                print(f"{way} {turn}: {took:.1f} s, {given.images / took:.1f} images/s", file=sys.stderr)
    local, ray = (statistics.median(seconds[way]) for way in ways)
    print(
        json.dumps(
            {
                "images": given.images,
                "seconds": seconds,
                "images_per_s": {"local": given.images / local, "ray": given.images / ray},
                "overhead_percent": 100 * (ray / local - 1),
                "hashes": {way: sorted(found) for way, found in hashes.items()},
                "same": hashes["local"] == hashes["ray"] and len(hashes["local"]) == 1,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
