"""The pixel cache is built once, is right or absent, and never half there."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.data.cache import open_pixel_cache
from phytoscope.errors import ArtifactError, ImageReadError, StorageError
from phytoscope.schema.config import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import read_image
from phytoscope.transforms.preprocess import Preprocess

SQUASH = Preprocess(16, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


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
    """Squares of another size, or of fewer images, do not disturb each other."""
    open_cache(manifest, tmp_path / "cache")
    open_cache(manifest, tmp_path / "cache", Preprocess(8, ResizeMode.squash, "bilinear", SQUASH.mean, SQUASH.std))
    open_cache(manifest[:2], tmp_path / "cache")
    assert len(pixel_files(tmp_path / "cache")) == 3


def test_pixels_cannot_be_changed(manifest, tmp_path):
    """Who writes into the map by mistake is told so."""
    cache = open_cache(manifest, tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        cache.pixels[0] = 0


@pytest.mark.parametrize("damage", ["cut", "emptied", "removed", "other_shape"])
def test_damaged_cache_is_rebuilt(manifest, tmp_path, damage):
    """A cache is a convenience: what is wrong with it mends itself."""
    expected = np.array(open_cache(manifest, tmp_path / "cache").pixels)
    [file] = pixel_files(tmp_path / "cache")
    content = file.read_bytes()
    if damage == "other_shape":
        np.save(file, np.zeros((4, 2, 2, 3), dtype=np.uint8))
    elif damage == "removed":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    assert np.array_equal(open_cache(manifest, tmp_path / "cache").pixels, expected)


def test_changed_image_is_not_learned_from(manifest, tmp_path):
    """A picture that is another one since the manifest was made is an error, and no cache is left."""
    write_image(Path(manifest["path"][1]), seed=77)
    with pytest.raises(ArtifactError, match=r"1\.png' has changed since the data were prepared"):
        open_cache(manifest, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_vanished_image_is_named(manifest, tmp_path):
    """A picture that is gone is named, and no cache is left."""
    Path(manifest["path"][1]).unlink()
    with pytest.raises(ImageReadError, match=r"1\.png': the file does not exist"):
        open_cache(manifest, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_stopped_builder_leaves_nothing_usable(manifest, tmp_path):
    """After Ctrl-C there is no cache, and the next run builds a whole one."""
    with pytest.raises(KeyboardInterrupt):
        open_cache(manifest, tmp_path / "cache", progress=StopAfter(1))
    assert pixel_files(tmp_path / "cache") == []
    assert len(open_cache(manifest, tmp_path / "cache").pixels) == 4


def test_leftover_of_a_killed_builder_is_not_taken(manifest, tmp_path):
    """A half-written folder beside the place is ignored."""
    open_cache(manifest, tmp_path / "cache")
    [file] = pixel_files(tmp_path / "cache")
    file.parent.rename(file.parents[1] / f".{file.parent.name}.abcdefgh.tmp")
    expected = open_cache(manifest, tmp_path / "cache")
    assert len(expected.pixels) == 4
    assert len(pixel_files(tmp_path / "cache")) == 1


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
        "from phytoscope.data.cache import open_pixel_cache\n"
        "from phytoscope.errors import StorageError\n"
        "from phytoscope.schema.config import ResizeMode\n"
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
    assert list((tmp_path / "cache").iterdir()) == []
