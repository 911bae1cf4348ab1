"""A real run, sweep and cross-validation on the command line, read back from MLflow by its own client."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from factories.mlflow_stores import make_store
from factories.runs import TINY, draw_mixed_table, run_command, run_words
from phytoscope.schema.artifact import read_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.telling import flatten_settings
from phytoscope.track.mlflow_client import answering
from phytoscope.track.target import local_uri

pytestmark = pytest.mark.slow

# A machine with other work may take long; what is not told in time would be told by a process that nobody waits for.
TRACKED = ["track=mlflow", "track.wait_seconds=300", "track.system_seconds=0.5", "track.experiment=plants"]


def call(*words: str) -> str:
    """Runs a command that must end well; gives what it said."""
    done = run_command(*words, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def list_runs(client: MlflowClient) -> list:
    """All runs of the experiment, the oldest first."""
    experiment = client.get_experiment_by_name("plants")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table of photographs with weights."""
    return draw_mixed_table(tmp_path_factory.mktemp("data"), n=60)


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """A run whose training, evaluation and package were made by three commands; its folder, words, and the client."""
    return make_finished(table, tmp_path_factory.mktemp("runs") / "weights")


def make_finished(table, place):
    uri = local_uri(place.parent / "store")
    words = run_words(table, place, *TRACKED, f"track.uri={uri}", "name=weights")
    said = "".join(call(step, *words) for step in ("train", "evaluate", "package"))
    return RunFolder(place), words, MlflowClient(uri, uri), said


def test_training_evaluation_and_package_are_one_run(finished) -> None:
    """Three commands, one run: no evaluation stands in another run than its training."""
    run, _, client, said = finished
    runs = list_runs(client)
    assert [(each.info.run_name, each.info.status) for each in runs] == [("weights", "FINISHED")]
    names = set(runs[0].data.metrics)
    assert {"train/loss", "val/loss", "val/r2", "learning_rate", "test/r2", "trust/accept"} <= names
    assert any(name.startswith("system/") for name in names)
    assert "View run" not in said
    assert "Traceback" not in said + (run.root / "tracking" / "courier.log").read_text()


def test_every_epoch_stands_there_once(finished) -> None:
    """Numbers of every epoch are those of history.csv, each once; those of test are those of the report."""
    run, _, client, _ = finished
    (tracked,) = list_runs(client)
    history = pd.read_csv(run.history).set_index("epoch")
    for name, column in history.items():
        points = client.get_metric_history(tracked.info.run_id, str(name))
        assert [point.step for point in points] == column.dropna().index.tolist(), name
        assert [point.value for point in points] == pytest.approx(column.dropna().tolist(), rel=1e-9)
    report = read_json(run.report)
    for metric in report["splits"]["test"]["metrics"]:
        points = client.get_metric_history(tracked.info.run_id, f"test/{metric['name']}")
        assert [point.value for point in points] == pytest.approx([metric["value"]])


def test_all_settings_and_what_the_data_were(finished) -> None:
    """Each resolved setting is a param; data and split are inputs that hold the hashes of the report."""
    run, _, client, _ = finished
    (tracked,) = list_runs(client)
    settings = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    settings.pop("overrides")
    flat = {name: "None" if value is None else str(value) for name, value in flatten_settings(settings).items()}
    assert {name: tracked.data.params.get(name) for name in flat} == flat
    assert tracked.data.params["trainer.batch_size"] == "16"
    assert tracked.data.params["trainer.max_epochs"] == "2"
    assert not [name for name in tracked.data.tags if name.startswith("changed/")]
    report = read_json(run.report)
    inputs = {each.dataset.name: {tag.key: tag.value for tag in each.tags} for each in tracked.inputs.dataset_inputs}
    assert {name.rpartition("/")[2] for name in inputs} == {"train", "val", "calibration", "test"}
    for tags in [*inputs.values(), tracked.data.tags]:
        assert tags["phytoscope.data_hash"] == report["data_hash"]
        assert tags["phytoscope.split_hash"] == report["split_hash"]
    rows = pd.read_parquet(run.split)["split"].value_counts().to_dict()
    assert {tags["mlflow.data.context"]: int(tags["phytoscope.rows"]) for tags in inputs.values()} == rows


