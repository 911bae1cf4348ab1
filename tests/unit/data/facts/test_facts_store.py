"""Parts are written whole, merged when there are many of them, and forgotten when they are of no more use."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from factories.images import write_image
from phytoscope.data.facts import facts_store
from phytoscope.data.facts.facts_store import EMPTY_ROW, FactsStore, Wanted
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.schema.progress import SilentProgress


def make_row(number, size=10, changed=5):
    long = {"perceptual_hash_variants": bytes(64), "thumbnail": bytes(3072), "features": bytes(10)}
    return {
        **EMPTY_ROW,
        "path": f"/{number}.png",
        "size_bytes": size,
        "modified_ns": changed,
        "sha256": f"{number}-{changed}",
        **long,
    }


def want(numbers, size=10, changed=5):
    count = len(numbers)
    return Wanted(pd.Index([f"/{n}.png" for n in numbers], dtype=object), np.full(count, size), np.full(count, changed))


def parts(folder):
    return sorted(path.name for path in folder.glob("facts-*.parquet"))


def test_rows_are_found_by_path_size_and_time(tmp_path):
    """Another size or time is another file."""
    store = FactsStore(tmp_path, 100.0)
    store.append([make_row(number) for number in range(4)])
    assert (store.locate(want([3, 1, 7])).part < 0).tolist() == [False, False, True]
    assert store.locate(want([3, 1])).row.tolist() == [3, 1]
    assert (store.locate(want([3], size=11)).part < 0).all()
    assert (store.locate(want([3], changed=6)).part < 0).all()


def test_other_limit_and_version_do_not_meet(tmp_path, monkeypatch):
    """Facts that were taken otherwise are not read."""
    FactsStore(tmp_path, 100.0).append([make_row(0)])
    assert (FactsStore(tmp_path, 50.0).locate(want([0])).part < 0).all()
    monkeypatch.setattr(facts_store, "FACTS_VERSION", 10_000)
    assert (FactsStore(tmp_path, 100.0).locate(want([0])).part < 0).all()


def test_many_small_parts_are_merged(tmp_path):
    """A folder that grows by a few images a day does not get a part for each day."""
    store = FactsStore(tmp_path, 100.0)
    for number in range(40):
        store.append([make_row(number)])
    assert len(parts(tmp_path)) == 40
    store.tidy([])
    assert len(parts(tmp_path)) == 1
    located = store.locate(want(range(40)))
    assert located.row.tolist() == list(range(40))
    assert len(store.read_long(located.parts[0], "thumbnail")) == 40


def test_outdated_rows_go(tmp_path):
    """A file that changes every day has one row, the newest."""
    store = FactsStore(tmp_path, 100.0)
    for day in range(30):
        store.append([make_row(number, changed=day) for number in range(3)])
        store.tidy([])
    rows = [pq.read_metadata(tmp_path / name).num_rows for name in parts(tmp_path)]
    assert sum(rows) <= 3 * 4
    assert (store.locate(want(range(3), changed=29)).part >= 0).all()


def test_large_parts_are_left_alone(tmp_path, monkeypatch):
    """Merging does not write everything again and again."""
    monkeypatch.setattr(facts_store, "ROWS_PER_PART", 10)
    store = FactsStore(tmp_path, 100.0)
    large, _ = store.append([make_row(number) for number in range(10)])
    for number in range(20, 45):
        store.append([make_row(number)])
    store.tidy([])
    sizes = {name: pq.read_metadata(tmp_path / name).num_rows for name in parts(tmp_path)}
    assert sizes[large] == 10
    assert sorted(sizes.values()) == [5, 10, 10, 10]


def test_leftovers_and_unused_facts_are_removed(tmp_path):
    """What a killed writer left, what is damaged and what an older version wrote long ago."""
    store = FactsStore(tmp_path, 100.0)
    store.append([make_row(0)])
    for name in (".facts-1.parquet.abcdefgh.tmp.parquet", "facts-00000000-1-a.parquet", "facts-00000000-2-b.parquet"):
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / "facts-00000000-1-a.parquet", (0, 0))
    store.tidy([])
    assert not (tmp_path / ".facts-1.parquet.abcdefgh.tmp.parquet").exists()
    assert not (tmp_path / "facts-00000000-1-a.parquet").exists()
    assert (tmp_path / "facts-00000000-2-b.parquet").exists()


WRITER = """
import sys
from pathlib import Path
from phytoscope.data.facts import facts_store
from phytoscope.data.facts import image_facts
from phytoscope.schema.progress import SilentProgress
image_facts.ROWS_PER_PART = 3
root = Path(sys.argv[1])
names = sorted(str(path) for path in (root / "images").iterdir())[int(sys.argv[2]) :: 2] * 2
for _ in range(3):
    image_facts.read_image_facts(names, root / "facts", max_megapixels=100.0, workers=2, progress=SilentProgress())
"""


def test_several_processes_use_one_folder(tmp_path):
    """Two that write and merge at the same time lose nothing."""
    for number in range(120):
        write_image(tmp_path / "images" / f"{number}.png", seed=number, height=6, width=6)
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), part], stderr=subprocess.PIPE, text=True)
        for part in "01"
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    class Forbidden(SilentProgress):
        def advance(self, units=1, note=""):
            message = "a file is read again"
            raise AssertionError(message)

    names = sorted(str(path) for path in (tmp_path / "images").iterdir())
    facts = read_image_facts(names, tmp_path / "facts", max_megapixels=100.0, workers=1, progress=Forbidden())
    assert facts.table["sha256"].nunique() == 120
    assert len(parts(tmp_path / "facts")) <= 20
