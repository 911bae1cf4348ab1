"""What one image costs on this machine, and what a hundred thousand, a million and a hundred million would take.

Usage: python benchmarks/capacity DATA WEIGHTS [--rounds 5] [--cores 16] [--network 1000] [--write-docs]
       python benchmarks/capacity --redraw

DATA holds class folders of JPEG photographs; WEIGHTS is a safetensors file for tf_mobilenetv3_small_100. All parts take
turns on one core; processor time is counted, so other work on the machine disturbs little. From these costs follow
hours for fleets of machines with so many cores and so many MB/s of network each. --write-docs puts the numbers into
docs/guides/capacity.json and tables and a picture into the page; --redraw does so again from the JSON file.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HERE = Path(__file__).resolve().parent
NUMBERS = HERE.parent.parent / "docs" / "guides" / "capacity.json"
BACKBONE = "tf_mobilenetv3_small_100"


def measure(data: Path, weights: Path, rounds: int) -> dict[str, Any]:
    """All unit costs, as the JSON file has them."""
    import cv2
    import torch
    from image_costs import (
        CLASSES,
        count_weights,
        list_answering,
        list_collecting,
        list_reading,
        list_training,
        load_bench,
    )
    from store import list_fetching, serve_store
    from table_costs import measure_tables
    from turns import measure_in_turns

    sys.path.append(str(HERE.parent / "serve"))
    nets = importlib.import_module("nets")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    machine = describe_machine()
    say = _say
    with tempfile.TemporaryDirectory() as place, serve_store():
        folder = Path(place)
        say("building the network")
        package = nets.build_net(BACKBONE, str(weights), nets.list_photographs(data), folder / "net")
        bench = load_bench(data, package, folder)
        parts = list_reading(bench) | list_fetching(bench.photos) | list_answering(bench)
        parts |= list_training(str(weights), BACKBONE) | list_collecting(bench, folder)
        costs = measure_in_turns(parts, rounds, say)
        bytes_per_row = dict(bench.bytes_per_row)
    say("split and evaluation")
    tables = measure_tables(CLASSES)
    count, features = count_weights(str(weights), BACKBONE)
    return {
        "machine": machine,
        "rounds": rounds,
        "cpu_ms": {name: vars(cost) for name, cost in costs.items()},
        "bytes_per_row": bytes_per_row,
        "tables_ms_per_row": tables,
        "network": {"backbone": BACKBONE, "weights": count, "features": features},
    }


def describe_machine() -> dict[str, Any]:
    """Processor, cores, and how busy it was before the run."""
    name = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {"processor": name, "cores": os.cpu_count(), "load_before": load, "python": platform.python_version()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measures or reads the numbers, prints the tables, and writes the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=16, help="cores of each machine of the fleets")
    parser.add_argument("--network", type=float, default=1000.0, help="MB a second that each machine can receive")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--redraw", action="store_true", help="take the numbers of docs/guides/capacity.json")
    given = parser.parse_args()
    if not given.redraw and (given.data is None or given.weights is None):
        parser.error("DATA and WEIGHTS are needed, unless --redraw is given")
    if given.redraw:
        numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    else:
        numbers = measure(given.data, given.weights, given.rounds)
        numbers["fleet"] = {"cores": given.cores, "network_mb_s": given.network}
    from capacity_tables import write_tables
    from page import write_page

    print("\n\n".join(write_tables(numbers).values()))
    if given.write_docs or given.redraw:
        NUMBERS.write_text(f"{json.dumps(numbers, indent=2)}\n", encoding="utf-8")
        write_page(numbers)


if __name__ == "__main__":
    main()
