"""The real thing on loopback: `phytoscope pipeline` with its sensor, runs over GraphQL, kills, MLflow and Ctrl-C."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from factories.pipelines import Live, cli, environment, find_processes, started_pipeline, wait_for
from factories.workspaces import draw_plants, make_workspace
from phytoscope.schema.artifact import hash_file

pytestmark = pytest.mark.slow

ASSETS = [
    "raw_dataset",
    "preprocessed_data",
    "trained_model",
    "model_evaluation",
    "packaged_model",
    "registered_model",
    "promoted_model",
]
CHECKS = {
    "raw_dataset__rows_and_labels_present",
    "preprocessed_data__no_group_in_two_splits",
    "preprocessed_data__target_in_range",
    "trained_model__loss_is_finite",
    "model_evaluation__beats_baseline",
    "model_evaluation__calibrated",
    "model_evaluation__covers",
    "packaged_model__parity",
    "registered_model__loads",
}
EPOCHS = 25
LONG_WORDS = [
    "trainer.mode=plain",
    f"trainer.max_epochs={EPOCHS}",
    f"trainer.patience={EPOCHS}",
    "trainer.batch_size=8",
    "adapt=full",
    "adapt.frozen_epochs=0",
]
"""Settings of a training long enough to be killed."""
BY_SENSOR = {"dagster__sensor_name": "new_data"}


@dataclass
class Story:
    """What happened while the pipeline ran.

    Attributes:
        root: Workspace.
        first: Events of the run that the sensor started.
        folders: Run folders of the data set after the first run, and after the change.
        by_sensor: Runs that the sensor had started after the first look, and after the change.
        backfilled: Events of the run that a backfill started.
        metrics: Metrics of the MLflow runs, read through the server.
        champion: Version of the champion, read through the server.
        second_start: What a second start said, and its exit code.
        alerts: Said in the log of Dagster's server.
        killed: How the killed runs stood afterwards.
        kept: What a step's record was before and after the kill.
        history: History of the training that was killed and went on.
        weights: Hash of its weights, and of those of a training that was not killed.
        exit_code: Of the command after Ctrl-C.
        left: Processes that were left behind.
        said: What the command said.
    """

    root: Path
    first: list[dict] = field(default_factory=list)
    folders: list[set[str]] = field(default_factory=list)
    by_sensor: list[int] = field(default_factory=list)
    backfilled: list[dict] = field(default_factory=list)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    champion: str = ""
    second_start: tuple[str, int] = ("", 0)
    alerts: str = ""
    killed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    history: pd.DataFrame | None = None
    weights: tuple[str, str] = ("", "")
    exit_code: int | None = None
    left: list[str] = field(default_factory=list)
    said: str = ""


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    """Everything that a lab sees in its first hour, once."""
    workspace = make_workspace(tmp_path_factory.mktemp("live") / "ws", draw_plants, "plants", sinks=["mlflow"])
    told = Story(workspace.root)
    with started_pipeline(workspace.root, PHYTOSCOPE_SETTLE_SECONDS="0") as live:
        tell_first_run(live, told)
        looks = tell_change(live, told)
        tell_backfill(live, told)
        tell_kills(live, told)
        tell_second_start(live, told)
        tell_quiet_looks(live, told, looks)
        told.alerts = (live.root / "dagster" / "server.log").read_text(errors="replace")
        tell_end(live, told)
    return told


def run_folders(root: Path) -> set[str]:
    return {path.parent.name for path in (root / "runs" / "plants").glob("*/config.yaml")}


def tell_first_run(live: Live, told: Story) -> None:
    (run,) = wait_for("the sensor's first run", lambda: live.runs(**BY_SENSOR))
    assert live.finish(run) == "SUCCESS", live.events(run)
    told.first = live.events(run)
    told.folders.append(run_folders(live.root))
    told.by_sensor.append(len(live.runs(**BY_SENSOR)))
    client = MlflowClient(live.mlflow)
    (experiment,) = [found for found in client.search_experiments() if found.name == "phytoscope"]
    for run in client.search_runs([experiment.experiment_id]):
        told.metrics[run.info.run_id] = dict(run.data.metrics)
    told.champion = str(client.get_model_version_by_alias("plants", "champion").version)


def tell_change(live: Live, told: Story) -> int:
    """One more row of a picture that is there already changes the table; gives how often the sensor has looked."""
    table = live.root / "data" / "plants" / "table.csv"
    shutil.copy(table.parent / "images" / "00.png", table.parent / "images" / "more.png")
    table.write_text(table.read_text() + "more.png,0,5.0\n")
    wait_for("the run after the change", lambda: len(live.runs(**BY_SENSOR)) == 2)
    newest = next(iter(live.runs(**BY_SENSOR)))
    assert live.finish(newest) == "SUCCESS", live.events(newest)
    told.folders.append(run_folders(live.root))
    return count_ticks(live)


def tell_quiet_looks(live: Live, told: Story, looks: int) -> None:
    """The sensor has looked twice more since the change, while other runs came and went, and found nothing."""
    wait_for("two more looks", lambda: count_ticks(live) >= looks + 2)
    told.by_sensor.append(len(live.runs(**BY_SENSOR)))


def count_ticks(live: Live) -> int:
    query = """query { sensorOrError(sensorSelector: {repositoryLocationName: "phytoscope.pipeline",
        repositoryName: "__repository__", sensorName: "new_data"}) {
        ... on Sensor { sensorState { ticks(limit: 500) { status } } } } }"""
    ticks = live.ask(query)["sensorOrError"]["sensorState"]["ticks"]
    return sum(tick["status"] in ("SUCCESS", "SKIPPED") for tick in ticks)


def tell_backfill(live: Live, told: Story) -> None:
    backfill = live.backfill(["model_evaluation", "packaged_model"], "plants")
    runs = wait_for("the backfill's run", lambda: live.runs(dagster__backfill=backfill))
    (run,) = runs
    assert live.finish(run) == "SUCCESS", live.events(run)
    told.backfilled = live.events(run)


def tell_kills(live: Live, told: Story) -> None:
    config = long_training(seed=1)
    before = run_folders(live.root)
    # Between two assets: the data are prepared, the training has not begun.
    run = live.launch("training_job", "plants", config)
    record = wait_for("the prepared data", lambda: find_new(live.root, before, "steps/prepare.json"), every=0.02)
    os.kill(live.worker(run), signal.SIGKILL)
    told.killed.append(live.finish(run))
    told.kept.append(record.read_text())
    # Inside the training.
    run = live.launch("training_job", "plants", config)
    folder = record.parent.parent
    wait_for("an epoch", lambda: count_rows(folder / "history.csv") >= 2, every=0.02)
    os.kill(live.worker(run), signal.SIGKILL)
    told.killed.append(live.finish(run))
    assert not (folder / "steps" / "train.json").exists(), "the training was over before it could be killed"
    run = live.launch("training_job", "plants", config)
    told.killed.append(live.finish(run))
    told.kept.append(record.read_text())
    told.history = pd.read_csv(folder / "history.csv")
    told.weights = hash_file(folder / "checkpoints" / "weights.safetensors"), train_undisturbed(live.root)


def long_training(seed: int) -> dict:
    """Settings of the first asset, which all others go on with: so all of them work in one folder."""
    return {"ops": {"raw_dataset": {"config": {"further": [*LONG_WORDS, f"seed={seed}"]}}}}


def find_new(root: Path, before: set[str], name: str) -> Path | None:
    found = list((root / "runs" / "plants").glob(f"*/{name}"))
    return next((path for path in found if path.relative_to(root / "runs" / "plants").parts[0] not in before), None)


def count_rows(path: Path) -> int:
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def train_undisturbed(root: Path) -> str:
    """The same training in one go, in a folder of its own."""
    from phytoscope.pipeline.workspace import Workspace
    from phytoscope.schema.run_folder import RunFolder
    from phytoscope.steps import RunContext, run_step

    config = Workspace(root).compose("plants", [*LONG_WORDS, "seed=1", "track=default"])
    run = RunFolder(root / "undisturbed")
    for step in ("prepare", "train"):
        run_step(RunContext(config, run), step)
    return hash_file(run.weights)


def tell_second_start(live: Live, told: Story) -> None:
    done = subprocess.run(
        cli("pipeline", "--workspace", live.root),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment(),
    )
    told.second_start = done.stderr, done.returncode


def tell_end(live: Live, told: Story) -> None:
    """Ctrl-C while a training runs."""
    run = live.launch("training_job", "plants", long_training(seed=2))
    live.worker(run)
    live.process.send_signal(signal.SIGINT)
    live.process.wait(300)
    told.exit_code = live.process.returncode
    told.left = [" ".join(process.cmdline()) for process in find_processes(live.root)]
    told.said = live.said.read_text()


def test_the_sensor_takes_a_new_data_set_the_whole_way(story):
    """All seven assets are made for the partition, and all nine checks are evaluated and pass."""
    made = [event["assetKey"]["path"][-1] for event in story.first if event["__typename"] == "MaterializationEvent"]
    assert made == ASSETS
    assert {event["partition"] for event in story.first if event["__typename"] == "MaterializationEvent"} == {"plants"}
    checks = {
        event["evaluation"]["checkName"]: event["evaluation"]["success"]
        for event in story.first
        if event["__typename"] == "AssetCheckEvaluationEvent"
    }
    assert checks == dict.fromkeys(CHECKS, True)


def test_one_run_in_mlflow_holds_training_and_evaluation(story):
    """A run of the pipeline is one run of MLflow, from the loss of the epochs to the error on the test images."""
    (metrics,) = story.metrics.values()
    assert {"train/loss", "val/loss", "test/rmse"} <= set(metrics)
    assert story.champion == "1"


def test_a_change_of_the_table_starts_exactly_one_run(story):
    """One run for the new data set, one for the change, none for looks without news; the old run folder stays."""
    assert story.by_sensor == [1, 2]
    before, after = story.folders
    assert len(before) == 1
    assert before < after
    assert len(after) == 2


def test_a_backfill_takes_only_what_was_asked_for(story):
    """The page's button for two assets makes these two, and does no work again."""
    made = {
        event["assetKey"]["path"][-1] for event in story.backfilled if event["__typename"] == "MaterializationEvent"
    }
    assert made == {"model_evaluation", "packaged_model"}
    said = [str(event.get("message")) for event in story.backfilled]
    assert any("evaluate: reused" in line for line in said)
    assert any("package: reused" in line for line in said)


def test_a_killed_pipeline_repeats_only_what_is_needed(story):
    """Killed between and inside assets: the runs count as failed, and the next one goes on where they ended."""
    assert story.killed == ["FAILURE", "FAILURE", "SUCCESS"]
    assert story.kept[0] == story.kept[1], "the data were prepared again"
    assert list(story.history["epoch"]) == list(range(EPOCHS))


def test_a_killed_training_ends_like_one_that_was_not(story):
    """The weights are the same to the last bit."""
    killed, undisturbed = story.weights
    assert killed == undisturbed


def test_a_failed_run_is_alerted(story):
    """The log of the servers names the data set and the job."""
    assert "phytoscope: training_job of plants failed" in story.alerts


def test_a_second_start_is_told_where_the_first_one_is(story):
    """No second pair of servers; the message says where to look."""
    said, code = story.second_start
    assert code == 2
    assert "is running already (MLflow: http://127.0.0.1" in said


def test_ctrl_c_leaves_nothing_behind(story):
    """Servers, daemon and the training they were doing end, and the command says so."""
    assert story.exit_code == 0, story.said
    assert story.left == []
    assert "Stopped." in story.said
