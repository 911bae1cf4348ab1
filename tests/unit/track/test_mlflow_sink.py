"""One run in a real store of MLflow, however often and in whatever pieces it is told."""

import dataclasses
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from factories.mlflow_stores import Told, make_store
from factories.packages import draw_photo, make_package
from phytoscope.errors import TrackingError
from phytoscope.schema.artifact import read_json
from phytoscope.schema.events import EndStatus, RunKind
from phytoscope.track.mlflow_client import find_local_folder
from phytoscope.track.target import local_uri

DATA = {"name": "leaves", "source": "/data", "data_hash": "d" * 64, "split_hash": "5" * 64, "task": "classification"}
DATA |= {"target": "class", "rows": {"train": 8, "val": 2, "test": 2}}


@pytest.fixture
def uri(tmp_path) -> str:
    """A store of its own."""
    return make_store(tmp_path / "mlflow")


@pytest.fixture
def told(tmp_path, uri) -> Told:
    """A run that has begun."""
    told = Told(tmp_path / "run", uri)
    told.log.begin("identity", name="first leaves")
    return told


def train(told: Told, epochs: int = 3) -> None:
    """Writes what a training writes."""
    told.log.params({"seed": 0, "trainer.lr": 0.001, "trainer.batch_size": 16, "trainer.max_epochs": epochs})
    told.log.dataset(DATA)
    for epoch in range(epochs):
        told.log.metrics({"train/loss": 1 / (epoch + 1), "val/r2": epoch / 10}, step=epoch)
        told.log.system({"system/cpu_utilization_percentage": 50.0}, step=epoch)


def count_rows(uri: str, table: str) -> int:
    """Rows of a table of the store, read past MLflow."""
    with sqlite3.connect(find_local_folder(uri) / "mlflow.db") as store:
        return store.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 (names of our own)


def test_everything_stands_in_one_run(told, uri) -> None:
    """Settings, data, numbers of every epoch, load, tags and the end are read back from one run."""
    train(told)
    told.log.metrics({"test/r2": 0.25}, step=2)
    told.log.tags({"git_commit": "abc", "task": "regression", "phytoscope.step.train": "mark of the log"})
    told.log.end(EndStatus.finished)
    told.tell()
    run = told.read()
    assert run.data.params["seed"] == "0"
    assert run.data.metrics["test/r2"] == 0.25
    history = told.client.get_metric_history(told.remote, "val/r2")
    assert [(point.step, point.value) for point in history] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert len(told.client.get_metric_history(told.remote, "system/cpu_utilization_percentage")) == 3
    tags = run.data.tags
    assert tags["phytoscope.data_hash"], tags["phytoscope.split_hash"] == ("d" * 64, "5" * 64)
    assert (tags["mlflow.source.git.commit"], tags["phytoscope.task"]) == ("abc", "regression")
    assert "phytoscope.step.train" not in tags
    assert tags["mlflow.runName"] == run.info.run_name == "first leaves"
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["leaves/train", "leaves/val", "leaves/test"]
    events = told.events()
    assert (run.info.status, run.info.start_time) == ("FINISHED", round(events[0].time * 1000))
    assert run.info.end_time == round(events[-1].time * 1000)
    assert count_rows(uri, "runs") == 2  # with that of the store's template


def test_telling_again_changes_nothing(told, uri) -> None:
    """A courier that was killed before it noted how far it was tells some events twice: no row is doubled."""
    train(told)
    make_package(told.root / "package")
    told.log.package(told.root / "package")
    told.log.end(EndStatus.failed, "the disk is full")
    tables = ["runs", "metrics", "latest_metrics", "params", "tags", "inputs", "input_tags", "datasets"]
    tables += ["logged_models", "logged_model_tags"]
    first = told.tell()
    before = {table: count_rows(uri, table) for table in tables}
    assert told.tell() == first
    assert told.tell(told.events()[2:5]) == {}
    assert {table: count_rows(uri, table) for table in tables} == before
    assert before["metrics"] == 9


