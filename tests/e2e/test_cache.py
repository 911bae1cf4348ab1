"""Runs share the pixel cache, mend it, and keep it below its bound."""

import json
import os
import shutil
import time

import pandas as pd
import pytest

from factories.images import write_image
from factories.runs import draw_mixed_folder, run_tiny, run_words


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run; gives its data folder, its cache and its folder, none of which a test may change."""
    place = tmp_path_factory.mktemp("shared")
    data = draw_mixed_folder(place / "data")
    run, _ = run_tiny(run_words(data, place / "run", f"paths.cache_dir={place / 'cache'}"))
    return place / "data", place / "cache", run


def list_shards(cache):
    return sorted(cache.glob("pixels/*/shard-*"))


def test_second_run_decodes_only_what_is_new(trained, tmp_path):
    """A run with another seed, on copies of the images and one more, adds one shard with one square."""
    root, cache = (shutil.copytree(folder, tmp_path / folder.name) for folder in trained[:2])
    before = list_shards(cache)
    write_image(root / "dark" / "new.png", seed=5, height=70, width=80)
    data = ["data=folder", f"data.root={root}"]
    words = run_words(data, tmp_path / "second", f"paths.cache_dir={cache}", "seed=1")
    for step in ("prepare", "train"):
        run_tiny(words, step)
    [added] = [shard for shard in list_shards(cache) if shard not in before]
    assert len(json.loads((added / "index.json").read_text(encoding="ascii"))["sha256"]) == 1


def test_predictions_do_not_depend_on_the_state_of_the_cache(trained, tmp_path):
    """With a cache of its own, damaged between two steps, a run gives the same predictions."""
    words = run_words(["data=folder", f"data.root={trained[0]}"], tmp_path / "again")
    for step in ("prepare", "train"):
        run_tiny(words, step)
    for shard in list_shards(tmp_path / "again-cache"):
        (shard / "pixels.npy").write_bytes(b"damaged")
    again, _ = run_tiny(words)
    one, other = (pd.read_parquet(run.predictions).drop(columns="model_id") for run in (again, trained[2]))
    pd.testing.assert_frame_equal(one, other)


def test_run_keeps_the_cache_below_its_bound(trained, tmp_path):
    """Pixels that nobody used for days go when a run needs the room; its own stay, and it says so."""
    root, cache = trained[0], shutil.copytree(trained[1], tmp_path / "cache")
    old = list_shards(cache)
    for shard in old:
        os.utime(shard / "last_use", (time.time() - 9e5,) * 2)
    bound = [f"paths.cache_dir={cache}", "paths.cache_max_gb=1e-6", "model.input_size_px=48"]
    words = run_words(["data=folder", f"data.root={root}"], tmp_path / "run", *bound)
    run_tiny(words, "prepare")
    _, sentences = run_tiny(words, "train")
    assert not any(shard.exists() for shard in old)
    assert list_shards(cache)
    assert any("not used for longest removed" in line for line in sentences.said)
    assert any("this run alone needs" in line for line in sentences.said)
