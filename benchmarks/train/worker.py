"""One method in a process of its own; started by this folder's `__main__.py`."""

import argparse
import shutil
from importlib import import_module
from pathlib import Path

from measuring import Curve, Job


def main() -> None:
    """Runs the method and writes its curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True)
    parser.add_argument("--function", required=True, help="module:function")
    for name in ("data", "weights", "table", "folder", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--started", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*")
    given = parser.parse_args()
    # What an earlier run left there would save this one work.
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    curve = Curve(given.method, given.started, given.result)
    job = Job(given.data, given.weights, given.table, given.folder, given.seed, tuple(given.options))
    module, _, function = given.function.partition(":")
    getattr(import_module(module), function)(job, curve)
    curve.finish()


if __name__ == "__main__":
    main()
