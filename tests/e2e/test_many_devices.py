"""torchrun starts the command line once for each device: one process takes the steps, the others train with it."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from factories.runs import draw_mixed_folder, run_tiny, run_words


@pytest.mark.slow
def test_torchrun_trains_on_two_devices(tmp_path) -> None:
    """One run folder, one history with a row an epoch, and one trained network; a second call trains nothing."""
    data = draw_mixed_folder(tmp_path / "photos")
    words = run_words(data, tmp_path / "run", "trainer.devices=2", "trainer.mode=plain", "trainer.batch_size=8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run_tiny(words, "prepare")
    for _ in range(2):
        result = subprocess.run(
            [*command, "-m", "phytoscope", "train", *words],
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
