"""Features that other machines compute are those of this one, to the last bit."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from factories.far_engine import FarEngine
from factories.images import write_image
from factories.jobs import make_job
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.data.datamodule import Samples
from phytoscope.errors import ClusterError
from phytoscope.schema.choices import AugmentPreset, Runtime
from phytoscope.schema.engine import EngineConfig, EngineKind
from phytoscope.schema.progress import SilentProgress
from phytoscope.train.features import work as work_module
from phytoscope.train.features.extraction import open_extraction
from phytoscope.train.features.work import FeatureWork, divide

COUNT = 75


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Image files and their hashes."""
    place = tmp_path_factory.mktemp("pictures")
    paths = [write_image(place / f"{n}.png", seed=n, height=64, width=64) for n in range(COUNT)]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return pd.DataFrame({"path": list(map(str, paths)), "sha256": hashes})


def make(place, pictures, *, engine=None, runtime=Runtime.torch, rows_per_task=20, **options):
    """A training on the pictures, with its pixels in a cache below `place`."""
    job, _ = make_job(place, **options)
    cache = open_pixel_cache(pictures, job.preprocess, place / "pixels", workers=1, progress=SilentProgress())
    names, paths = tuple(pictures["sha256"]), tuple(pictures["path"])
    target = np.arange(COUNT) % 2
    train = Samples(cache.pixels, cache.rows(pictures["sha256"]), target, sha256=names, paths=paths)
    settings = EngineConfig(EngineKind.ray, rows_per_task=rows_per_task)
    config = dataclasses.replace(
        job.config, engine=settings, trainer=dataclasses.replace(job.config.trainer, runtime=runtime)
    )
    return dataclasses.replace(job, config=config, train=train, engine=engine)


@pytest.mark.parametrize("runtime", [Runtime.torch, Runtime.openvino, Runtime.auto])
def test_bits_are_those_of_one_machine(tmp_path, pictures, runtime):
    """Images as they are: same bits, same number computed, and the runtime is told."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = open_extraction(make(tmp_path / "here", pictures, runtime=runtime))
        expected = here.read_view(make(tmp_path / "here", pictures).train)
        engine = FarEngine()
        job = make(tmp_path / "there", pictures, engine=engine, runtime=runtime)
        there = open_extraction(job)
        np.testing.assert_array_equal(there.read_view(job.train), expected)
    finally:
        torch.set_num_threads(threads)
    assert engine.titles == ["Computing features"]
    assert there.images == here.images == COUNT
    assert there.computed_by == here.computed_by
    again = FarEngine()
    open_extraction(dataclasses.replace(job, engine=again)).read_view(job.train)
    assert again.titles == []


def test_augmented_views_and_images_without_a_cache(tmp_path, pictures):
    """A view is changed elsewhere as it is here, also by machines that reach the images but not the cache."""
    options = {"augment": AugmentPreset.leaf}
    job = make(tmp_path / "here", pictures, **options)
    expected = open_extraction(job, 1).read_view(job.train, 1)
    engine = FarEngine()
    job = make(tmp_path / "there", pictures, engine=engine, **options)
    extraction = open_extraction(job, 1)
    shutil.rmtree(tmp_path / "there" / "pixels")
    np.testing.assert_allclose(extraction.read_view(job.train, 1), expected, rtol=2e-3, atol=1e-4)
    assert engine.titles == ["Computing features, view 1"]


def test_one_task_is_done_here(tmp_path, pictures):
    """Where there is nothing to divide, nobody is asked; nor where nobody knows the files."""
    engine = FarEngine()
    job = make(tmp_path, pictures, engine=engine, rows_per_task=COUNT)
    open_extraction(job).read_view(job.train)
    job = make(tmp_path / "other", pictures, engine=engine)
    open_extraction(job).read_view(dataclasses.replace(job.train, paths=()))
    assert engine.titles == []


def test_tasks_are_whole_batches():
    """The last bits depend on the batch, so that tasks end where batches do."""
    rows = [divide(FarEngine(), EngineConfig(rows_per_task=rows)).task_rows for rows in (1, 32, 33, 512)]
    assert rows == [32, 32, 64, 512]
    assert divide(FarEngine(), EngineConfig(gpus=0.5, rows_per_task=500)).task_rows == 512
    assert divide(None, EngineConfig()) is None


def test_other_versions_and_missing_gpus_are_refused(tmp_path, monkeypatch):
    """A worker that would give other numbers, or has no GPU where one was asked for, says so."""
    job, _ = make_job(tmp_path)
    work = FeatureWork(job.network, job.preprocess, Runtime.torch, False, None, 0)
    other = dataclasses.replace(work, versions={**work.versions, "timm": "0.1"})
    with pytest.raises(ClusterError, match=r"timm .* instead of 0\.1"):
        other.open(1)
    monkeypatch.setattr(work_module.torch.cuda, "is_available", lambda: False)
    with pytest.raises(ClusterError, match=r"engine\.gpus"):
        dataclasses.replace(work, on_gpu=True).open(1)
