"""Every file is read once, whatever is wrong with it, and never again until it changes."""

import hashlib
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from factories.images import broken_files, encode, write_image
from factories.textures import draw_texture
from phytoscope.data.cache.cache_care import prune_cache
from phytoscope.data.facts import image_facts
from phytoscope.data.facts.image_facts import ImageFacts, read_image_facts
from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.image_facts import SMALL_COLUMNS
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import decode_image


class CountingProgress(SilentProgress):
    def __init__(self):
        self.units = 0
        self.said = ""

    def start(self, description, total):
        self.said = description

    def advance(self, units=1, note=""):
        self.units += units


def read(paths, folder, workers=2, max_megapixels=100.0):
    progress = CountingProgress()
    paths = [str(path) for path in paths]
    facts = read_image_facts(paths, folder, max_megapixels=max_megapixels, workers=workers, progress=progress)
    return facts, progress.units


def write_many(folder, count, size=8):
    return [write_image(folder / f"{number}.png", seed=number, height=size, width=size) for number in range(count)]


def parts(folder):
    return sorted(folder.glob("facts-*.parquet"))


def test_twenty_broken_files_of_two_hundred(tmp_path):
    """Twenty reasons, a hundred and eighty good rows, all in the order asked for."""
    paths = write_many(tmp_path / "images", 180)
    bad = {}
    for number, (fault, (content, text)) in enumerate(broken_files().items()):
        for copy in range(2):
            path = tmp_path / "images" / f"bad_{number}_{copy}.png"
            path.write_bytes(content)
            bad[str(path)] = (fault, text)
    (tmp_path / "images" / "folder.jpg").mkdir()
    bad |= {str(tmp_path / "images" / "folder.jpg"): ("folder", "this is a folder, not a file")}
    bad |= {str(tmp_path / "images" / "gone.jpg"): ("gone", "the file does not exist")}
    names = [str(path) for path in paths] + list(bad)
    names = [names[place] for place in np.random.default_rng(0).permutation(len(names))]
    facts, units = read(names, tmp_path / "facts")
    table = facts.table
    assert (len(bad), units, list(table["path"])) == (20, 200, names)
    assert (table["reason"] == "").sum() == 180
    for row in table[table["reason"] != ""].to_dict("records"):
        assert bad[row["path"]][1] in row["reason"]
        assert (row["sha256"], row["width_px"], row["perceptual_hash"]) == ("", 0, 0)
        assert np.isnan(row["brightness"])
    broken = np.flatnonzero(table["reason"] != "")
    assert not facts.thumbnails(broken).any()
    assert not facts.hash_variants(broken).any()
    assert not facts.features(broken).any()


def test_unknown_extension_is_told_as_before(tmp_path):
    """A file is judged by its name first."""
    facts, _ = read([tmp_path / "a.gif", tmp_path / "b"], tmp_path / "facts")
    assert list(facts.table["reason"]) == ["unknown image extension '.gif'", "unknown image extension ''"]