def test_lost_answer_makes_no_second_run(told, tmp_path, uri) -> None:
    """A run that was created, but whose id nobody kept, is found by its key, by another process too."""
    first = told.sink.open(told.run())
    other = Told(told.root, uri)
    assert other.sink.open(other.run()) == told.sink.open(told.run()) == first


def test_pieces_make_the_whole(told) -> None:
    """Event by event or all at once: the same numbers."""
    train(told, epochs=4)
    told.log.end(EndStatus.finished)
    for event in told.events():
        told.tell([event])
    assert [point.step for point in told.client.get_metric_history(told.remote, "train/loss")] == [0, 1, 2, 3]
    assert told.read().info.status == "FINISHED"


def test_more_numbers_than_one_request_takes(told) -> None:
    """MLflow takes 1000 numbers and 100 settings at once; a long training has more."""
    told.log.params({f"group.setting_{number}": number for number in range(250)})
    for epoch in range(350):
        told.log.metrics({"train/loss": 1.0, "val/loss": 2.0, "learning_rate": 0.0}, step=epoch)
    told.tell()
    assert len(told.read().data.params) == 250
    assert sum(len(told.client.get_metric_history(told.remote, name)) for name in told.read().data.metrics) == 1050


class TestSettings:
    """MLflow never changes a param."""

    def test_other_value_becomes_a_tag(self, told) -> None:
        """A run that goes on elsewhere has another path; the first one stays, the new one is told."""
        told.log.params({"paths.cache_dir": "/a", "seed": 0})
        told.log.params({"paths.cache_dir": "/b", "seed": 0})
        told.tell()
        data = told.read().data
        assert (data.params["paths.cache_dir"], data.tags["changed/paths.cache_dir"]) == ("/a", "/b")
        assert "changed/seed" not in data.tags

    def test_first_value_again(self, told) -> None:
        """What is as it was has not changed."""
        for value in ("/a", "/b", "/a"):
            told.log.params({"paths.cache_dir": value})
        told.tell()
        assert "changed/paths.cache_dir" not in told.read().data.tags

    def test_values_of_every_kind(self, told) -> None:
        """Nothing, an empty text, a truth value and a text that is too long are all kept."""
        told.log.params({"none": None, "empty": "", "no": False, "zero": 0.0, "long": "x" * 7000})
        told.tell()
        params = told.read().data.params
        assert (params["none"], params["empty"], params["no"], params["zero"]) == ("None", "", "False", "0.0")
        assert len(params["long"]) == 6000
        assert params["long"].endswith("...")


class TestEnd:
    """How a run stands in MLflow follows how the work ended."""

    @pytest.mark.parametrize(
        ("status", "shown"),
        [(EndStatus.finished, "FINISHED"), (EndStatus.failed, "FAILED"), (EndStatus.interrupted, "KILLED")],
    )
    def test_status(self, told, status, shown) -> None:
        """Each end has its word."""
        told.log.end(status)
        told.tell()
        assert told.read().info.status == shown

    def test_run_goes_on(self, told) -> None:
        """A run that begins again runs, under its new name and without the reason of its old end."""
        told.log.end(EndStatus.failed, "the disk is full")
        told.tell()
        assert told.read().data.tags["phytoscope.end_reason"] == "the disk is full"
        told.log.begin("identity", name="second name")
        told.tell()
        assert (told.read().info.status, told.read().info.run_name) == ("RUNNING", "second name")
        told.log.end(EndStatus.finished)
        told.tell()
        assert told.read().info.status == "FINISHED"
        assert "phytoscope.end_reason" not in told.read().data.tags


