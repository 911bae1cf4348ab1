"""How long the tour of the README takes: draws data of the size people have, runs every command, prints the seconds.

    python benchmarks/tour.py draw FOLDER                  leaves/, plants.csv and photos/ as the README names them
    python benchmarks/tour.py measure [PAGE] [--write]     runs the page's commands there; --write puts the times in

`tests/e2e/test_readme.py` runs the same commands by the same code on fewer and smaller photographs.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pandas as pd

from phytoscope.data.synthetic import DrawnDataset, draw_field_leaves, draw_leaf_dataset, draw_rosette_dataset

ROOT = Path(__file__).resolve().parents[1]
PORT = 8000
_NEW = 12
_IMAGES, _TABLE = "images_med_res", "digital_biomass_labels.csv"
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z", re.DOTALL)
_TOOK = re.compile(r"(<!-- took -->)(.*?)(<!-- end -->)")
_SERVES = re.compile(r"\s*phytoscope serve\s")
_PATIENCE_S = 1800.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: The page.
        line: Line of its first fence, from 1.
        language: What stands behind the fence; empty when nothing does.
        text: What stands between the fences.
        not_run: Why nobody can run it, from a comment right before it; None when it is to be run.
        took: Where the page says how long it takes, first and last character; None when it does not.
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    took: tuple[int, int] | None

    @property
    def serves(self) -> bool:
        """Whether it starts the service, which answers until it is stopped."""
        return self.language == "bash" and _SERVES.match(self.text) is not None


@dataclass(frozen=True)
class Outcome:
    """What running a block gave: its seconds, its exit code, and what it printed, results first."""

    seconds: float
    code: int
    output: str


def read_blocks(page: Path) -> list[Block]:
    """Reads the fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = 0
    for found in _FENCE.finditer(text):
        before = text[end : found.start()]
        reason = _NOT_RUN.search(before)
        places = list(_TOOK.finditer(text, end, found.start()))
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, found.start()) + 1,
                language=found[1],
                text=found[2],
                not_run=None if reason is None else reason[1],
                took=places[-1].span(2) if places else None,
            )
        )
        end = found.end()
    return blocks


@dataclass
class Reader:
    """Somebody who does what a page says, block after block, in one folder.

    Attributes:
        folder: Where the commands are given.
        port: Where the service listens; another than 8000 where that may be taken, and then the commands say so.
        environment: The environment of the commands.
    """

    folder: Path
    port: int = PORT
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    _service: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Lets the commands find this Python's environment as `.venv`, as it is in a checkout."""
        programs = Path(sys.executable).parent
        self.environment = {**self.environment, "PATH": f"{programs}{os.pathsep}{self.environment['PATH']}"}
        place = self.folder / ".venv" / "bin"
        place.mkdir(parents=True, exist_ok=True)
        (place / "activate").write_text(f'export PATH="{programs}:$PATH"\n', encoding="utf-8")

    def do(self, block: Block) -> Outcome:
        """Runs a block of commands or of Python; one that serves is left running when it answers."""
        text = block.text if self.port == PORT else block.text.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{self.port}")
        began = time.perf_counter()
        if block.serves:
            return self._start(text, began)
        words = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(  # noqa: S603 (the project's own pages)
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        return Outcome(time.perf_counter() - began, done.returncode, done.stdout + done.stderr)

    def _start(self, text: str, began: float) -> Outcome:
        self.stop()
        command = text.strip() if self.port == PORT else f"{text.strip()} serve.port={self.port}"
        log = self.folder / "service.log"
        with log.open("wb") as stream:
            self._service = _start_service(command, self.folder, self.environment, stream)
        while self._service.poll() is None and time.perf_counter() - began < _PATIENCE_S:
            if _is_ready(self.port):
                return Outcome(time.perf_counter() - began, 0, log.read_text(encoding="utf-8"))
            time.sleep(0.1)
        self.stop()
        return Outcome(time.perf_counter() - began, 1, log.read_text(encoding="utf-8"))

    def stop(self) -> int | None:
        """Stops the service as Ctrl-C does; returns its exit code, None when none ran."""
        service, self._service = self._service, None
        if service is None:
            return None
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGINT)
        return service.wait(timeout=60)


