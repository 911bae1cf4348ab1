"""Squares that other machines decode lie in the same shards, and are read there again where the cache is reachable."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest

from factories.far_engine import FarEngine
from factories.images import write_image
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.data.cache.square_reader import Picture, SquareReader
from phytoscope.data.cache.square_work import SquareWork
from phytoscope.errors import ArtifactError, ClusterError, ImageReadError
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.preprocess import Preprocess

SQUASH = Preprocess(16, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


@pytest.fixture
def manifest(tmp_path):
    """Seventeen images, the last of which has the content of the first."""
    paths = [write_image(tmp_path / "images" / f"{n}.png", seed=n % 16, height=30, width=20) for n in range(17)]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return pd.DataFrame({"path": list(map(str, paths)), "sha256": hashes})


def open_cache(manifest, folder, engine=None):
    return open_pixel_cache(manifest, SQUASH, folder, workers=1, progress=SilentProgress(), engine=engine)


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.name in ("pixels.npy",))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_same_shards_here_and_elsewhere(manifest, tmp_path, monkeypatch):
    """Names and content of the shards do not tell who decoded them, in which blocks, and what was done twice."""
    monkeypatch.setattr("phytoscope.data.cache.pixel_cache._TASK_SQUARES", 5)
    here = open_cache(manifest, tmp_path / "here")
    engine = FarEngine()
    there = open_cache(manifest, tmp_path / "there", engine)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert there.built == here.built == 16
    assert engine.titles == ["Caching pixels"]
    again = FarEngine()
    assert open_cache(manifest, tmp_path / "there", again).built == 0
    assert again.titles == []


def test_few_squares_travel_together(manifest, tmp_path):
    """However many images the settings hand out together, the squares of a block fit into the memory of any machine."""

    class Noting(FarEngine):
        """Notes the size of blocks."""

        def map(self, work, rows, *, title, task_rows=None):
            asked.append(task_rows)
            return super().map(work, rows, title=title, task_rows=task_rows)

    asked = []
    open_cache(manifest, tmp_path / "cache", Noting(block_rows=100_000))
    assert asked == [64]


def test_a_changed_image_is_told(manifest, tmp_path):
    """What was not prepared is not decoded, wherever it is done."""
    write_image(tmp_path / "images" / "3.png", seed=99, height=30, width=20)
    with pytest.raises(ArtifactError, match="has changed since the data were prepared"):
        open_cache(manifest, tmp_path / "cache", FarEngine())


class Elsewhere(FarEngine):
    """Machines that find no file."""

    def map(self, work, rows, *, title, task_rows=None):
        for path, _ in rows():
            raise ImageReadError(path, "No such file or directory")
        yield


def test_a_machine_without_the_images_is_blamed(manifest, tmp_path):
    """The message speaks of the cluster where the image is here, and of the image where it is gone."""
    with pytest.raises(ClusterError, match="same path"):
        open_cache(manifest, tmp_path / "cache", Elsewhere())
    (tmp_path / "images" / "0.png").unlink()
    with pytest.raises(ImageReadError):
        open_cache(manifest, tmp_path / "cache", Elsewhere())


def test_squares_from_the_cache_or_from_the_files(manifest, tmp_path):
    """The same pixels come where the cache can be reached, and where only the images can."""
    cache = open_cache(manifest, tmp_path / "cache")
    rows = cache.rows(manifest["sha256"])
    pictures = [
        Picture(path, sha256, *cache.pixels.locate(row))
        for path, sha256, row in zip(manifest["path"], manifest["sha256"], rows, strict=True)
    ]
    expected = cache.pixels[rows]
    reader = SquareReader(SquareWork(SQUASH), 1)
    no_files = [picture._replace(path="/nowhere") for picture in pictures]
    np.testing.assert_array_equal(reader(no_files), expected)
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(reader(pictures), expected)
    with pytest.raises(ImageReadError):
        reader(no_files)