def test_files_are_there_as_they_are(finished, tmp_path) -> None:
    """The report, the scatter plot, tables and the package: byte for byte."""
    run, _, client, _ = finished
    (tracked,) = list_runs(client)
    with answering(client.tracking_uri):
        place = Path(client.download_artifacts(tracked.info.run_id, "", str(tmp_path)))
    same = {
        "report/report.html": run.report_page,
        "figures/predicted_vs_actual.png": run.figures / "predicted_vs_actual.png",
        "tables/report.json": run.report,
        "tables/history.csv": run.history,
        "tables/config.yaml": run.config,
        "tables/predictions.parquet": run.predictions,
    }
    for name, path in same.items():
        assert (place / name).read_bytes() == path.read_bytes(), name
    package = [path.relative_to(run.package) for path in run.package.rglob("*") if path.is_file()]
    assert all((place / "package" / name).read_bytes() == (run.package / name).read_bytes() for name in package)


def test_model_answers_as_the_package(finished) -> None:
    """The MLflow model of the run answers the golden images of the package as they were answered."""
    run, _, client, _ = finished
    (tracked,) = list_runs(client)
    (output,) = tracked.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.tags["phytoscope.model_id"] == read_json(run.report)["model_id"]
    with answering(client.tracking_uri):
        import mlflow.pyfunc

        loaded = mlflow.pyfunc.load_model(model.artifact_location)
    for row in read_json(run.package / "golden.json"):
        answer = loaded.predict(pd.DataFrame({"image": [(run.package / row["image"]).read_bytes()]}))
        assert answer["prediction"][0] == pytest.approx(row["judged"]["answer"][0], rel=1e-4)


def test_evaluating_anew_stays_in_the_run(table, tmp_path) -> None:
    """A later evaluation with other settings belongs to the same training: no second run, and its report is shown."""
    run, words, client, _ = make_finished(table, tmp_path / "weights")
    (before,) = list_runs(client)
    call("run", *words, "evaluate.deciles=4")
    (after,) = list_runs(client)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert after.data.tags["changed/evaluate.deciles"] == "4"
    assert len(client.get_metric_history(after.info.run_id, "train/loss")) == 2
    with answering(client.tracking_uri):
        path = client.download_artifacts(after.info.run_id, "report/report.html")
    assert Path(path).read_bytes() == run.report_page.read_bytes()


def test_trials_are_children_of_their_sweep(ask, table, tmp_path) -> None:
    """Two trials below one parent, each with its own settings and numbers."""
    uri = make_store(tmp_path / "store")
    space = "sweep.space={trainer.weight_decay: {low: 0.001, high: 0.3, log: true}}"
    places = [f"paths.runs_dir={tmp_path / 'runs'}", f"paths.cache_dir={tmp_path / 'cache'}", f"track.uri={uri}"]
    tiny = [*TINY, "trainer.mode=plain", "sweep.n_trials=2", "sweep.pruner=none", space, "name=s"]
    done = ask("sweep", *table, *tiny, *TRACKED, *places)
    assert done.code == 0, done
    client = MlflowClient(uri, uri)
    runs = list_runs(client)
    parents = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    children = [each for each in runs if each not in parents]
    assert [each.data.tags["phytoscope.kind"] for each in parents] == ["sweep"]
    assert [each.data.tags["phytoscope.kind"] for each in children] == ["trial", "trial"]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parents[0].info.run_id}
    assert len({each.data.params["trainer.weight_decay"] for each in children}) == 2
    assert all("val/r2" in each.data.metrics and each.info.status == "FINISHED" for each in children)
    assert "sweep/best_objective" in parents[0].data.metrics


def test_folds_are_children_of_their_cross_validation(ask, table, tmp_path) -> None:
    """Two folds below one parent that holds what they say together."""
    uri = make_store(tmp_path / "store")
    words = run_words(table, tmp_path / "runs" / "cv", *TRACKED, f"track.uri={uri}", "name=cv", "data.split.folds=2")
    done = ask("cross-validate", *words)
    assert done.code == 0, done
    client = MlflowClient(uri, uri)
    runs = list_runs(client)
    (parent,) = [each for each in runs if each.data.tags["phytoscope.kind"] == "cross_validation"]
    folds = [each for each in runs if each.data.tags["phytoscope.kind"] == "fold"]
    assert [fold.data.tags["mlflow.parentRunId"] for fold in folds] == [parent.info.run_id] * 2
    assert all({"train/loss", "val/r2", "test/r2"} <= set(fold.data.metrics) for fold in folds)
    assert len({fold.data.tags["phytoscope.split_hash"] for fold in folds}) == 2
    assert {"folds/r2", "pooled/r2"} <= set(parent.data.metrics)
    assert json.loads(parent.inputs.dataset_inputs[0].dataset.profile)["task"] == "regression"
