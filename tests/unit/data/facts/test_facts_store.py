"""Parts are written whole, merged when there are many of them, and forgotten when they are of no more use."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from factories.images import write_image
from phytoscope.data.cache_tag import is_tagged
from phytoscope.data.facts import facts_store
from phytoscope.data.facts.facts_store import EMPTY_ROW, FactsStore, Wanted, is_of_store
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.schema.progress import SilentProgress


def make_row(number, size=10, changed=5):
    long = {"perceptual_hash_variants": bytes(64), "thumbnail": bytes(3072), "features": bytes(10)}
    return {
        **EMPTY_ROW,
        "path": f"/{number}.png",
        "size_bytes": size,
        "modified_ns": 5,
        "changed_ns": changed,
        "sha256": f"{number}-{changed}",
        **long,
    }


def want(numbers, size=10, modified=5, changed=5):
    paths = pd.Index([f"/{number}.png" for number in numbers], dtype=object)
    return Wanted(paths, np.array([[size, modified, changed]] * len(numbers)))


def parts(folder):
    return sorted(path.name for path in folder.glob("facts-*.parquet"))


def test_rows_are_found_by_path_size_and_times(tmp_path):
    """Another size or time is another file; the time that nobody can set counts too."""
    store = FactsStore(tmp_path, 100.0)
    store.append([make_row(number) for number in range(4)])
    assert (store.locate(want([3, 1, 7])).part < 0).tolist() == [False, False, True]
    assert store.locate(want([3, 1])).row.tolist() == [3, 1]
    assert (store.locate(want([3], size=11)).part < 0).all()
    assert (store.locate(want([3], modified=6)).part < 0).all()
    assert (store.locate(want([3], changed=6)).part < 0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("FACTS_VERSION", 10_000), ("read_decoder_versions", lambda: {"pillow": "99"}), ("cv2.__version__", "99")],
)
def test_other_way_to_take_facts_does_not_meet(tmp_path, monkeypatch, name, value):
    """Facts that were taken under another limit, by another version or by another decoder are not read."""
    FactsStore(tmp_path, 100.0).append([make_row(0)])
    assert (FactsStore(tmp_path, 100.0).locate(want([0])).part >= 0).all()
    assert (FactsStore(tmp_path, 50.0).locate(want([0])).part < 0).all()
    monkeypatch.setattr(f"{facts_store.__name__}.{name}", value)
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


def test_merged_parts_are_no_larger_than_others(tmp_path, monkeypatch):
    """The memory of one full part is enough for the next merge too."""
    monkeypatch.setattr(facts_store, "ROWS_PER_PART", 10)
    store = FactsStore(tmp_path, 100.0)
    for number in range(0, 100, 4):
        store.append([make_row(number + place) for place in range(4)])
    store.tidy([])
    assert [pq.read_metadata(tmp_path / name).num_rows for name in parts(tmp_path)] == [10] * 10
    assert (store.locate(want(range(100))).part >= 0).all()


LEFTOVER = ".facts-01234567-00000000000000000001-89abcdef.parquet.abcdefgh.tmp.parquet"


def test_leftovers_and_unused_facts_are_removed(tmp_path):
    """What a killed writer left and what an older version wrote long ago, but nothing of anybody else."""
    store = FactsStore(tmp_path, 100.0)
    store.append([make_row(0)])
    old, new = (f"facts-00000000-{number:020d}-0000000a.parquet" for number in (1, 2))
    for name in (LEFTOVER, old, new, "facts-2024.parquet"):
        (tmp_path / name).write_bytes(b"x")
    for name in (old, "facts-2024.parquet"):
        os.utime(tmp_path / name, (0, 0))
    store.tidy([])
    assert [(tmp_path / name).exists() for name in (LEFTOVER, old, new, "facts-2024.parquet")] == [
        False,
        False,
        True,
        True,
    ]


def test_leftovers_go_at_every_pass(tmp_path):
    """A killed writer's file does not stay until somebody adds an image."""
    path = str(write_image(tmp_path / "a.png"))
    for _ in range(2):
        read_image_facts([path], tmp_path / "facts", max_megapixels=1.0, workers=1, progress=SilentProgress())
        assert not (tmp_path / "facts" / LEFTOVER).exists()
        (tmp_path / "facts" / LEFTOVER).write_bytes(b"x")


def test_folder_of_facts_is_marked_as_ours(tmp_path):
    """Backup programs pass it over, and `cache prune` knows it."""
    FactsStore(tmp_path / "facts", 100.0).append([make_row(0)])
    assert is_tagged(tmp_path / "facts")
    assert all(is_of_store(path.name) for path in (tmp_path / "facts").iterdir())


@pytest.mark.parametrize(
    "name", ["facts-2024.parquet", "facts-01234567-1-ab.parquet", "notes.txt", ".notes.abcdefgh.tmp"]
)
def test_file_of_somebody_else_is_none_of_the_store(name):
    """Only the very pattern of the store's names is its own."""
    assert not is_of_store(name)


WRITER = """
import sys
from pathlib import Path
from phytoscope.data.facts import facts_store
from phytoscope.data.facts import image_facts
from phytoscope.schema.progress import SilentProgress
image_facts.ROWS_PER_PART = 3
root = Path(sys.argv[1])
names = sorted(str(path) for path in (root / "images").iterdir())[int(sys.argv[2]) :: 2] * 2
for _ in range(2):
    image_facts.read_image_facts(names, root / "facts", max_megapixels=100.0, workers=2, progress=SilentProgress())
"""


def test_several_processes_use_one_folder(tmp_path):
    """Two that write and merge at the same time lose nothing."""
    for number in range(40):
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
    assert facts.table["sha256"].nunique() == 40
    assert len(parts(tmp_path / "facts")) <= 20
