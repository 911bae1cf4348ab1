"""Arrays computed of images are computed once, whoever asks, and survive kills and damage."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from phytoscope.data.cache import array_store, shards
from phytoscope.data.cache.array_store import ArrayKind, open_array_store
from phytoscope.errors import ArtifactError
from phytoscope.schema.progress import SilentProgress

NAMES = [f"{number:064x}" for number in range(7)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Two arrays a shard."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * 12 * 2)


@pytest.fixture
def store(tmp_path):
    return open_array_store(tmp_path, ArrayKind.activations, {"weights": "w"}, (3, 2, 2))


class Computer:
    """Gives each image its number, and notes what it was asked for."""

    def __init__(self, block=3, fail_after=None):
        self.asked = []
        self.block, self.fail_after = block, fail_after

    def __call__(self, positions):
        self.asked.append(positions.tolist())
        for first in range(0, len(positions), self.block):
            if self.fail_after is not None and first >= self.fail_after:
                raise KeyboardInterrupt
            yield np.stack([np.full((3, 2, 2), place, dtype=np.float32) for place in positions[first:][: self.block]])


def test_each_image_is_computed_once(store):
    """In the order of the names, also for one that is named twice; the second time nothing is computed."""
    computer = Computer()
    names = [*NAMES, NAMES[2]]
    for _ in range(2):
        arrays = store.complete(names, computer)
        assert arrays.shape == (8, 3, 2, 2)
        assert arrays.dtype == np.float16
        assert arrays[:][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 2]
    assert computer.asked == [list(range(7))]
    assert len(arrays.places) == 3


def test_only_what_is_missing_is_computed(store):
    """A new image among known ones costs one image."""
    store.complete(NAMES[:6], Computer())
    computer = Computer()
    assert store.find_missing(NAMES).tolist() == [6]
    assert store.complete(NAMES[::-1], computer)[0].max() == 0
    assert computer.asked == [[0]]


def test_another_key_is_another_store(tmp_path, store):
    """Other weights, another shape or another kind never meet."""
    others = [
        open_array_store(tmp_path, ArrayKind.activations, {"weights": "other"}, (3, 2, 2)),
        open_array_store(tmp_path, ArrayKind.activations, {"weights": "w"}, (12,)),
        open_array_store(tmp_path, ArrayKind.features, {"weights": "w"}, (3, 2, 2)),
        open_array_store(tmp_path, ArrayKind.activations, {"weights": "w"}, (3, 2, 2), "<f4"),
    ]
    assert len({store.place, *(other.place for other in others)}) == 5


def test_what_was_computed_before_an_interruption_is_kept(store):
    """A Ctrl-C in the middle costs what was in flight."""
    with pytest.raises(KeyboardInterrupt):
        store.complete(NAMES, Computer(fail_after=6))
    assert store.find_missing(NAMES).tolist() == [6]


def test_a_damaged_shard_is_computed_again(store):
    """A file that lost bytes or whose content was changed is not believed."""
    places = sorted(store.complete(NAMES, Computer()).places)
    with (places[0] / "arrays.npy").open("r+b") as stream:
        stream.truncate(100)
    with (places[1] / "arrays.npy").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    missing = store.find_missing(NAMES)
    assert 2 <= len(missing) <= 4
    with pytest.raises(ArtifactError, match="lacks"):
        store.read(NAMES)
    assert store.complete(NAMES, Computer())[:][:, 0, 0, 0].tolist() == list(range(7))


@pytest.mark.parametrize("block", [np.zeros((1, 3, 2, 3)), np.zeros((8, 3, 2, 2))])
def test_arrays_of_another_form_are_refused(store, block):
    """Another shape, or more arrays than were asked for."""
    with pytest.raises(ArtifactError, match="at most"):
        store.complete(NAMES, lambda _: [block])


def test_too_few_arrays_are_refused(store):
    """What came is kept, but the caller learns of it."""
    with pytest.raises(ArtifactError, match="1 arrays were computed where 7"):
        store.complete(NAMES, lambda _: [np.zeros((1, 3, 2, 2))])


def test_large_numbers_are_cut_to_the_range(store):
    """Half precision ends at 65504; infinity would poison what is learned from it."""
    arrays = store.complete(NAMES[:2], lambda _: [np.stack([np.full((3, 2, 2), 1e6), np.full((3, 2, 2), -1e9)])])
    assert arrays[:][:, 0, 0, 0].tolist() == [65504, -65504]


def test_two_at_once_compute_once(store):
    """The second waits and takes what the first made."""
    started, computer = threading.Event(), Computer(block=1)

    def slow(positions):
        started.set()
        time.sleep(0.3)
        yield from computer(positions)

    thread = threading.Thread(target=lambda: store.complete(NAMES, slow))
    thread.start()
    started.wait(10)
    other = Computer()
    arrays = store.complete(NAMES, other, SilentProgress())
    thread.join()
    assert other.asked == []
    assert arrays[:][:, 0, 0, 0].tolist() == list(range(7))


def test_a_killed_process_loses_what_was_not_published(tmp_path, store):
    """After kill -9 the finished shards are read and the rest is computed."""
    program = f"""
import os, signal, sys
from pathlib import Path
import numpy as np
from phytoscope.data.cache import shards
from phytoscope.data.cache.array_store import ArrayKind, open_array_store
shards.SHARD_BYTES = {2 * 12 * 2}
def compute(positions):
    for count, place in enumerate(positions):
        if count == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield np.full((1, 3, 2, 2), place, dtype=np.float32)
store = open_array_store(Path({str(tmp_path)!r}), ArrayKind.activations, {{"weights": "w"}}, (3, 2, 2))
store.complete({NAMES!r}, compute)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    computer = Computer()
    assert store.complete(NAMES, computer)[:][:, 0, 0, 0].tolist() == list(range(7))
    assert computer.asked == [[4, 5, 6]]
    assert not [entry for entry in store.place.iterdir() if entry.name.startswith(".")]


def test_what_was_computed_is_published_in_time(store, monkeypatch):
    """Long before a shard is full, when the arrays are small and slow to compute."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2**20)
    monkeypatch.setattr(array_store, "_PUBLISHED_EVERY_S", 0.0)
    assert len(store.complete(NAMES, Computer()).places) == 3
