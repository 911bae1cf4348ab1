"""Files that other machines look at give the same facts, written by this process, whatever is lost on the way."""

import os

import pandas as pd
import pyarrow.parquet as pq
import pytest

from factories.far_engine import FarEngine
from factories.images import write_image
from phytoscope.data.facts import image_facts, look_work
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.errors import ClusterError
from phytoscope.schema.progress import SilentProgress


class Counting(SilentProgress):
    def __init__(self, stop_after=None):
        self.units, self.stop_after = 0, stop_after

    def advance(self, units=1, note=""):
        self.units += units
        if self.units == self.stop_after:
            raise KeyboardInterrupt


def read(paths, folder, engine=None, progress=None):
    progress = Counting() if progress is None else progress
    return read_image_facts(paths, folder, max_megapixels=100.0, workers=1, progress=progress, engine=engine)


@pytest.fixture
def paths(tmp_path):
    """Twenty images, one that is none, one that is empty, one with a strange name, and one that is not there."""
    names = [str(write_image(tmp_path / f"{n}.png", seed=n, height=40, width=40)) for n in range(20)]
    for name, content in (("none.png", b"no image"), ("empty.jpg", b""), ("notes.txt", b"hello")):
        (tmp_path / name).write_bytes(content)
        names.append(str(tmp_path / name))
    return [*names[:10], str(tmp_path / "gone.png"), *names[10:]]


def long_rows(folder):
    parts = [pq.read_table(part).to_pandas() for part in sorted(folder.glob("facts-*.parquet"))]
    return pd.concat(parts).sort_values("path").reset_index(drop=True)


def test_same_facts_here_and_elsewhere(paths, tmp_path):
    """The table, the reasons and what is kept on the disk are equal; each file is told once."""
    here = read(paths, tmp_path / "here")
    progress, engine = Counting(), FarEngine()
    there = read(paths, tmp_path / "there", engine, progress)
    pd.testing.assert_frame_equal(there.table, here.table)
    pd.testing.assert_frame_equal(long_rows(tmp_path / "there"), long_rows(tmp_path / "here"))
    assert progress.units == len(paths)
    assert engine.rows > len(paths) - 1, "blocks were lost and done again"


def test_nothing_new_asks_nobody(paths, tmp_path):
    """A second pass over files that are known sends no work."""
    read(paths[:10], tmp_path / "facts")
    engine = FarEngine()
    read(paths[:10], tmp_path / "facts", engine)
    assert engine.titles == []


def test_interrupted_pass_keeps_what_came(paths, tmp_path):
    """After Ctrl-C only the rest is sent."""
    with pytest.raises(KeyboardInterrupt):
        read(paths[:10], tmp_path / "facts", FarEngine(), Counting(stop_after=7))
    engine = FarEngine(lose_every=0)
    read(paths[:10], tmp_path / "facts", engine)
    assert engine.rows == 3


class Unreachable(FarEngine):
    """Machines that do not have the first `missing` files."""

    missing = 0

    def map(self, work, rows, *, title, task_rows=None):
        self.titles.append(title)
        look = work.open(1)
        for number, path in enumerate(rows()):
            if number < self.missing:
                yield {"path": path, "reason": "cannot be read: No such file or directory"}, False
            else:
                yield from look([path])


def test_a_machine_without_the_images_is_blamed(paths, tmp_path):
    """Images are not rejected because the cluster cannot see them, and the message says what to do."""
    engine = Unreachable()
    engine.missing = 20
    with pytest.raises(ClusterError, match=r"can be read here but not on a machine of the cluster .* engine=local"):
        read(paths, tmp_path / "facts", engine)


def test_a_few_refusals_are_mended_here(paths, tmp_path):
    """A store that refuses some files for a moment costs a look in this process, and no image."""
    engine = Unreachable()
    engine.missing = 5
    there = read(paths, tmp_path / "facts", engine)
    pd.testing.assert_frame_equal(there.table, read(paths, tmp_path / "here").table)


def test_a_copy_with_another_entry_time_is_not_looked_at_again(paths, tmp_path, monkeypatch):
    """Machines with copies of the files have their own entry times, and the next pass still finds all known."""
    look = look_work.look_at_file

    def elsewhere(path, max_megapixels):
        row, stays = look(path, max_megapixels)
        return {**row, "changed_ns": 1}, stays

    monkeypatch.setattr(look_work, "look_at_file", elsewhere)
    read(paths[:10], tmp_path / "facts", FarEngine())
    engine = FarEngine()
    read(paths[:10], tmp_path / "facts", engine)
    assert engine.titles == []
    os.utime(paths[0], ns=(5, 5))
    read(paths[:10], tmp_path / "facts", engine)
    assert engine.rows == 1


def test_other_versions_are_refused(paths, tmp_path, monkeypatch):
    """A machine with another decoder would find other facts under the same name."""
    work = look_work.LookWork(10.0, {"pillow": "0.1"})
    monkeypatch.setattr(image_facts, "LookWork", lambda _: work)
    with pytest.raises(ClusterError, match=r"pillow .* instead of 0\.1.*same packages"):
        read(paths, tmp_path / "facts", FarEngine())


@pytest.mark.parametrize("cores", [1, 3, None])
def test_any_number_of_cores(paths, cores):
    """Looks come in the order of the files with one core and with several."""
    found = list(look_work.LookWork(10.0).open(cores)(paths))
    assert [row["path"] for row, _ in found] == paths
