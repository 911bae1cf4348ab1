"""The pixel cache is built once, is right or absent, and never half there."""

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.data.cache import pixel_cache as cache_module
from phytoscope.data.cache import shards
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.errors import ArtifactError, ImageReadError, StorageError
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import read_image
from phytoscope.transforms.preprocess import Preprocess

SQUASH = Preprocess(16, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
SMALLER = Preprocess(8, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


class StopAfter(SilentProgress):
    def __init__(self, images):
        self.left = images

    def advance(self, units=1, note=""):
        self.left -= units
        if self.left < 0:
            raise KeyboardInterrupt


def open_cache(manifest, folder, preprocess=SQUASH, progress=None):
    return open_pixel_cache(manifest, preprocess, folder, workers=1, progress=progress or SilentProgress())


def pixel_files(folder):
    return sorted(path for path in folder.rglob("pixels.npy") if ".tmp" not in str(path.parent.name))


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.endswith(".old")]


def count_built(manifest, folder, preprocess=SQUASH):
    return open_cache(manifest, folder, preprocess).built


def expected_squares(manifest, preprocess=SQUASH):
    return np.stack([preprocess(read_image(Path(path), max_megapixels=1)) for path in manifest["path"]])


def list_images(folder, numbers):
    paths = [write_image(folder / f"{number}.png", seed=number) for number in numbers]
    names = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return pd.DataFrame({"path": list(map(str, paths)), "sha256": names})


@pytest.fixture
def manifest(tmp_path):
    """Five images, the last one a copy of the first."""
    paths = [write_image(tmp_path / "images" / f"{number}.png", seed=number % 4) for number in range(5)]
    return pd.DataFrame(
        {"path": list(map(str, paths)), "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]}
    )


def test_squares_are_those_of_the_preparation(manifest, tmp_path):
    """Every row of the manifest finds its own square; copies share one."""
    cache = open_cache(manifest, tmp_path / "cache")
    squares = cache.pixels[cache.rows(manifest["sha256"])]
    expected = [SQUASH(read_image(Path(path), max_megapixels=1)) for path in manifest["path"]]
    assert np.array_equal(squares, expected)
    assert cache.pixels.shape == (4, 16, 16, 3)


def test_cache_is_built_once(manifest, tmp_path):
    """The second opening reads no image, whatever the order of the rows and wherever the images are now."""
    open_cache(manifest, tmp_path / "cache")
    [file] = pixel_files(tmp_path / "cache")
    before = file.stat().st_mtime_ns
    cache = open_cache(manifest.iloc[::-1].assign(path="gone"), tmp_path / "cache")
    assert file.stat().st_mtime_ns == before
    assert len(cache.pixels) == 4


def test_other_preparation_has_another_cache(manifest, tmp_path):
    """Squares of another size do not disturb each other."""
    open_cache(manifest, tmp_path / "cache")
    smaller = open_cache(manifest, tmp_path / "cache", SMALLER)
    again = open_cache(manifest, tmp_path / "cache")
    assert (smaller.built, again.built) == (4, 0)
    assert np.array_equal(smaller.pixels[smaller.rows(manifest["sha256"])], expected_squares(manifest, SMALLER))
    assert np.array_equal(again.pixels[again.rows(manifest["sha256"])], expected_squares(manifest))


def test_pixels_cannot_be_changed(manifest, tmp_path):
    """Who writes into the cache by mistake is told so, and what it gives are copies."""
    cache = open_cache(manifest, tmp_path / "cache")
    with pytest.raises(TypeError, match="does not support item assignment"):
        cache.pixels[0] = 0
    cache.pixels[[0, 1]][:] = 0
    assert np.array_equal(cache.pixels[cache.rows(manifest["sha256"])], expected_squares(manifest))


@pytest.mark.parametrize(
    "damage", ["cut", "emptied", "removed", "other_shape", "other_pixels", "no_index", "bad_index"]
)
def test_damaged_cache_is_rebuilt(manifest, tmp_path, damage):
    """A cache is a convenience: what is wrong with it mends itself."""
    expected = open_cache(manifest, tmp_path / "cache").pixels[:]
    [file] = pixel_files(tmp_path / "cache")
    content = file.read_bytes()
    if damage == "other_shape":
        np.save(file, np.zeros((4, 2, 2, 3), dtype=np.uint8))
    elif damage == "removed":
        file.unlink()
    elif damage == "other_pixels":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    elif damage == "no_index":
        (file.parent / "index.json").unlink()
    elif damage == "bad_index":
        (file.parent / "index.json").write_text("[1, 2", encoding="ascii")
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    cache = open_cache(manifest, tmp_path / "cache")
    assert cache.built == 4
    assert np.array_equal(cache.pixels[:], expected)


def test_changed_image_is_not_learned_from(manifest, tmp_path):
    """A picture that is another one since the manifest was made is an error, and nothing half-built is left."""
    write_image(Path(manifest["path"][1]), seed=77)
    with pytest.raises(ArtifactError, match=r"1\.png' has changed since the data were prepared"):
        open_cache(manifest, tmp_path / "cache")
    assert pixel_files(tmp_path / "cache") == leftovers(tmp_path / "cache") == []


def test_vanished_image_is_named(manifest, tmp_path):
    """A picture that is gone is named, and nothing half-built is left."""
    Path(manifest["path"][1]).unlink()
    with pytest.raises(ImageReadError, match=r"1\.png': the file does not exist"):
        open_cache(manifest, tmp_path / "cache")
    assert pixel_files(tmp_path / "cache") == leftovers(tmp_path / "cache") == []


def test_stopped_builder_leaves_nothing_usable(manifest, tmp_path):
    """After Ctrl-C there is no cache, and the next run builds a whole one."""
    with pytest.raises(KeyboardInterrupt):
        open_cache(manifest, tmp_path / "cache", progress=StopAfter(1))
    assert pixel_files(tmp_path / "cache") == []
    assert len(open_cache(manifest, tmp_path / "cache").pixels) == 4


def test_leftover_of_a_killed_builder_is_not_taken(manifest, tmp_path):
    """A half-written folder beside the place is ignored, and cleared away by the next builder."""
    open_cache(manifest, tmp_path / "cache")
    [file] = pixel_files(tmp_path / "cache")
    file.parent.rename(file.parents[1] / f".{file.parent.name}.abcdefgh.tmp")
    cache = open_cache(manifest, tmp_path / "cache")
    assert cache.built == len(cache.pixels) == 4
    assert len(pixel_files(tmp_path / "cache")) == 1
    assert leftovers(tmp_path / "cache") == []


class TestSharing:
    """A square is known by the content of the image, so no image is decoded twice."""

    def test_only_new_and_changed_images_are_decoded(self, tmp_path):
        """One image more and one other content: two decoded."""
        first = list_images(tmp_path, range(6))
        assert count_built(first, tmp_path / "cache") == 6
        write_image(Path(first["path"][2]), seed=100)
        second = list_images(tmp_path, [0, 1, 3, 4, 5, 6])
        changed = hashlib.sha256(Path(first["path"][2]).read_bytes()).hexdigest()
        second.loc[6] = [first["path"][2], changed]
        cache = open_cache(second, tmp_path / "cache")
        assert cache.built == 2
        assert np.array_equal(cache.pixels[cache.rows(second["sha256"])], expected_squares(second))

    def test_overlapping_data_share(self, tmp_path):
        """The half that two data sets have in common is decoded once."""
        assert count_built(list_images(tmp_path, range(6)), tmp_path / "cache") == 6
        assert count_built(list_images(tmp_path, range(3, 9)), tmp_path / "cache") == 3
        assert count_built(list_images(tmp_path, range(9)), tmp_path / "cache") == 0

    def test_many_shards_read_as_one(self, tmp_path, monkeypatch):
        """Where a square lies does not show, however the rows are asked for."""
        monkeypatch.setattr(shards, "SHARD_BYTES", 2 * 16 * 16 * 3)
        manifest = list_images(tmp_path, range(7))
        cache = open_cache(manifest, tmp_path / "cache")
        assert len(pixel_files(tmp_path / "cache")) == 4
        expected = expected_squares(manifest)
        assert np.array_equal(cache.pixels[:], expected)
        for rows in (np.array([6, 0, 3, 3]), [1], slice(2, 6), np.array([], dtype=np.int64), np.array([-1])):
            assert np.array_equal(cache.pixels[rows], expected[rows])
        assert np.array_equal(cache.pixels[5], expected[5])
        with pytest.raises(IndexError, match="out of bounds"):
            cache.pixels[[7]]

    def test_other_decoder_has_other_squares(self, tmp_path, monkeypatch):
        """After an update of the decoder the squares are made again."""
        manifest = list_images(tmp_path, range(2))
        assert count_built(manifest, tmp_path / "cache") == 2
        monkeypatch.setattr(cache_module, "read_decoder_versions", lambda: {"pillow": "99"})
        assert count_built(manifest, tmp_path / "cache") == 2

    def test_loading_process_receives_names_only(self, tmp_path):
        """A pickled cache is small and reads the same."""
        manifest = list_images(tmp_path, range(40))
        pixels = open_cache(manifest, tmp_path / "cache").pixels
        sent = pickle.dumps(pixels)
        assert len(sent) < 2000 < np.prod(pixels.shape)
        assert np.array_equal(pickle.loads(sent)[:], pixels[:])  # noqa: S301 (our own bytes)

    def test_removed_shard_is_named_to_a_loading_process(self, manifest, tmp_path):
        """A process that starts after the cache was removed says what to do; one that has mapped it reads on."""
        cache = open_cache(manifest, tmp_path / "cache")
        sent = pickle.dumps(cache.pixels)
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(ArtifactError, match=r"removed or damaged meanwhile.*run the command again"):
            pickle.loads(sent)  # noqa: S301 (our own bytes)
        assert np.array_equal(cache.pixels[cache.rows(manifest["sha256"])], expected_squares(manifest))

    def test_copied_cache_is_checked_once_and_taken(self, manifest, tmp_path):
        """On another disk the times of the files differ; the content decides."""
        open_cache(manifest, tmp_path / "cache")
        shutil.copytree(tmp_path / "cache", tmp_path / "copy", copy_function=shutil.copyfile)
        [file] = pixel_files(tmp_path / "copy")
        assert count_built(manifest, tmp_path / "copy") == 0
        assert json.loads((file.parent / "index.json").read_text())["checked_mtime_ns"] == file.stat().st_mtime_ns

    def test_full_disk_is_known_before_hours_of_work(self, manifest, tmp_path, monkeypatch):
        """When the squares cannot fit, nothing is decoded."""
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(StorageError, match=r"pixels need 0\.00 GB, the disk has 0\.00 GB left"):
            open_cache(manifest, tmp_path / "cache")


BUILD = """
import os, signal, sys
from pathlib import Path
import pandas as pd
from phytoscope.data.cache import shards
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.preprocess import Preprocess

shards.SHARD_BYTES = 4 * 16 * 16 * 3
left = int(sys.argv[3])

class KillAfter(SilentProgress):
    def advance(self, units=1, note=""):
        global left
        left -= units
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

preprocess = Preprocess(16, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
cache = open_pixel_cache(pd.read_csv(sys.argv[1]), preprocess, Path(sys.argv[2]), workers=1, progress=KillAfter())
print(cache.built)
"""


def start_builder(manifest, folder, kill_after=-1):
    manifest.to_csv(folder / "manifest.csv")
    command = [sys.executable, "-c", BUILD, str(folder / "manifest.csv"), str(folder / "cache"), str(kill_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("kill_after", [1, 10])
def test_killed_builder_leaves_whole_shards_only(tmp_path, kill_after):
    """After kill -9 the finished shards are taken, the rest is built, and what it left is cleared away."""
    manifest = list_images(tmp_path, range(14))
    builder = start_builder(manifest, tmp_path, kill_after)
    builder.communicate(timeout=60)
    assert builder.returncode == -signal.SIGKILL
    assert leftovers(tmp_path / "cache")
    finished = 4 * len(pixel_files(tmp_path / "cache"))
    cache = open_cache(manifest, tmp_path / "cache")
    assert cache.built == 14 - finished
    assert (finished > 0) == (kill_after == 10)
    assert np.array_equal(cache.pixels[cache.rows(manifest["sha256"])], expected_squares(manifest))
    assert leftovers(tmp_path / "cache") == []


def test_processes_at_once_decode_every_image_once(tmp_path):
    """Two builders that start together make one cache between them."""
    manifest = list_images(tmp_path, range(30))
    builders = [start_builder(manifest, tmp_path) for _ in range(2)]
    results = [builder.communicate(timeout=60) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], results
    assert sorted(int(said) for said, _ in results) == [0, 30]
    cache = open_cache(manifest, tmp_path / "cache")
    assert np.array_equal(cache.pixels[cache.rows(manifest["sha256"])], expected_squares(manifest))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_read_only_place_is_named(manifest):
    """Where nothing can be written, the message names the place."""
    with pytest.raises(StorageError, match="cannot write '/proc/"):
        open_cache(manifest, Path("/proc/phytoscope-cache"))


def test_file_in_the_way_is_named(manifest, tmp_path):
    """A file where the folder should be is not overwritten."""
    (tmp_path / "cache").write_text("mine", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        open_cache(manifest, tmp_path / "cache")
    assert (tmp_path / "cache").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of the operating system")
def test_full_disk_is_an_error_and_not_a_crash(manifest, tmp_path):
    """When the file cannot grow, the process lives on, says so and leaves nothing behind."""
    manifest.to_csv(tmp_path / "manifest.csv")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import pandas as pd\n"
        "from phytoscope.data.cache.pixel_cache import open_pixel_cache\n"
        "from phytoscope.errors import StorageError\n"
        "from phytoscope.schema.choices import ResizeMode\n"
        "from phytoscope.schema.progress import SilentProgress\n"
        "from phytoscope.transforms.preprocess import Preprocess\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "preprocess = Preprocess(64, ResizeMode.squash, 'bilinear', (0, 0, 0), (1, 1, 1))\n"
        "try:\n"
        "    manifest, cache = pd.read_csv(sys.argv[1]), Path(sys.argv[2])\n"
        "    open_pixel_cache(manifest, preprocess, cache, workers=1, progress=SilentProgress())\n"
        "except StorageError as error:\n"
        "    sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "manifest.csv"), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert "free some space" in done.stderr
    assert pixel_files(tmp_path / "cache") == leftovers(tmp_path / "cache") == []
