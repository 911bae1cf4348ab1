"""`ph.inspect`, `ph.split`, `ph.train`, `ph.evaluate`, `ph.package`: the steps of the command line, from Python."""

import pandas as pd
import pytest

import phytoscope as ph
from factories.runs import TINY, run_tiny
from phytoscope.schema.report import EvaluationReport
from phytoscope.steps import read_report


def test_inspection(leaves, tmp_path, capfd):
    """Findings come as objects and as a table; the page lies where the command line puts it; nothing is printed."""
    found = ph.inspect(ph.read(leaves), settings=["audit.probes=false"])

    assert found.page == tmp_path / "runs/inspect-leaves/inspect.html"
    assert found.page.is_file()
    assert found.table["title"].tolist() == [finding.title for finding in found.findings]
    assert "duplicates/exact" in set(found.table["check"])
    assert set(found.table["severity"]) <= {"error", "warning", "note"}
    assert repr(found).startswith("Inspection(images: 89, findings: ")
    assert "exact copy" in found._repr_html_()
    assert capfd.readouterr() == ("", "")


def test_inspection_checks_a_split(leaves, tmp_path):
    """A split made elsewhere is checked for leaks, and a wrong name of its file is told before anything is done."""
    data = ph.read(leaves)
    place = tmp_path / "split.csv"
    parts = ["train", "test"] * len(data)
    pd.DataFrame({"image": data.table["sample_id"], "split": parts[: len(data)]}).to_csv(place, index=False)

    found = ph.inspect(data, split=place, settings=["audit.probes=false"], output=tmp_path / "out")

    assert found.report.leakage
    assert found.folder == tmp_path / "out"
    with pytest.raises(ph.errors.DataNotFoundError, match=r"split: there is no file .* did you mean 'split.csv'"):
        ph.inspect(data, split="splits.csv")


def test_split(leaves, tmp_path, capfd):
    """No leaf stands in two splits; the same call gives the same split; without a run it lies in the cache."""
    data = ph.read(leaves)

    split = ph.split(data)
    again = ph.split(data)
    other = ph.split(data, settings=["seed=1"])

    assert split.leaks.empty
    assert list(split.leaks) == [
        "kind",
        "name",
        "first_sample",
        "first_split",
        "second_sample",
        "second_split",
        "images",
    ]
    assert split.table.groupby("group_id")["split"].nunique().max() == 1
    assert split.summary["images"].sum() == len(split.table) == len(data)
    assert split.folder.parent == tmp_path / "runs/cache/splits"
    assert split.table.equals(again.table)
    assert not split.table.equals(other.table)
    assert split.folder != other.folder
    assert "leaks: 0" in repr(split)
    assert "Drawn___rust" in split._repr_html_()
    assert capfd.readouterr() == ("", "")


def test_split_of_a_run(leaves, tmp_path):
    """A split that is drawn in the folder of a run is the one that it is trained with."""
    data = ph.read(leaves)

    split = ph.split(data, settings=["data.split.test=0.4"], run_dir="runs/mine")

    assert split.folder == tmp_path / "runs/mine"
    assert (split.table["split"] == "test").mean() == pytest.approx(0.4, abs=0.05)


def test_run_is_that_of_the_command_line(trained):
    """What Python trained, judged and packed is taken as done by the same words elsewhere: there is no second way."""
    data, run = trained

    _, said = run_tiny([*data.settings, *TINY, "package.onnx=never", f"paths.run_dir={run.root}"])

    assert said.reused() == ["prepare", "train", "evaluate", "package"]


def test_trained_run(trained):
    """A run gives its tables, also when it is opened by the name of its folder."""
    data, run = trained
    opened = ph.TrainedRun(str(run.root))

    assert opened == run
    assert len(opened.history) == 2
    assert len(opened.split) == len(data)
    assert set(opened.answers["split"]) == {"val", "calibration", "test"}
    assert opened.report_page.is_file()
    assert repr(opened) == f"TrainedRun({str(run.root)!r})"
    assert "val/loss" in opened._repr_html_()
    assert "history" not in ph.TrainedRun("nowhere")._repr_html_()


@pytest.mark.parametrize(
    ("name", "call"), [("history", r"train\(data\)"), ("split", r"train\(data\)"), ("answers", r"evaluate\(run\)")]
)
def test_tables_that_are_not_there_yet(tmp_path, name, call):
    """Who asks too early is told which call comes first."""
    with pytest.raises(ph.errors.ArtifactError, match=f"yet: call phytoscope.{call} first"):
        getattr(ph.TrainedRun(tmp_path), name)


def test_evaluation(trained):
    """The report of a run is that of the file, as an object that knows its tables."""
    _, run = trained

    report = ph.evaluate(run.root)

    assert isinstance(report, EvaluationReport)
    assert report.to_dict() == read_report(run.files).to_dict()
    own = report.table.query("split == 'test' and model == 'network'").set_index("metric")
    assert own.loc["macro_f1", "value"] == report.metric("test", "macro_f1")
    assert set(report.table["model"]) == {"network", "constant"}
    assert "better than the baselines" in repr(report)
    assert "macro_f1" in report._repr_html_()


def test_package(trained, capfd):
    """The package answers; all that was done already is not done again, and nothing is printed."""
    data, run = trained
    stamp = run.files.record("package").read_bytes()

    answer = ph.Predictor.load(ph.package(run)).predict(data.table["path"].iloc[0])

    assert answer.error == ""
    assert answer.label in data.classes
    assert run.files.record("package").read_bytes() == stamp
    assert capfd.readouterr() == ("", "")


def test_call_is_the_whole_truth(trained, tmp_path):
    """Settings of an earlier training in the same folder are forgotten: a cell means what it says."""
    data, _ = trained
    ph.split(data, settings=[*TINY, "data.split.test=0.4"], run_dir=tmp_path / "run")

    split = ph.split(data, settings=TINY, run_dir=tmp_path / "run")

    assert (split.table["split"] == "test").mean() == pytest.approx(0.2, abs=0.06)


def test_run_without_a_name(trained, tmp_path):
    """Without the name of a folder a run goes on in the latest one of the same settings."""
    data, _ = trained
    words = [*TINY, f"paths.runs_dir={tmp_path}", "trainer.max_epochs=1"]

    first = ph.train(data, settings=words)
    second = ph.train(data, settings=words)

    assert first == second
    assert first.root.parent == tmp_path


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda _: ph.train("leaves"), r"expected a Dataset, received 'leaves' \(str\).*phytoscope.read"),
        (lambda _: ph.inspect(3), r"received 3 \(int\)"),
        (lambda data: ph.train(data, model="mobilnetv3"), "did you mean 'mobilenetv3'"),
        (lambda data: ph.train(data, settings=["trainer.max_epoch=3"]), "did you mean 'trainer.max_epochs'"),
        (lambda data: ph.train(data, settings="seed=1"), "expected a list of texts"),
        (lambda _: ph.evaluate("runs/nothing"), "there is no run in"),
        (lambda _: ph.package(None), r"received None \(NoneType\).*phytoscope.train"),
    ],
)
def test_mistakes_say_what_would_work(trained, tmp_path, monkeypatch, call, text):
    """Wrong names and settings are the same errors as at the command line."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ph.errors.ConfigError, match=text):
        call(trained[0])
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_on_request(leaves, capsys):
    """With progress=True the stretches of work and what there is to know are written to stderr."""
    ph.split(ph.read(leaves, progress=True), progress=True)

    out, err = capsys.readouterr()
    assert out == ""
    assert "Checking rows: done in" in err
    assert "split by group: train" in err