class TestParents:
    """Trials and folds stand below their sweep, whichever log is told first."""

    def begin(self, folder, uri, key, name, kind, parent=None) -> Told:
        """A run of a kind that has begun."""
        told = Told(folder / name, uri)
        told.log.begin(key, name=name, kind=kind, parent=parent)
        return told

    @pytest.mark.parametrize("order", ["parent first", "children first"])
    def test_children_find_their_parent(self, tmp_path, uri, order) -> None:
        """The UI shows a tree in either order, and one parent only."""
        sweep = self.begin(tmp_path, uri, "s", "sweep", RunKind.sweep)
        trials = [self.begin(tmp_path, uri, f"t{n}", f"trial {n}", RunKind.trial, sweep.run().key) for n in range(2)]
        fold = self.begin(tmp_path, uri, "f", "fold", RunKind.fold, trials[0].run().key)
        logs = [sweep, *trials, fold]
        for told in logs if order == "parent first" else reversed(logs):
            told.tell()
        parents = {told.read().info.run_name: told.read().data.tags.get("mlflow.parentRunId") for told in logs}
        assert parents == {"sweep": None, "trial 0": sweep.remote, "trial 1": sweep.remote, "fold": trials[0].remote}
        assert {told.read().data.tags["phytoscope.kind"] for told in logs} == {"sweep", "trial", "fold"}

    def test_parent_that_was_created_in_the_same_moment(self, tmp_path, uri) -> None:
        """A child that missed its parent by a moment finds it at its end."""
        sweep = self.begin(tmp_path, uri, "s", "sweep", RunKind.sweep)
        trial = self.begin(tmp_path, uri, "t", "trial", RunKind.trial, sweep.run().key)
        sweep.tell()
        trial.tell()
        trial.client.delete_tag(trial.remote, "mlflow.parentRunId")
        trial.log.end(EndStatus.finished)
        trial.tell(trial.events()[-1:])
        assert trial.read().data.tags["mlflow.parentRunId"] == sweep.remote


class TestFiles:
    """What is sent again takes the place of what was there."""

    def test_files_and_folders(self, told) -> None:
        """A file goes into the folder that is named; the content of a folder too."""
        (told.root / "report.html").write_text("page")
        draw_photo(told.root / "figures" / "scatter.png")
        told.log.artifact(told.root / "report.html")
        told.log.artifact(told.root / "report.html", "report")
        told.log.artifact(told.root / "figures", "pictures")
        told.log.artifact(told.root / "figures")
        told.tell()
        expected = ["figures/scatter.png", "pictures/scatter.png", "report.html", "report/report.html"]
        assert told.list_files() == expected

    def test_old_figures_go(self, told, tmp_path) -> None:
        """A figure that the new evaluation does not draw any more is not shown beside the new ones."""
        draw_photo(told.root / "figures" / "old" / "a.png")
        draw_photo(told.root / "figures" / "b.png")
        told.log.artifact(told.root / "figures", "figures")
        told.tell()
        (told.root / "figures" / "old" / "a.png").unlink()
        (told.root / "figures" / "b.png").write_bytes(b"new")
        told.log.artifact(told.root / "figures", "figures")
        told.tell(told.events()[-1:])
        assert told.list_files() == ["figures/b.png"]
        path = told.client.download_artifacts(told.remote, "figures/b.png", str(tmp_path))
        assert Path(path).read_bytes() == b"new"

    def test_model_of_the_same_name(self, told) -> None:
        """A model called like a folder is not taken for old files of it."""
        make_package(told.root / "package", name="figures")
        draw_photo(told.root / "figures" / "a.png")
        told.log.package(told.root / "package")
        told.log.artifact(told.root / "figures", "figures")
        model = told.tell()["model_uri"].removeprefix("models:/")
        assert told.client.get_logged_model(model).name == "figures"
        assert "MLmodel" in [entry.path for entry in told.client.list_logged_model_artifacts(model)]
        assert "figures/a.png" in told.list_files("figures")

    def test_file_that_is_gone(self, told) -> None:
        """A later step replaced it and tells of what took its place: nothing to do here."""
        (told.root / "report.html").write_text("page")
        told.log.artifact(told.root / "report.html")
        told.log.package(told.root / "package")
        (told.root / "report.html").unlink()
        told.log.end(EndStatus.finished)
        assert told.tell() == {}
        assert (told.list_files(), told.read().info.status) == ([], "FINISHED")

    def test_store_lies_beside_its_file(self, told, uri) -> None:
        """Files of a local store stand in `artifacts` beside `mlflow.db`, wherever the command is run."""
        (told.root / "report.html").write_text("page")
        told.log.artifact(told.root / "report.html")
        told.tell()
        assert list((find_local_folder(uri) / "artifacts").rglob("report.html"))


