"""Images a second of a whole prediction, from files to a table: phytoscope, timm's script and a plain torch loop.

Usage: python benchmarks/predict DATA WEIGHTS [--photos 1500] [--large 60] [--turns 3] [--write-docs]

DATA holds class folders of JPEG photographs; WEIGHTS is a safetensors file for tf_mobilenetv3_small_100. Two sets are
measured: photographs as they are, and some of them enlarged to 12 megapixels and encoded anew. All answer with the same
network and squares of the same kind, each turn in processes of their own, one after the other; what is measured is the
time from the first file to the whole table, without the time to import and load. Labels are compared with those of the
plain loop. phytoscope also measures each photograph, calibrates, measures novelty, builds the set and gives a verdict.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs" / "guides" / "predict.md"
BEGIN, END = "<!-- begin: written by benchmarks/predict --write-docs -->", "<!-- end -->"
BACKBONE = "tf_mobilenetv3_small_100"
OURS = ("torch", "onnxruntime", "openvino")
NAMES = {
    "timm": "timm `inference.py`",
    "loop": "torch `DataLoader` loop",
    **{runtime: f"phytoscope, {runtime}" for runtime in OURS},
}
_LARGE_PX = (4000, 3000)


def draw_sets(data: Path, folder: Path, photos: int, large: int) -> dict[str, Path]:
    """Copies photographs, and enlarges some; each set is a folder with one class folder."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    random.Random(0).shuffle(paths)
    places = {"256 px": folder / "small" / "photos", "12 MP": folder / "large" / "photos"}
    for place in places.values():
        place.mkdir(parents=True)
    for number, path in enumerate(paths[:photos]):
        shutil.copyfile(path, places["256 px"] / f"{number:06d}.jpg")
    for number, path in enumerate(paths[:large]):
        with Image.open(path) as picture:
            whole = picture.convert("RGB").resize(_LARGE_PX, Image.Resampling.BICUBIC)
        whole.save(places["12 MP"] / f"{number:06d}.jpg", quality=90)
    return {name: place.parent for name, place in places.items()}


def measure(name: str, net: Path, photos: Path, output: Path) -> dict[str, float]:
    """Runs one of them in a process of its own; gives its seconds, and images a second of the network alone."""
    if name in OURS:
        call = [str(HERE / "ours.py"), name, str(net / "package"), str(photos), str(output)]
    else:
        call = [str(HERE / "peers.py"), name, str(net), str(photos), str(output)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *call]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 (ours)
    if done.returncode != 0:
        message = f"{name} failed:\n{done.stderr[-3000:]}"
        raise SystemExit(message)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(output: Path, reference: Path) -> float:
    """Share of images with the same label, matched by file name."""
    tables = [pd.read_csv(path, usecols=["path", "prediction"]) for path in (output, reference)]
    labels = [table.set_index(table["path"].map(os.path.basename))["prediction"] for table in tables]
    return float((labels[0] == labels[1].reindex(labels[0].index)).mean())


def main() -> None:
    """Measures all of them in turns and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--large", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args()
    sys.path.insert(0, str(HERE.parent / "serve"))
    nets = importlib.import_module("nets")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        net = folder / "net"
        nets.build_net(BACKBONE, str(given.weights), nets.list_photographs(given.data), net)
        lines = [
            "| images | | images/s | times the loop | same label | of the network alone |",
            "|---|---|--:|--:|--:|--:|",
        ]
        for kind, photos in draw_sets(given.data, folder, given.photos, given.large).items():
            lines += measure_set(kind, net, photos, folder, given.turns)
    table = "\n".join(lines)
    print(table)
    if given.write_docs:
        text = DOCS.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN)
        DOCS.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def measure_set(kind: str, net: Path, photos: Path, folder: Path, turns: int) -> list[str]:
    """Lines of the table for one set."""
    count = sum(1 for path in photos.rglob("*") if path.is_file())
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    limits: dict[str, list[float]] = {name: [] for name in NAMES}
    for turn in range(turns):
        for name in NAMES:
            found = measure(name, net, photos, folder / f"{name}.csv")
            rates[name].append(count / found["seconds"])
            limits[name] += [found["limit"]] if "limit" in found else []
            print(f"  {kind}, turn {turn + 1}, {name}: {rates[name][-1]:.1f} images/s", file=sys.stderr, flush=True)
    lines = []
    for name, words in NAMES.items():
        # Turn by turn, because the machine is not equally fast in all of them.
        times = statistics.median(mine / loop for mine, loop in zip(rates[name], rates["loop"], strict=True))
        same = compare(folder / f"{name}.csv", folder / "loop.csv")
        share = f"{statistics.median(rates[name]) / statistics.median(limits[name]):.0%}" if limits[name] else ""
        rate = statistics.median(rates[name])
        lines.append(f"| {kind} | {words} | {rate:.0f} | {times:.2f} | {same:.1%} | {share} |")
    return lines


if __name__ == "__main__":
    main()
