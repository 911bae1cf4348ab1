"""Workers of a Ray cluster train one network together; a machine is switched off in the middle."""

import subprocess
import time

import pandas as pd
import pytest
import torch

from factories.ray_clusters import ray_cluster
from factories.runs import command, draw_mixed_folder, run_command, run_tiny, run_words
from phytoscope.schema.events import EVENTS_NAME, EventKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.train.checkpoints import load_network_state

pytestmark = pytest.mark.slow
EPOCHS = 24
WORDS = [
    f"trainer.max_epochs={EPOCHS}",
    f"trainer.patience={EPOCHS}",
    "trainer.mode=plain",
    "trainer.batch_size=8",
    "trainer.checkpoint_minutes=1e-6",
    # Weights that are computed from others cannot be sent to processes that this one starts, but Ray's read them.
    "adapt.kind=lora",
    "adapt.rank=2",
    "adapt.dropout=0",
    "model.dropout=0",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_mixed_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def cluster():
    """A head that works on nothing, and two machines with a core each."""
    with ray_cluster(nodes=3, cpus=1, head_cpus=0) as started:
        yield started


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The same training in one process."""
    run, _ = run_tiny(run_words(data, tmp_path_factory.mktemp("alone") / "run", *WORDS), "train")
    return run


def on_ray(data, place, cluster, alone, *more):
    """Words of a training on the cluster, of data that were prepared and decoded here."""
    words = run_words(data, place, *WORDS, f"paths.cache_dir={alone.root.parent / 'run-cache'}")
    run_tiny(words, "prepare")
    return ["train", *words, "trainer.devices=2", "engine=ray", f"engine.address={cluster.address}", *more]


def compare(run, alone):
    """One row an epoch in the history and in what trackers are told, and the same numbers and weights."""
    ours, theirs = pd.read_csv(run.history), pd.read_csv(alone.history)
    assert ours["epoch"].tolist() == list(range(EPOCHS))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-2, atol=1e-3)
    first, second = (load_network_state(one.checkpoints / "last.ckpt") for one in (run, alone))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-2, atol=1e-3)
    steps = [event.content["step"] for event in read_events(run.root / EVENTS_NAME) if event.kind is EventKind.metrics]
    assert sorted(steps) == list(range(EPOCHS))


def test_machine_is_lost_in_the_middle(data, cluster, alone, tmp_path) -> None:
    """The worker that is left goes on at the next batch, and the end is that of one process without any loss."""
    run = RunFolder(tmp_path / "run")
    process = subprocess.Popen(command(*on_ray(data, run.root, cluster, alone)), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 240
        while not (run.history.exists() and len(pd.read_csv(run.history)) >= 3):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cluster.kill_node(2)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "goes on at the last checkpoint" in said
    assert said.count(f"epoch 4/{EPOCHS} done") == 1
    compare(run, alone)


def test_cluster_that_is_too_small_is_told(data, cluster, alone, tmp_path) -> None:
    """Nobody waits for machines that nobody will bring."""
    words = on_ray(data, tmp_path / "run", cluster, alone, "trainer.devices=5")
    answer = run_command(*words, timeout=300)
    assert answer.returncode != 0
    assert "asks for 5 workers" in answer.stderr
