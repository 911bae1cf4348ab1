"""`phytoscope pipeline run` stopped by Ctrl-C and by kill: what is finished is kept, and the next call goes on."""

import os
import signal
import subprocess

import pandas as pd
import pytest

from factories.pipelines import cli, environment, wait_for
from factories.workspaces import draw_plants, make_workspace
from phytoscope.pipeline.workspace import Workspace

EPOCHS = 30
LONG = [
    "trainer.mode=plain",
    f"trainer.max_epochs={EPOCHS}",
    f"trainer.patience={EPOCHS}",
    "trainer.batch_size=8",
    "adapt=full",
    "adapt.frozen_epochs=0",
]


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path / "ws", draw_plants, "plants")


def start(workspace: Workspace) -> subprocess.Popen:
    words = cli("pipeline", "run", "--workspace", workspace.root, *LONG)
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
    )


def wait_for_epochs(workspace: Workspace, process: subprocess.Popen, n: int) -> None:
    def look() -> bool:
        assert process.poll() is None, process.stdout.read()[-3000:]
        files = list((workspace.runs / "plants").glob("*/history.csv"))
        return bool(files) and len(files[0].read_text().splitlines()) > n

    wait_for(f"{n} epochs", look, every=0.02)


@pytest.mark.slow
def test_stopped_and_killed_runs_are_gone_on_with(workspace):
    """Ctrl-C, then kill -9 in the training: each epoch is made once, and no dead run keeps the next one waiting."""
    stopped = start(workspace)
    wait_for_epochs(workspace, stopped, 1)
    # A terminal sends Ctrl-C to all processes of a command.
    os.killpg(stopped.pid, signal.SIGINT)
    said, _ = stopped.communicate(timeout=600)
    assert stopped.returncode == 130, said[-3000:]
    assert "Traceback" not in said
    assert "the same command continues" in said
    killed = start(workspace)
    wait_for_epochs(workspace, killed, 3)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=600)
    last = start(workspace)
    said, _ = last.communicate(timeout=1200)
    # A model that small may lose against a baseline; then the check stops the run after the training.
    assert last.returncode in (0, 2), said[-3000:]
    assert "prepare: reused" in said
    assert "train: done" in said
    (history,) = (workspace.runs / "plants").glob("*/history.csv")
    assert list(pd.read_csv(history)["epoch"]) == list(range(EPOCHS))
    listed = subprocess.run(
        cli("pipeline", "list", "--workspace", workspace.root),
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        timeout=600,
    )
    assert "plants" in listed.stdout
