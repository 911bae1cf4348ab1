"""A million rows through `phytoscope predict`: does memory stay flat, and is the last tenth as fast as the first?

Usage: python benchmarks/million_rows.py [PHOTOS] [--rows 1000000] [--size 64] [--backbone NAME] [--weights FILE]
                                         [--side PIXELS] [--engine ray] [--folder FOLDER]

Writes a list that names the photographs of PHOTOS (class folders; drawn when left out) again and again, builds a small
network, and predicts for the list with the command line in a process of its own. Meanwhile memory and processor time of
that process and of all that it starts are written to `samples.csv` in FOLDER, each time the command notes how far it
is. At the end come a table by tenths of the rows, a verdict in `result.json`, and a comparison of the list with the
output: every row is there, once, in order, and rows of the same photograph have the same answer. The exit code is 1
when one of these does not hold.

Processor time an image tells how the cost grows even when the machine does other work; images a second do so only when
it does not.
"""

import argparse
import contextlib
import csv
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).resolve().parent
TENTHS = 10
MOST_GROWTH, MOST_SLOWER = 0.05, 1.10
"""Memory may grow by this share from the second tenth to the last, and the last tenth may cost this many times the
first."""
_POLL_S = 0.25
_CHUNK = 100_000


@dataclass(frozen=True)
class Sample:
    """How far the command is, and what it took.

    Attributes:
        seconds: Since the command was started.
        rows: Rows that are answered and kept.
        cpu_s: Processor time of all its processes so far, also of those that have ended.
        rss_mb: Resident memory of all its processes together, the largest since the sample before.
        processes: How many there are.
    """

    seconds: float
    rows: int
    cpu_s: float
    rss_mb: float
    processes: int


@dataclass(frozen=True)
class Tenth:
    """What one tenth of the rows took.

    Attributes:
        rows: Rows in it.
        images_per_s: By the clock.
        cpu_ms: Processor time an image, in milliseconds.
        rss_mb: Largest resident memory.
    """

    rows: int
    images_per_s: float
    cpu_ms: float
    rss_mb: float


class TreeWatch:
    """Memory and processor time of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        """Watches the process with this id."""
        self._root = psutil.Process(pid)
        self._cpu_s: dict[tuple[int, float], float] = {}

    def look(self) -> tuple[float, float, int]:
        """Processor time in seconds, resident memory in MB, and number of processes."""
        rss, count = 0, 0
        for process in self._list():
            with contextlib.suppress(psutil.NoSuchProcess):
                times, memory = process.cpu_times(), process.memory_info()
                # A process that has ended keeps what it took; its id may be given to another one.
                self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                rss, count = rss + memory.rss, count + 1
        return sum(self._cpu_s.values()), rss / 1e6, count

    def _list(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def draw_photographs(folder: Path, count: int = 100) -> Path:
    """Draws two classes of photographs of 96 px; gives their folder."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / ("dark" if number % 2 else "bright")
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 130, (12, 12, 3)) + (0 if number % 2 else 100)
        picture = Image.fromarray(coarse.astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(place / f"{number:04d}.jpg", quality=90)
    return folder


def copy_photographs(photos: Path, folder: Path, side: int | None) -> Path:
    """Copies class folders of photographs; with a side, each becomes a JPEG whose longer side has so many pixels."""
    for path in sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")):
        place = folder / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if side is None:
            shutil.copyfile(path, place)
            continue
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((side, side))
        small.save(place.with_suffix(".jpg"), quality=90)
    return folder


def write_list(photos: Path, path: Path, rows: int) -> int:
    """Writes the list of paths, photograph after photograph and then again from the first; gives how many there are."""
    names = sorted(str(one.relative_to(path.parent)) for one in photos.rglob("*") if one.is_file())
    column = pa.field("path", pa.string())
    with pq.ParquetWriter(path, pa.schema([column])) as writer:
        for start in range(0, rows, _CHUNK):
            end = min(start + _CHUNK, rows)
            writer.write_table(pa.table({"path": [names[row % len(names)] for row in range(start, end)]}))
    return len(names)


def watch(command: Sequence[str], state: Path, log: Path) -> Iterator[Sample]:
    """Runs the command and yields a sample whenever it has noted how far it is, and one at its end.

    Raises:
        SystemExit: The command failed.
    """
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    began, noted, highest, rows = time.monotonic(), 0, 0.0, 0
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)  # noqa: S603 (ours)
        tree = TreeWatch(process.pid)
        while process.poll() is None:
            time.sleep(_POLL_S)
            cpu_s, rss_mb, count = tree.look()
            highest = max(highest, rss_mb)
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                if (changed := state.stat().st_mtime_ns) != noted:
                    noted, rows = changed, json.loads(state.read_text(encoding="utf-8"))["rows"]
                    yield Sample(time.monotonic() - began, rows, cpu_s, highest, count)
                    highest = 0.0
    if process.returncode != 0:
        message = f"the command ended with code {process.returncode}:\n{log.read_text(errors='replace')[-3000:]}"
        raise SystemExit(message)
    yield Sample(time.monotonic() - began, rows, tree.look()[0], highest, 0)


