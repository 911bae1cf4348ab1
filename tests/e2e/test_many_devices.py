"""torchrun starts the command line once for each device: one process takes the steps, the others train with it."""

import contextlib
import os
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
import torch

from factories.runs import draw_mixed_folder, run_tiny, run_words
from phytoscope.schema.run_folder import RunFolder
from phytoscope.train.checkpoints import LAST_NAME, load_network_state

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
EPOCHS = 16
# Weights that are computed from others cannot be sent to processes that this one starts; those of torchrun build them.
LONG = [
    *("adapt.kind=lora", "adapt.rank=2", "adapt.dropout=0", "model.dropout=0"),
    *("trainer.mode=plain", "trainer.batch_size=8", "trainer.checkpoint_minutes=1e-6"),
    *(f"trainer.max_epochs={EPOCHS}", f"trainer.patience={EPOCHS}"),
]


@pytest.mark.slow
def test_torchrun_trains_on_two_devices(tmp_path) -> None:
    """One run folder, one history with a row an epoch, and one trained network; a second call trains nothing."""
    data = draw_mixed_folder(tmp_path / "photos")
    words = run_words(data, tmp_path / "run", "trainer.devices=2", "trainer.mode=plain", "trainer.batch_size=8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run_tiny(words, "prepare")
    for _ in range(2):
        result = subprocess.run(
            [*TORCHRUN, "-m", "phytoscope", "train", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
            env=environment,
        )
        assert result.returncode == 0, result.stderr
    assert "reused" in result.stderr
    assert pd.read_csv(tmp_path / "run" / "history.csv")["epoch"].tolist() == [0, 1]
    assert (tmp_path / "run" / "checkpoints" / "weights.safetensors").exists()


@pytest.mark.slow
def test_one_process_finishes_what_two_had_begun(tmp_path) -> None:
    """Both are killed in the middle; the run goes on with one device and ends as if nothing had happened."""
    data = draw_mixed_folder(tmp_path / "photos")
    alone, _ = run_tiny(run_words(data, tmp_path / "alone", *LONG), "train")
    run = RunFolder(tmp_path / "run")
    words = run_words(data, run.root, *LONG)
    run_tiny(words, "prepare")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, "-m", "phytoscope", "train", *words, "trainer.devices=2"]
    group = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not (run.history.exists() and len(pd.read_csv(run.history)) >= 2):
            assert group.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        victims = [psutil.Process(group.pid), *psutil.Process(group.pid).children(recursive=True)]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        group.wait()
        psutil.wait_procs(victims, timeout=30)
    begun = len(pd.read_csv(run.history))
    assert begun < EPOCHS
    _, sentences = run_tiny(words, "train")
    assert not any("starts over" in line for line in sentences.said)
    pd.testing.assert_frame_equal(pd.read_csv(run.history), pd.read_csv(alone.history), rtol=1e-2, atol=1e-3)
    ours, theirs = (load_network_state(one.checkpoints / LAST_NAME) for one in (run, alone))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-2, atol=1e-3)
