"""Images a second over HTTP: phytoscope, LitServe and a plain FastAPI + torch service, in one run.

Usage: python benchmarks/serve DATA WEIGHTS [OUTPUT] [--nets N,M] [--services A,B] [--connections 1,8,64] [--seconds S]
       [--turns T] [--write-docs]

DATA holds class folders of JPEG photographs; WEIGHTS is a safetensors file for tf_mobilenetv3_small_100, every other
network gets random weights. All services hold the same network and get the same photographs from wrk (a small generator
of our own where wrk is not installed) over the same number of connections, each with one request at a time. Each turn
starts every service anew, asks it for every photograph once (its labels are compared with ours), and then measures.
Medians over the turns are printed, as is what the network alone can do at its best batch with all cores; phytoscope
also calibrates, builds the prediction set, measures novelty and photograph, gives a verdict and keeps a record, which
the peers do not. With --write-docs the tables go into docs/guides/serving.md and the numbers into docs/images.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from bodies import Bodies, write_bodies
from load import find_generator, send
from nets import PACKAGE_NAME, Photographs, build_net, list_photographs
from services import SERVICES, Running, running
from tabling import write_limits, write_table

from phytoscope.schema.artifact import write_json

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
BEGIN, END = "<!-- begin: written by benchmarks/serve --write-docs -->", "<!-- end -->"
WITH_WEIGHTS = "tf_mobilenetv3_small_100"
_PHOTOGRAPHS = 64
_WARM_UP_S = 2.0


def measure_service(
    name: str, net: str, given: argparse.Namespace, bodies: dict[str | None, Bodies]
) -> list[dict[str, Any]]:
    """Starts a service, measures it with each number of connections, stops it."""
    service, found = SERVICES[name], []
    sent = bodies[service.field]
    with running(service, given.output / net, given.output / f"{net}-{name}.log") as there:
        labels = ask_labels(there, sent)
        send(there.url, sent, 8, _WARM_UP_S)
        for count in given.connections:
            before = there.measure_cpu()
            load = send(there.url, sent, count, given.seconds)
            computed = there.measure_cpu() - before
            facts = {"net": net, "service": name, "connections": count, "per_second": load.per_second}
            facts |= {"cpu_ms": 1000 * computed / max(1, load.requests), "started_s": there.started_s}
            facts |= {"memory_mb": there.measure_memory(), "labels": labels}
            found.append(facts | dataclasses.asdict(load))
            print(
                f"  {net} {name} {count}: {load.per_second:.0f}/s, p50 {load.p50_ms:.1f}, p99 {load.p99_ms:.1f} ms, "
                f"{load.failed} failed, generator {100 * load.cpu_s / load.seconds:.0f} % of a core, service "
                f"{100 * computed / load.seconds:.0f} %",
                flush=True,
            )
    return found


def ask_labels(there: Running, bodies: Bodies) -> list[str]:
    """The label of each photograph."""
    labels = []
    for body in bodies.read():
        asked = urllib.request.Request(there.url, data=body, headers={"Content-Type": bodies.content_type})  # noqa: S310
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
            content = json.load(answer)
        labels.append(content["label"] if "label" in content else content["predictions"][0]["label"])
    return labels


def measure_limits(net: str, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the network alone can do with each runtime that is compared, in a process of its own."""
    limits = {}
    for runtime in dict.fromkeys(SERVICES[name].runtime for name in given.services):
        words = [sys.executable, str(HERE / "limits.py"), str(given.output / net / PACKAGE_NAME), runtime]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        limits[f"{net} {runtime}"] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {net} {runtime}: {limits[f'{net} {runtime}']}", flush=True)
    return limits


def compare_labels(results: list[dict[str, Any]]) -> list[str]:
    """How many labels each service gives as the first one does."""
    lines = []
    for net in dict.fromkeys(one["net"] for one in results):
        known = {one["service"]: one["labels"] for one in results if one["net"] == net}
        first = next(iter(known))
        for name, labels in known.items():
            same = sum(mine == theirs for mine, theirs in zip(labels, known[first], strict=True))
            lines.append(f"{net}: {name} gives {same} of {len(labels)} labels as {first} does")
    return lines


def run(given: argparse.Namespace, photographs: Photographs) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Measures everything that was asked for."""
    step = max(1, len(photographs.paths) // _PHOTOGRAPHS)
    chosen = photographs.paths[::step][:_PHOTOGRAPHS]
    fields = dict.fromkeys(SERVICES[name].field for name in given.services)
    bodies = {field: write_bodies(chosen, given.output / f"bodies-{field}", field) for field in fields}
    results: list[dict[str, Any]] = []
    limits: dict[str, dict[str, Any]] = {}
    for net in given.nets:
        weights = str(given.weights.resolve()) if net == WITH_WEIGHTS else "random"
        build_net(net, weights, photographs, given.output / net)
        limits |= measure_limits(net, given)
        for _ in range(given.turns):
            for name in given.services:
                results += measure_service(name, net, given, bodies)
    return results, limits


def fill_guide(path: Path, written: str) -> None:
    """Puts the tables where the guide marks their place."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{path} does not mark the place of the tables: it must hold {BEGIN!r} and later {END!r}."
        raise SystemExit(message)
    path.write_text(f"{before}{begin}\n{written}\n{end}{after}", encoding="utf-8")


def read_arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=None, help="a temporary folder when left out")
    parser.add_argument("--nets", default=f"{WITH_WEIGHTS},resnet18", help="names of timm, separated by commas")
    parser.add_argument("--services", default=",".join(SERVICES), help="names, separated by commas")
    parser.add_argument("--connections", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write-docs", action="store_true", help="tables and numbers go into docs, too")
    given = parser.parse_args()
    given.nets = given.nets.split(",")
    given.services = given.services.split(",")
    given.connections = [int(count) for count in given.connections.split(",")]
    unknown = [name for name in given.services if name not in SERVICES]
    if unknown:
        parser.error(f"unknown services {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    return given


def main() -> None:
    """Measures and shows."""
    given = read_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        if given.output is None:
            given.output = Path(temporary)
        given.output = given.output.resolve()
        results, limits = run(given, list_photographs(given.data))
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {load:.1f} at the end, generator {find_generator()}")
    print("\n".join(compare_labels(results)))
    written = f"{write_table(results, limits, given.connections)}\n\n{write_limits(limits)}"
    print(written)
    if given.write_docs:
        kept = [{key: value for key, value in one.items() if key != "labels"} for one in results]
        write_json(DOCS / "images" / "serve_speed.json", {"cores": cores, "limits": limits, "measured": kept})
        fill_guide(DOCS / "guides" / "serving.md", written)


if __name__ == "__main__":
    main()