def divide(samples: Sequence[Sample], rows: int) -> list[Tenth]:
    """Divides samples into tenths of the rows; time between two samples is shared out evenly over their rows.

    The time before the first sample, in which the network is loaded, counts for no tenth; neither does what comes
    behind the last row.

    Raises:
        SystemExit: The command was over before it had noted twice how far it was.
    """
    known = [(sample.rows, sample.seconds, sample.cpu_s) for sample in samples if sample.processes > 0]
    if len({count for count, _, _ in known}) <= 1:
        message = f"{rows} rows were done too fast to divide them: take more rows"
        raise SystemExit(message)
    counts, seconds, cpu_s = (np.array(column, dtype=float) for column in zip(*known, strict=True))
    ends = np.linspace(counts[0], counts[-1], TENTHS + 1)
    walls, cpus = np.interp(ends, counts, seconds), np.interp(ends, counts, cpu_s)
    tenths = []
    for tenth in range(TENTHS):
        first, last = ends[tenth], ends[tenth + 1]
        memory = [sample.rss_mb for sample in samples if first < sample.rows <= last and sample.processes > 0]
        taken, used = walls[tenth + 1] - walls[tenth], cpus[tenth + 1] - cpus[tenth]
        count = last - first
        highest = max(memory, default=tenths[-1].rss_mb if tenths else samples[0].rss_mb)
        tenths.append(Tenth(round(count), float(count / taken), float(1000 * used / count), highest))
    return tenths


def judge(tenths: Sequence[Tenth]) -> dict[str, Any]:
    """Growth of memory from the second tenth to the last, and what the last tenth costs relative to the first."""
    growth = float(tenths[-1].rss_mb - tenths[1].rss_mb)
    slower = float(tenths[-1].cpu_ms / tenths[0].cpu_ms)
    return {
        "growth_mb": round(growth, 1),
        "growth_share": round(growth / tenths[1].rss_mb, 4),
        "cpu_last_over_first": round(slower, 4),
        "rate_last_over_first": round(tenths[-1].images_per_s / tenths[0].images_per_s, 4),
        "memory_flat": growth <= MOST_GROWTH * tenths[1].rss_mb,
        "cost_constant": slower <= MOST_SLOWER,
    }


def compare(listed: Path, output: Path) -> dict[str, bool]:
    """Whether each row of the list stands in the output once and in order, and a photograph has one answer."""
    wanted = pq.read_table(listed)["path"].combine_chunks()
    found = pq.read_table(output, columns=["path", "prediction", "probability", "verdict"])
    prefix = f"{listed.parent}{os.sep}"
    same = len(wanted) == len(found) and pc.all(
        pc.equal(pc.binary_join_element_wise(prefix, wanted, ""), found["path"].combine_chunks())
    )
    answers = found.group_by(["path"]).aggregate(
        [(name, "count_distinct") for name in found.column_names if name != "path"]
    )
    one = all(pc.max(answers[name]).as_py() <= 1 for name in answers.column_names if name != "path")
    return {"every_row_once_in_order": bool(same), "one_answer_a_photograph": one}


def describe(tenths: Sequence[Tenth], result: dict[str, Any]) -> str:
    """The table by tenths, and the verdict."""
    lines = ["| tenth | images/s | CPU ms/image | memory, MB |", "|--:|--:|--:|--:|"]
    for number, one in enumerate(tenths, start=1):
        lines.append(f"| {number} | {one.images_per_s:.0f} | {one.cpu_ms:.3f} | {one.rss_mb:.0f} |")
    lines += ["", *(f"{name}: {value}" for name, value in result.items())]
    return "\n".join(lines)


def measure(given: argparse.Namespace, folder: Path) -> int:
    """Makes list and network, predicts, and tells what it took; the exit code."""
    sys.path.insert(0, str(HERE / "serve"))
    nets = importlib.import_module("nets")
    photos = folder / "photos"
    if given.photos is None:
        draw_photographs(photos)
    else:
        copy_photographs(given.photos, photos, given.side)
    nets.build_net(given.backbone, given.weights, nets.list_photographs(photos), folder / "net", given.size)
    listed, output = folder / "list.parquet", folder / "answers.parquet"
    images = write_list(photos, listed, given.rows)
    state = folder / f".{output.name}.partial" / "state.json"
    command = [sys.executable, "-m", "phytoscope", "predict", str(folder / "net" / "package"), str(listed)]
    command += ["--output", str(output), "--runtime", given.runtime]
    command += [] if given.engine == "local" else ["--engine", given.engine]
    samples = []
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Sample)])
        for sample in watch(command, state, folder / "predict.log"):
            samples.append(sample)
            writer.writerow(asdict(sample).values())
            stream.flush()
    tenths = divide(samples, given.rows)
    total = {
        "rows": given.rows,
        "photographs": images,
        "engine": given.engine,
        "runtime": given.runtime,
        "size_px": given.size,
        "seconds": round(samples[-1].seconds, 1),
        "cpu_s": round(samples[-1].cpu_s, 1),
        "output_bytes_per_row": round(output.stat().st_size / given.rows, 1),
        "peak_mb": round(max(sample.rss_mb for sample in samples)),
    }
    result = total | judge(tenths) | compare(listed, output)
    text = json.dumps({**result, "tenths": [asdict(one) for one in tenths]}, indent=2)
    (folder / "result.json").write_text(f"{text}\n", encoding="utf-8")
    print(describe(tenths, result))
    return 0 if all(value is not False for value in result.values()) else 1


def main() -> int:
    """Reads the words of the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?", help="folder with class folders of photographs")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64, help="side of the squares that the network sees, in pixels")
    parser.add_argument("--side", type=int, help="make the photographs smaller: their longer side, in pixels")
    parser.add_argument("--backbone", default="test_efficientnet")
    parser.add_argument("--weights", default="random", help="safetensors file of the backbone")
    parser.add_argument("--runtime", default="onnxruntime", choices=("torch", "onnxruntime", "openvino"))
    parser.add_argument("--engine", default="local", choices=("local", "ray"))
    parser.add_argument("--folder", type=Path, help="empty folder that keeps list, samples and output")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True)
        return measure(given, given.folder.resolve())
    with tempfile.TemporaryDirectory() as place:
        return measure(given, Path(place))


if __name__ == "__main__":
    sys.exit(main())
