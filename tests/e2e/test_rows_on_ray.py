"""Images are looked at, decoded and turned into features by a cluster of several nodes, some of which die meanwhile."""

import json

import numpy as np
import pandas as pd
import pytest

from factories.ray_clusters import ray_cluster
from factories.runs import draw_mixed_folder, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.data.split import hash_split
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps import RunContext, run_all

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

# One thread here as there: the last bits of a feature depend on the number of threads.
WORDS = [
    "adapt=head",
    "trainer.mode=features",
    "trainer.views=1",
    "trainer.threads=1",
    "trainer.runtime=torch",
    "package.onnx=never",
    "evaluate.novelty=none",
    "data.split.near_duplicates=false",
]


@pytest.fixture(scope="module")
def cluster():
    """A head and two more nodes, with one core each."""
    with ray_cluster(nodes=3, cpus=1) as started:
        yield started


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Data settings of 140 drawn photographs."""
    return draw_mixed_folder(tmp_path_factory.mktemp("images") / "leaves", per_class=70)


@pytest.fixture(scope="module")
def here(images, tmp_path_factory):
    """A run on this machine alone, and its cache."""
    place = tmp_path_factory.mktemp("here") / "run"
    run, _ = run_tiny(run_words(images, place, *WORDS))
    return run, place.parent / "run-cache"


def on(cluster):
    return [
        "engine=ray",
        f"engine.address={cluster.address}",
        "engine.rows_per_task=16",
    ]


class KillingProgress(SilentProgress):
    """Kills a node in the middle of some stretches of work, each time after another one has joined."""

    def __init__(self, cluster, titles, units):
        self.cluster, self.titles, self.units = cluster, titles, units
        self.title, self.done, self.killed, self.last = "", 0, [], 1

    def start(self, description, total):
        self.title, self.done = description, 0

    def advance(self, units=1, note=""):
        self.done += units
        if self.title in self.titles and self.done >= self.units and self.title not in self.killed:
            self.killed.append(self.title)
            joined = self.cluster.add_node()
            self.cluster.kill_node(self.last)
            self.last = joined


def contents(cache):
    """Array of each image in each store of the cache, whatever shard it was published with."""
    found = {}
    for index in cache.rglob("shard-*/index.json"):
        arrays = np.load(next(index.parent.glob("*.npy")))
        names = json.loads(index.read_text())["sha256"]
        store = f"{index.parents[2].name}/{index.parents[1].name}"
        found |= {(store, name): array.tobytes() for name, array in zip(names, arrays, strict=True)}
    return found


def test_a_run_is_the_same_on_a_cluster_that_loses_nodes(cluster, images, here, tmp_path, monkeypatch):
    """Split, pixels, features and predictions are those of one machine, to the last bit."""
    monkeypatch.setattr("phytoscope.data.cache.pixel_cache._TASK_SQUARES", 16)
    alone, cache = here
    config = compose_config(run_words(images, tmp_path / "there", *WORDS, *on(cluster)))
    there = RunFolder(tmp_path / "there")
    titles = ["Looking at images", "Caching pixels", "Computing features"]
    progress = KillingProgress(cluster, titles, 20)
    run_all(RunContext(config, there, progress))
    assert progress.killed == titles
    splits = [hash_split(pd.read_parquet(run.split)) for run in (alone, there)]
    assert splits[0] == splits[1]
    expected, found = contents(cache), contents(tmp_path / "there-cache")
    assert sum(store.startswith("arrays") for store, _ in found) > len(found) / 2
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] != expected[key]] == []
    tables = [pd.read_parquet(run.predictions).drop(columns="path") for run in (alone, there)]
    pd.testing.assert_frame_equal(*tables)