def _start_service(
    command: str, folder: Path, environment: dict[str, str], stream: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (the project's own pages)
        ["bash", "-c", f"exec {command}"],  # noqa: S607 (whichever bash is first)
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def find_port() -> int:
    """Finds a port that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def draw_leaves(folder: Path, photos: int, size_px: int) -> None:
    """Draws `leaves/` and `orchard/`, one folder a class, and `new_leaves/`; file names tell the leaf."""
    leaves = max(2, photos // 15)
    with tempfile.TemporaryDirectory() as place:
        drawn, root = draw_leaf_dataset(Path(place), leaves_per_class=leaves, size_px=size_px), Path(place)
        known: dict[str, list[str]] = json.loads((root / "leaf-map.json").read_text(encoding="utf-8"))
        for number, photo in enumerate(_list_photos(drawn), start=1):
            kind, leaf = known[photo.stem.split("___")[1].lower()][0].split("___")[1].removesuffix(".0").split(":::")
            _take(photo, folder / "leaves" / kind / f"leaf{int(leaf):02d}_{number}.jpg")
    with tempfile.TemporaryDirectory() as place:
        drawn = draw_leaf_dataset(Path(place), leaves_per_class=2, size_px=size_px, seed=1)
        for number, photo in enumerate(_list_photos(drawn, good=True)[::2], start=1):
            _take(photo, folder / "new_leaves" / f"photo{number:02d}.jpg")
    with tempfile.TemporaryDirectory() as place:
        draw_field_leaves(Path(place), leaves_per_class=max(2, leaves // 3), size_px=size_px)
        for photo in sorted(Path(place).glob("*/*.jpg")):
            _take(photo, folder / "orchard" / photo.parent.name.split("___")[1] / photo.name)


def _list_photos(drawn: DrawnDataset, *, good: bool = False) -> list[Path]:
    """The photographs of drawn leaves, class after class and leaf after leaf; without the planted faults if asked."""
    faults = drawn.planted_faults
    bad = {*faults["truncated"], *faults["zero_byte"], *faults["duplicate"][1:]} if good else set()
    found = [photo for photo in drawn.root.glob("*/*.JPG") if photo.relative_to(drawn.root).as_posix() not in bad]
    return sorted(found, key=lambda photo: (photo.parent.name, photo.stem.split("___")[1]))


def _take(photo: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(photo, place)


def draw_plants(folder: Path, photos: int, size_px: int) -> None:
    """Draws `photos/` with `plants.csv`, two photographs a plant, and `new_photos/` with `new_plants.csv`."""
    with tempfile.TemporaryDirectory() as place:
        draw_rosette_dataset(Path(place), plants=max(20, photos // 2), size_px=size_px)
        for photo in Path(place, _IMAGES).iterdir():
            _take(photo, folder / "photos" / photo.name)
        write_table(pd.read_csv(Path(place, _TABLE), decimal=","), folder / "plants.csv")
    with tempfile.TemporaryDirectory() as place:
        drawn = draw_rosette_dataset(Path(place), plants=_NEW, size_px=size_px, seed=1)
        table = pd.read_csv(Path(place, _TABLE), decimal=",")
        bad = {name for kind in ("missing_file", "truncated", "zero_byte") for name in drawn.planted_faults[kind]}
        table = table[~table["filename"].isin(bad)].head(_NEW).assign(fresh_weight_total=None)
        names = {name: f"photo{number:02d}.png" for number, name in enumerate(table["filename"], start=1)}
        for name, new in names.items():
            _take(Path(place, _IMAGES, name), folder / "new_photos" / new)
        write_table(table.assign(filename=table["filename"].map(names)), folder / "new_plants.csv")


def write_table(drawn: pd.DataFrame, place: Path) -> None:
    """Writes the columns of a drawn table that a spreadsheet of plants has; the weight is empty where there is none."""
    number = drawn["plant_number"].map("{:03d}".format)
    robot = drawn["farmbot_name"].factorize()[0] + 1
    columns = {
        "photo": drawn["filename"],
        "plant_id": [f"E{e}R{r}P{p}" for e, r, p in zip(drawn["experiment_id"], robot, number, strict=True)],
        "age_days": drawn["age_days"].astype("Int64"),
        "condition": drawn["condition"],
        "fresh_weight_g": drawn["fresh_weight_total"],
    }
    pd.DataFrame(columns).to_csv(place, index=False)


def walk(page: Path, reader: Reader) -> Iterator[tuple[Block, Outcome]]:
    """Does what a page says, in its order; stops the service at the end."""
    try:
        for block in read_blocks(page):
            if block.not_run is None and block.language in {"bash", "python"}:
                yield block, reader.do(block)
    finally:
        reader.stop()


def word_seconds(seconds: float) -> str:
    """Words a time as a reader wants it: `3 s`, `1 min 20 s`."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def write_times(page: Path, times: dict[int, float]) -> None:
    """Puts measured times, by the line of their block, where the page wants them."""
    text = page.read_text(encoding="utf-8")
    for block in reversed(read_blocks(page)):
        if block.took is not None and block.line in times:
            first, last = block.took
            text = f"{text[:first]}{word_seconds(times[block.line])}{text[last:]}"
    page.write_text(text, encoding="utf-8")


def measure(page: Path, photos: int, size_px: int, *, write: bool) -> None:
    """Draws the data, does what the page says, and prints the seconds of each block."""
    times: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw_leaves(folder, photos, size_px)
        draw_plants(folder, photos, size_px)
        own = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "kept")}
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {photos} photographs of {size_px} px a task")
        for block, outcome in walk(page, Reader(folder, environment=own)):
            first = block.text.strip().splitlines()[0]
            load = os.getloadavg()[0]
            print(f"{outcome.seconds:7.1f} s  load {load:.1f}  line {block.line}: {first}", flush=True)
            if outcome.code != 0:
                message = f"exit code {outcome.code}\n{outcome.output}"
                raise SystemExit(message)
            print("           " + "\n           ".join(outcome.output.splitlines()), flush=True)
            times[block.line] = outcome.seconds
    print(f"{sum(times.values()):7.1f} s  all")
    if write:
        write_times(page, times)


def main() -> None:
    """Draws, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300, help="photographs of each task")
    parser.add_argument("--size-px", type=int, default=256, help="side of the drawn squares")
    verbs = parser.add_subparsers(dest="verb", required=True)
    drawing = verbs.add_parser("draw")
    drawing.add_argument("folder", type=Path)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("page", type=Path, nargs="?", default=ROOT / "README.md")
    measuring.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.verb == "draw":
        draw_leaves(given.folder, given.photos, given.size_px)
        draw_plants(given.folder, given.photos, given.size_px)
    else:
        measure(given.page, given.photos, given.size_px, write=given.write)


if __name__ == "__main__":
    main()
