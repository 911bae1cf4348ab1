"""What each second of training buys: accuracy on kept-back leaves against seconds, for phytoscope and its peers.

Usage: python benchmarks/train DATA WEIGHTS [OUTPUT] [--methods fastai,timm] [--seconds N] [--seed N] [--again]
       [--write-docs]

DATA holds PlantVillage's class folders with leaf-map.json; WEIGHTS is a safetensors file for tf_mobilenetv3_small_100.
Each method runs in a process of its own, one after the other, on the same files, split and weights at 224 px, and its
result lands in OUTPUT (default runs/train_speed) as soon as it is there; what is there already is not run again. The
clock of a method starts when its process is asked for, runs while libraries are imported and files are read, and stands
only while the test part is looked at. Prints a table, and writes figure and numbers as train_speed.png and .json into
OUTPUT; with --write-docs into docs/images too, and the table into docs/guides/speed.md.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from drawing import draw_curves
from methods import METHODS, Method
from splitting import TABLE_NAME, write_split
from tabling import write_table

from phytoscope.schema.artifact import read_json, write_json

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
BEGIN, END = "<!-- begin: written by benchmarks/train --write-docs -->", "<!-- end -->"


def run_method(method: Method, given: argparse.Namespace) -> None:
    """Runs one method in a process of its own; one that fails or is stopped leaves what it had reached."""
    result = result_of(given.output, method.name)
    result.unlink(missing_ok=True)
    words = [sys.executable, str(HERE / "worker.py"), "--method", method.name, "--function", method.function]
    for name in ("data", "weights"):
        words += [f"--{name}", str(getattr(given, name).resolve())]
    words += ["--table", str((given.output / TABLE_NAME).resolve()), "--result", str(result.resolve())]
    folder = (given.output / "work" / method.name).resolve()
    words += ["--folder", str(folder), "--seed", str(given.seed)]
    print(f"{method.name}: {method.title}", flush=True)
    # Compiled code of an earlier run would save this one work.
    surroundings = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    words += ["--started", repr(time.time()), "--", *method.options]
    try:
        with (given.output / f"{method.name}.log").open("w") as log:
            subprocess.run(words, check=True, timeout=given.seconds, stderr=log, env=surroundings)  # noqa: S603
    except subprocess.TimeoutExpired:
        print(f"  stopped after {given.seconds:.0f} s; what it had reached is kept")
    except subprocess.CalledProcessError as error:
        print(f"  failed with code {error.returncode}, see {given.output / f'{method.name}.log'}")


def is_finished(output: Path, name: str) -> bool:
    """Whether the method ran to its end."""
    path = result_of(output, name)
    return path.exists() and read_json(path)["state"] == "finished"


def result_of(output: Path, name: str) -> Path:
    """File of one method's result."""
    return output / f"{name}.json"


def read_results(output: Path, names: list[str]) -> list[dict[str, Any]]:
    """Results that are there and hold at least one point, in the order of the methods."""
    found = [read_json(path) for name in names if (path := result_of(output, name)).exists()]
    return [result for result in found if result["points"]]


def fill_guide(path: Path, written: str) -> None:
    """Puts a table where the guide marks its place."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{path} does not mark the place of the table: it must hold {BEGIN!r} and later {END!r}."
        raise SystemExit(message)
    path.write_text(f"{before}{begin}\n{written}\n{end}{after}", encoding="utf-8")


def read_arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=Path("runs/train_speed"))
    parser.add_argument("--methods", default=",".join(METHODS), help="names, separated by commas")
    parser.add_argument("--seconds", type=float, default=None, help="a method is stopped after so many seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write-docs", action="store_true", help="table, figure and numbers go into docs, too")
    parser.add_argument("--again", action="store_true", help="run methods whose result is there already, too")
    given = parser.parse_args()
    given.names = [name for name in given.methods.split(",") if name]
    unknown = [name for name in given.names if name not in METHODS]
    if unknown:
        parser.error(f"unknown methods {', '.join(unknown)}; there are {', '.join(METHODS)}")
    return given


def main() -> None:
    """Runs what is missing and shows what is there."""
    given = read_arguments()
    table = write_split(given.data, given.output / TABLE_NAME, seed=given.seed)
    counts = table["split"].value_counts()
    print(", ".join(f"{name} {counts[name]} images" for name in ("train", "val", "test")), flush=True)
    for image in table["image"]:
        # From here on the system holds all files in memory, for the first method as for the last.
        (given.data / image).read_bytes()
    for name in given.names:
        if given.again or not is_finished(given.output, name):
            run_method(METHODS[name], given)
    results = read_results(given.output, list(METHODS))
    if not results:
        print("no method has reached anything yet")
        return
    written = write_table(results)
    print(written)
    for folder in (given.output, DOCS / "images") if given.write_docs else (given.output,):
        write_json(folder / "train_speed.json", {"images": counts.to_dict(), "methods": results})
        draw_curves(results, folder / "train_speed.png")
    if given.write_docs:
        fill_guide(DOCS / "guides" / "speed.md", written)


if __name__ == "__main__":
    main()