def test_columns_and_values(tmp_path):
    """The table has the agreed columns, and what they say is true of the file."""
    path = write_image(tmp_path / "a.jpg", height=40, width=60)
    facts, _ = read([path], tmp_path / "facts")
    row = facts.table.iloc[0]
    assert tuple(facts.table.columns) == SMALL_COLUMNS
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["format"], row["channels"], row["width_px"], row["height_px"]) == ("JPEG", "RGB", 60, 40)
    status = path.stat()
    assert (row["size_bytes"], row["modified_ns"], row["changed_ns"]) == (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    assert facts.thumbnails(np.array([0])).shape == (1, 32, 32, 3)
    assert facts.hash_variants(np.array([0]))[0, 0] == row["perceptual_hash"]
    assert facts.features(np.array([0])).shape == (1, 343)


def test_size_is_that_of_the_upright_original(tmp_path):
    """A large JPEG that lies on its side and is decoded small still tells its own size."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(encode(draw_texture(600, 1200), "JPEG", exif=exif.tobytes()))
    facts, _ = read([tmp_path / "a.jpg"], tmp_path / "facts")
    row = facts.table.iloc[0]
    assert (row["width_px"], row["height_px"], row["exif_orientation"]) == (600, 1200, 6)
    assert row["green_px"] == pytest.approx(row["green_fraction"] * 600 * 1200, abs=1)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_truncated_jpeg_is_found_though_decoded_small(tmp_path, share):
    """What the whole decoder refuses is refused by the quick one with the same words."""
    content = encode(draw_texture(1100, 1300), "JPEG")
    (tmp_path / "a.jpg").write_bytes(content[: int(len(content) * share)])
    facts, _ = read([tmp_path / "a.jpg"], tmp_path / "facts")
    assert facts.table["reason"][0] == "the file is truncated"


def test_second_pass_reads_only_what_is_new_or_changed(tmp_path):
    """Nothing is read twice; a changed file is, also one that was unreadable."""
    paths = write_many(tmp_path / "images", 12)
    paths[3].write_bytes(b"no picture")
    first, units = read(paths, tmp_path / "facts")
    assert units == 12
    again, units = read(paths, tmp_path / "facts")
    assert units == 0
    pd.testing.assert_frame_equal(first.table, again.table)
    write_image(paths[3], seed=99)
    write_image(paths[5], seed=98)
    os.utime(paths[5], ns=(1, 1))
    changed, units = read([*paths, write_image(tmp_path / "images" / "new.png", seed=97)], tmp_path / "facts")
    assert units == 3
    assert (changed.table["reason"] == "").all()
    assert changed.table["sha256"][5] != first.table["sha256"][5]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the time when the file was made")
def test_other_content_of_the_same_size_and_time_is_seen(tmp_path):
    """A copy that carries over the time of its original (cp -p, rsync -t) is another file all the same."""
    path, other = tmp_path / "a.bmp", tmp_path / "b.bmp"
    write_image(path, seed=1)
    write_image(other, seed=2)
    before, _ = read([path], tmp_path / "facts")
    status = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after, units = read([path], tmp_path / "facts")
    assert units == 1
    assert after.table["sha256"][0] == hashlib.sha256(other.read_bytes()).hexdigest() != before.table["sha256"][0]


def test_missing_file_is_looked_for_every_time(tmp_path):
    """What depends on more than the file's content is not kept."""
    facts, _ = read([tmp_path / "a.png"], tmp_path / "facts")
    assert facts.table["reason"][0] == "the file does not exist"
    write_image(tmp_path / "a.png")
    assert read([tmp_path / "a.png"], tmp_path / "facts")[0].table["reason"][0] == ""


def test_file_that_is_named_twice_is_read_once(tmp_path):
    """Both rows have its facts."""
    path = write_image(tmp_path / "a.png")
    facts, units = read([path, path], tmp_path / "facts")
    assert (units, len(facts.table), facts.table["sha256"].nunique()) == (1, 2, 1)
    assert len(facts.thumbnails(np.array([1, 0, 1]))) == 3


def test_no_files_give_an_empty_table(tmp_path):
    """There is nothing to write either."""
    facts, _ = read([], tmp_path / "facts")
    assert (tuple(facts.table.columns), len(facts.table)) == (SMALL_COLUMNS, 0)
    assert facts.thumbnails(np.array([], dtype=int)).shape == (0, 32, 32, 3)
    assert not (tmp_path / "facts").exists()


def test_size_limit_is_part_of_the_key(tmp_path):
    """With another limit another file is too large."""
    path = write_image(tmp_path / "a.png", height=20, width=20)
    assert "more than the limit" in read([path], tmp_path / "facts", max_megapixels=1e-4)[0].table["reason"][0]
    assert read([path], tmp_path / "facts")[0].table["reason"][0] == ""


def test_order_of_positions_is_kept_over_several_parts(tmp_path, monkeypatch):
    """Long columns are gathered part by part and come in the order asked for."""
    monkeypatch.setattr(image_facts, "ROWS_PER_PART", 5)
    paths = write_many(tmp_path / "images", 17)
    facts, _ = read(paths, tmp_path / "facts")
    order = np.random.default_rng(1).permutation(17)
    variants = facts.hash_variants(order)
    assert variants[:, 0].tolist() == facts.table["perceptual_hash"].to_numpy()[order].tolist()
    expected = [decode_image(paths[place].read_bytes(), name="", max_megapixels=1)[0, 0] for place in order]
    assert np.abs(facts.thumbnails(order)[:, 0, 0].astype(int) - np.array(expected)).max() <= 3


def test_damaged_facts_are_taken_again(tmp_path):
    """A part that a disk has spoilt costs the time to read its files again, and is gone afterwards."""
    paths = write_many(tmp_path / "images", 6)
    first, _ = read(paths, tmp_path / "facts")
    [part] = parts(tmp_path / "facts")
    part.write_bytes(part.read_bytes()[:-50])
    progress = CountingProgress()
    names = [str(path) for path in paths]
    again = read_image_facts(names, tmp_path / "facts", max_megapixels=100.0, workers=1, progress=progress)
    assert (progress.units, len(parts(tmp_path / "facts"))) == (6, 1)
    assert "damaged" in progress.said
    pd.testing.assert_frame_equal(first.table, again.table)


@pytest.mark.parametrize("spoil", ["remove", "garble", "merge"])
def test_facts_that_vanish_later_are_found_or_taken_again(tmp_path, spoil):
    """The long columns are right whatever happens to the parts after the table was read."""
    paths = write_many(tmp_path / "images", 6)
    facts, _ = read(paths, tmp_path / "facts")
    before = facts.thumbnails(np.arange(6))
    [part] = parts(tmp_path / "facts")
    if spoil == "garble":
        content = bytearray(part.read_bytes())
        content[: len(content) // 2] = bytes(len(content) // 2)
        part.write_bytes(content)
    elif spoil == "merge":
        part.rename(part.with_name(part.name.replace("-0", "-1", 1)))
    else:
        part.unlink()
    assert np.array_equal(facts.thumbnails(np.array([4, 1])), before[[4, 1]])


@pytest.mark.parametrize("moment", [1, 7, 20])
def test_cache_that_is_pruned_during_a_pass_costs_time_only(tmp_path, monkeypatch, moment):
    """`phytoscope cache prune --all` beside a running inspection takes nothing from it."""
    monkeypatch.setattr(image_facts, "ROWS_PER_PART", 5)
    paths = write_many(tmp_path / "images", 20)
    expected, _ = read(paths, tmp_path / "other" / "facts")

    class Pruning(CountingProgress):
        def advance(self, units=1, note=""):
            super().advance(units)
            if self.units == moment:
                prune_cache(tmp_path / "cache", everything=True)

    (tmp_path / "cache").mkdir()
    names = [str(path) for path in paths]
    facts = read_image_facts(names, tmp_path / "cache" / "facts", max_megapixels=100.0, workers=2, progress=Pruning())
    prune_cache(tmp_path / "cache", everything=True)
    pd.testing.assert_frame_equal(facts.table, expected.table)
    places = np.arange(20)
    assert np.array_equal(facts.thumbnails(places), expected.thumbnails(places))
    prune_cache(tmp_path / "cache", everything=True)
    assert np.array_equal(facts.features(places[::-1]), expected.features(places[::-1]))


def test_facts_that_vanished_are_taken_once(tmp_path):
    """What was taken again is found at the next question."""
    paths = write_many(tmp_path / "images", 6)
    facts, _ = read(paths, tmp_path / "facts")
    parts(tmp_path / "facts")[0].unlink()
    facts.thumbnails(np.arange(6))
    [part] = parts(tmp_path / "facts")
    facts.features(np.arange(6))
    assert parts(tmp_path / "facts") == [part]


def test_change_after_the_facts_vanished_is_told(tmp_path):
    """Facts of two states of one file are never mixed."""
    [path] = write_many(tmp_path / "images", 1)
    facts, _ = read([path], tmp_path / "facts")
    parts(tmp_path / "facts")[0].unlink()
    write_image(path, seed=9, height=30)
    with pytest.raises(ArtifactError, match="has changed meanwhile"):
        facts.features(np.array([0]))


def test_facts_without_a_store_have_a_table_only():
    """The table can be made by hand; the rest is on the disk."""
    with pytest.raises(ArtifactError, match="no 'thumbnail' of 1 files"):
        ImageFacts(pd.DataFrame()).thumbnails(np.array([0]))


def test_folder_that_cannot_be_written_is_told(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "facts").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        read(write_many(tmp_path / "images", 1), tmp_path / "facts")


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    """Eight times the images need no more than their rows of the small table: 4 kB each stay on the disk."""
    monkeypatch.setattr(image_facts, "ROWS_PER_PART", 40)
    paths = write_many(tmp_path / "images", 320)
    read(paths[:40], tmp_path / "warm", workers=1)
    peaks = []
    for count in (40, 320):
        tracemalloc.start()
        read(paths[:count], tmp_path / f"facts{count}", workers=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 280 * 1_500


KILLED = """
import os, signal, sys
from pathlib import Path
from phytoscope.data.facts import image_facts
from phytoscope.schema.progress import SilentProgress
class Killer(SilentProgress):
    left = 26
    def advance(self, units=1, note=""):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
image_facts.ROWS_PER_PART = 10
# A program that was started in the background would ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
root = Path(sys.argv[1])
names = [str(root / "images" / f"{number}.png") for number in range(60)]
image_facts.read_image_facts(names, root / "facts", max_megapixels=100.0, workers=2, progress=Killer())
"""


@pytest.mark.parametrize(("name", "left"), [("SIGKILL", 40), ("SIGINT", 34)])
def test_stopped_pass_goes_on_where_it_was(tmp_path, name, left):
    """A kill costs the part in work at most; Ctrl-C costs nothing."""
    paths = write_many(tmp_path / "images", 60)
    command = [sys.executable, "-c", KILLED, str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -getattr(signal, name), done.stderr
    facts, units = read(paths, tmp_path / "facts")
    assert units == left
    assert (facts.table["reason"] == "").all()