class TestPackage:
    """The package is an artefact and a model."""

    def test_both(self, told) -> None:
        """The folder is there as it is, and a model that says where it came from."""
        make_package(told.root / "package")
        told.log.package(told.root / "package")
        facts = told.tell()
        files = [path.removeprefix("package/") for path in told.list_files("package")]
        assert files == sorted([*read_json(told.root / "package" / "package.json")["sha256"], "package.json"])
        model = told.client.get_logged_model(facts["model_uri"].removeprefix("models:/"))
        assert (model.source_run_id, str(model.status)) == (told.remote, "READY")
        assert model.tags["phytoscope.model_id"] == "0123456789abcdef"
        assert [each.model_id for each in told.read().outputs.model_outputs] == [model.model_id]

    def test_model_has_its_results(self, told) -> None:
        """What was measured on test last stands beside the model, and still once in the run."""
        make_package(told.root / "package")
        told.log.metrics({"test/r2": 0.25, "val/r2": 0.5}, step=3)
        told.log.metrics({"test/r2": 0.75}, step=4)
        told.log.package(told.root / "package")
        model = told.client.get_logged_model(told.tell()["model_uri"].removeprefix("models:/"))
        assert [(point.key, point.value, point.step) for point in model.metrics] == [("test/r2", 0.75, 4)]
        assert [point.value for point in told.client.get_metric_history(told.remote, "test/r2")] == [0.25, 0.75]

    def test_without_a_model(self, tmp_path, uri) -> None:
        """`track.pyfunc=false`: the folder only."""
        told = Told(tmp_path / "run", uri, pyfunc=False)
        told.log.begin("identity", name="plain")
        make_package(told.root / "package")
        told.log.package(told.root / "package")
        assert told.tell() == {}
        assert "package/package.json" in told.list_files()
        assert told.client.search_logged_models([told.read().info.experiment_id]) == []

    def test_other_limits_are_another_model(self, told) -> None:
        """The same weights judged in another way must not change what was registered before."""
        make_package(told.root / "package")
        told.log.package(told.root / "package")
        first = told.tell()["model_uri"]
        before = told.client.list_logged_model_artifacts(first.removeprefix("models:/"))
        make_package(told.root / "package", judged=False)
        told.log.package(told.root / "package")
        second = told.tell(told.events()[-1:])["model_uri"]
        assert first != second
        assert told.client.list_logged_model_artifacts(first.removeprefix("models:/")) == before

    def test_upload_that_broke_off(self, told, monkeypatch) -> None:
        """A model whose files did not all arrive is not ready; the next telling completes the same one."""
        make_package(told.root / "package")
        told.log.package(told.root / "package")
        told.tell(told.events()[:1])
        client = type(told.client)

        def lose(*_: object) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

        with monkeypatch.context() as broken:
            broken.setattr(client, "log_model_artifacts", lose)
            with pytest.raises(TrackingError, match="reset"):
                told.tell()
        models = told.client.search_logged_models([told.read().info.experiment_id])
        assert [str(model.status) for model in models] == ["PENDING"]
        assert told.tell()["model_uri"] == f"models:/{models[0].model_id}"

    def test_server_that_keeps_no_models(self, told, monkeypatch) -> None:
        """An old server gets everything else, and the run says what is missing."""
        make_package(told.root / "package")
        told.log.package(told.root / "package")
        told.log.end(EndStatus.finished)

        def refuse(*_: object, **__: object) -> None:
            raise MlflowException("no such page", error_code=ErrorCode.Value("ENDPOINT_NOT_FOUND"))

        monkeypatch.setattr(type(told.client), "search_logged_models", refuse)
        assert told.tell() == {}
        assert "older than MLflow 3" in told.read().data.tags["phytoscope.model_problem"]
        assert told.read().info.status == "FINISHED"

    @pytest.mark.parametrize("damage", ["part", "description"])
    def test_damaged_package_does_not_stop_the_rest(self, told, damage) -> None:
        """It is told as it is, but never served, and the run says why."""
        make_package(told.root / "package")
        if damage == "part":
            (told.root / "package" / "model.safetensors").write_bytes(b"no")
        else:
            (told.root / "package" / "package.json").write_text(json.dumps({"sha256": {}}))
        told.log.package(told.root / "package")
        told.log.end(EndStatus.finished)
        assert told.tell() == {}
        assert (told.read().info.status, "package/model.safetensors" in told.list_files()) == ("FINISHED", True)
        assert "damaged" in told.read().data.tags["phytoscope.model_problem"]
        make_package(told.root / "package")
        assert "model_uri" in told.tell()
        assert "phytoscope.model_problem" not in told.read().data.tags


class TestDeleted:
    """What people delete in MLflow stays deleted."""

    def test_run(self, told) -> None:
        """It cannot be told any more; opened again it is another run."""
        train(told)
        told.tell()
        told.client.delete_run(told.remote)
        with pytest.raises(TrackingError, match="was deleted there"):
            told.sink.send(told.run(), told.events())
        first = told.remote
        assert told.sink.open(told.run()) != first

    def test_store(self, told, tmp_path) -> None:
        """An id that this store never gave is not believed."""
        run = dataclasses.replace(told.run(), remote="f" * 32)
        assert told.sink.open(run) != "f" * 32

    def test_experiment(self, told) -> None:
        """The error says what to do."""
        told.tell()
        told.client.delete_experiment(told.read().info.experiment_id)
        other = Told(told.root, told.client.tracking_uri)
        with pytest.raises(TrackingError, match=r"'leaves' is deleted .* track\.experiment"):
            other.sink.open(other.run())


def test_wrong_question_is_no_absent_server(told, monkeypatch) -> None:
    """A bug of ours must be seen, and not be waited for until a server that is there comes back."""
    from phytoscope.track import mlflow_words

    told.log.metrics({"val/f1/(a)": 1.0})
    monkeypatch.setattr(mlflow_words, "clean_name", lambda name: name)
    with pytest.raises(MlflowException) as caught:
        told.tell()
    assert not isinstance(caught.value, TrackingError)


def test_full_disk_is_waited_for(told, monkeypatch) -> None:
    """A disk that is full may be emptied: the event is told later."""
    (told.root / "report.html").write_text("page")
    told.log.artifact(told.root / "report.html")

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(type(told.client), "log_artifact", fill)
    with pytest.raises(TrackingError, match="the disk is full"):
        told.tell()


def test_nothing_is_said(told, capfd) -> None:
    """A run says nothing on its own on the console."""
    train(told)
    make_package(told.root / "package")
    told.log.package(told.root / "package")
    told.log.end(EndStatus.finished)
    told.tell()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_mlflow_is_imported_when_it_is_needed() -> None:
    """The command line starts without it."""
    code = "import sys, phytoscope.track.mlflow_sink; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_two_couriers_begin_a_store(tmp_path) -> None:
    """Three processes that open the same new store at the same moment make one store and one experiment."""
    code = """
import sys, time
from pathlib import Path
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import RunKind
from phytoscope.track.mlflow_client import prepare_mlflow
from phytoscope.track.mlflow_sink import MlflowSink
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget
prepare_mlflow()
import mlflow.store.tracking.sqlalchemy_store
time.sleep(max(0.0, float(sys.argv[3]) - time.time()))
sink = MlflowSink(TrackTarget(TrackSink.mlflow, sys.argv[1], "leaves"))
print(sink.open(TrackedRun(sys.argv[2] * 32, "n", RunKind.run, None, Path("."), 1.0)))
"""
    uri = local_uri(tmp_path / "new")
    start = str(time.time() + 8)
    words = [[sys.executable, "-c", code, uri, key, start] for key in "aab"]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(each, stdout=pipe, stderr=pipe, text=True) for each in words]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert {err for _, err in said} == {""}
    assert count_rows(uri, "experiments") == 2  # with MLflow's own "Default"
    assert said[2][0] not in {said[0][0], said[1][0]}
