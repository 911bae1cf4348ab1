"""`--json`: one document on stdout with the keys that the guide lists, and everything else on stderr."""

import datetime as dt
import enum
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from factories.comparisons import draw_answers
from factories.images import write_image
from factories.mlflow_stores import make_store
from factories.packages import make_package
from factories.records import make_feedback, make_prediction, make_weight
from factories.registered_runs import draw_photos, make_run, split_photos
from factories.runs import draw_mixed_folder, run_command, run_words
from factories.told_runs import write_run
from phytoscope import cli
from phytoscope.api.records.ledger import open_ledger
from phytoscope.cli import demo_command, doctor_command, export_command
from phytoscope.cli.doctor_report import Check, Health
from phytoscope.cli.json_output import print_json, reserve_stdout, to_plain
from phytoscope.data.fetch.dataset import Fetched
from phytoscope.errors import ArtifactError
from phytoscope.pipeline.headless import HeadlessRun
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.drift import DriftReport
from phytoscope.schema.explanation import ExplanationMethod, ExplanationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.steps.cross_validate import CrossValidation, FoldsFolder
from phytoscope.steps.drift import DriftLook
from phytoscope.steps.drift_parts import Watched
from phytoscope.steps.drift_show import ShownMonitor
from phytoscope.steps.drift_truth import TruthAdded
from phytoscope.steps.sweep import SweepResult
from phytoscope.steps.sweep_plan import SweepFolder
from phytoscope.track.target import TrackTarget, save_targets
from phytoscope.train.find.batch_size import BatchTrial
from phytoscope.train.find.learning_rate import RateTest

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "command_line.md"
LOOK = DriftReport(1, 8, 4, 8, 4, 80, 40, 0.05, 0.01, 0.01, 99, True, [])


def read_guide() -> dict[str, set[str]]:
    """Command -> keys of its document, as the table of the guide has them."""
    rows = re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", GUIDE.read_text(encoding="utf-8").partition("## JSON")[2], re.M)
    texts = {command: re.sub(r"\([^()]*\)", "", text) for command, text in rows}
    keys = {command: set(re.findall(r"`(\w+)`", text)) for command, text in texts.items()}
    for command, text in texts.items():
        if found := re.match(r"as `([a-z -]+)`", text):
            keys[command] = keys[found[1]]
    return keys


KEYS = read_guide()


def ask(command: str, *words: object, code: int = 0, keys: set[str] | None = None):
    """Runs a command with --json; its document, which has the keys of the guide."""
    done = CliRunner().invoke(cli.app, [*command.split(), *map(str, words), "--json"])
    assert done.exit_code == code, (done.output, done.exception)
    document = json.loads(done.stdout)
    assert set(document) == (KEYS[command] if keys is None else keys)
    return document


@pytest.fixture
def stand_in(monkeypatch):
    """Puts a result that is known in the place of work that takes its time."""

    def put(place: str, result: object) -> None:
        monkeypatch.setattr(place, lambda *_, **__: result)

    return put


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of a tiny run that went the whole way, by the command line."""
    place = tmp_path_factory.mktemp("trained")
    words = run_words(draw_mixed_folder(place / "photos"), place / "run", "package.onnx=never")
    summary = ask("run", *words)
    metric = summary["splits"]["test"]["metrics"]["accuracy"]
    assert 0 <= metric["value"] <= 1
    assert (metric["unit"], metric["higher_is_better"]) == ("", True)
    assert summary["task"] == "classification"
    assert summary["run_dir"] == str(place / "run")
    assert all(Path(file).exists() for file in summary["files"].values())
    assert {"report_page", "package"} <= set(summary["files"])
    return place / "run"


def test_steps_of_a_run(trained) -> None:
    """Each step says where its files are; finished ones are reused."""
    place = f"paths.run_dir={trained}"
    prepared = ask("prepare", place)
    assert sum(prepared["splits"].values()) == prepared["images"] > 0
    assert ask("train", place)["epochs"] == 2
    assert ask("evaluate", place)["files"]["report"] == str(trained / "report.json")
    assert ask("package", place)["files"]["package"] == str(trained / "package")
    before = CliRunner().invoke(cli.app, ["package", "--json", place])
    assert json.loads(before.stdout)["run_dir"] == str(trained)


def test_inspection(tmp_path) -> None:
    """Findings with severity and remedy; exit code 3 has its document too."""
    for number in range(6):
        write_image(tmp_path / "leaves" / ("rust" if number % 2 else "scab") / f"{number}.png", seed=number)
    words = (tmp_path / "leaves", "--output", tmp_path / "out", "--no-probes")
    found = ask("inspect", *words, "--fail-on", "never")
    assert found["counts"]["images"] == 6
    assert {"check", "severity", "title", "remedy"} <= set(found["findings"][0])
    assert Path(found["files"]["page"]).is_file()
    assert ask("inspect", *words, "--fail-on", "note", code=3)["worst"] == found["worst"]


def test_search_for_rates_and_sizes(stand_in, tmp_path) -> None:
    """A suggestion beside what is configured; what did not fit has no speed."""
    rates = RateTest(np.array([1e-3, 1e-2]), np.array([1.0, np.nan]), np.array([1.0, 1.0]), None)
    stand_in("phytoscope.steps.find.find_learning_rate", (rates, tmp_path / "figure.png"))
    stand_in("phytoscope.steps.find.find_batch_size", ([BatchTrial(4, 9.5), BatchTrial(8, None, "full")], 4))
    words = ("data=folder", f"data.root={tmp_path}", f"paths.run_dir={tmp_path / 'run'}", "trainer.learning_rate=0.01")
    found = ask("find learning-rate", *words)
    assert (found["suggestion"], found["configured"], found["files"]) == (None, 0.01, {})
    found = ask("find batch-size", *words)
    assert found["trials"][1] == {"size": 8, "images_per_s": None, "reason": "full"}


def test_cross_validation_and_sweep(stand_in, tmp_path) -> None:
    """Tables become lists of rows, and NaN becomes null."""
    folder = FoldsFolder(tmp_path / "folds")
    folder.root.mkdir()
    folder.metrics.write_text("metric\n")
    table = pd.DataFrame({"metric": ["mae"], "unit": ["g"], "mean": [1.5], "sd": [np.nan], "pooled": [1.25]})
    stand_in("phytoscope.steps.cross_validate.cross_validate", CrossValidation(folder, table, 5, None))
    words = ("data=folder", f"data.root={tmp_path}", f"paths.run_dir={tmp_path / 'run'}")
    found = ask("cross-validate", *words)
    assert found["metrics"] == [{"metric": "mae", "unit": "g", "mean": 1.5, "sd": None, "pooled": 1.25}]
    assert found["files"] == {"metrics": str(folder.metrics)}
    trials = pd.DataFrame({"trial": [3], "state": ["complete"], "objective": [0.5], "seconds": [2.0], "seed": [0]})
    swept = SweepResult(
        SweepFolder(tmp_path), trials, "loss on val", ("seed",), RunFolder(tmp_path / "b"), {"seed": 1.0}
    )
    stand_in("phytoscope.steps.sweep.run_sweep", swept)
    assert ask("sweep", *words)["trials"] == trials.to_dict("records")


def test_demo_export_and_doctor(stand_in, monkeypatch, trained, tmp_path) -> None:
    """What only passes on the results of others."""
    run = RunFolder(trained)
    monkeypatch.setattr(demo_command, "_draw", lambda place, _: place)
    monkeypatch.setattr(demo_command, "look_at_data", lambda *_, **__: ())
    monkeypatch.setattr(demo_command, "tell_findings", lambda: None)
    monkeypatch.setattr(demo_command, "start_run", lambda *_, **__: run)
    assert [each["run_dir"] for each in ask("demo", "--output", tmp_path)["runs"]] == [str(trained)] * 2
    monkeypatch.setattr(export_command, "start_run", lambda *_, **__: run)
    assert ask("export", trained, keys={"run_dir", "files"})["files"]["package"] == str(run.package)
    stand_in("phytoscope.predict.export.bare.write_bare", [tmp_path / "model.onnx"])
    words = (trained, "--to", "onnx", "--output", tmp_path / "bare")
    assert ask("export", *words, keys={"written"}) == {"written": [str(tmp_path / "model.onnx")]}
    monkeypatch.setattr(doctor_command, "look", lambda *_: [Check("Disk", Health.fault, "full", "make room")])
    assert ask("doctor", code=3)["checks"][0]["health"] == "fault"


def test_packages_and_answers(tmp_path) -> None:
    """Shown, checked, packed, unpacked, and asked for photographs."""
    package = tmp_path / "package"
    make_package(package)
    for number in range(2):
        write_image(tmp_path / "new" / f"{number}.png", seed=number)
    (tmp_path / "new" / "broken.jpg").write_text("no picture")
    assert ask("package show", package)["path"] == str(package)
    checked = ask("package verify", package)
    assert checked["runtimes"][0]["runtime"] == "torch"
    assert 0 <= checked["runtimes"][0]["largest_difference"] < 1e-3
    packed = ask("package pack", package, "-o", tmp_path / "one.phyto")
    assert packed["size_bytes"] == (tmp_path / "one.phyto").stat().st_size
    assert ask("package unpack", tmp_path / "one.phyto", "-o", tmp_path / "two")["left_out"] == []
    answers = tmp_path / "answers.csv"
    found = ask("predict", package, tmp_path / "new", "-o", answers)
    assert (found["answered"], found["failed"], found["output"]) == (2, 1, str(answers))
    assert len(pd.read_csv(answers)) == 3
    listed = ask("suggest", package, tmp_path / "new", "-n", "1", "--output", tmp_path / "list.csv")
    assert listed["looked_at"] == 3
    assert Path(listed["files"]["table"]).is_file()


def test_explanations(stand_in, tmp_path) -> None:
    """How the maps were made, and how many pictures could not be read."""
    stand_in("phytoscope.steps.explain_files.explain_files", (ExplanationReport(ExplanationMethod.auto, []), 2))
    make_package(tmp_path / "package")
    found = ask("explain", tmp_path / "package", tmp_path, "--output", tmp_path / "why")
    assert (found["method"], found["failed"], found["explained"]) == ("auto", 2, [])


def test_comparison(tmp_path) -> None:
    """All of comparison.json, the sentence, and where the page lies."""
    for name, second in (("plain", False), ("field", True)):
        (tmp_path / name).mkdir()
        draw_answers(Task.classification, second=second).table.to_parquet(tmp_path / name / "predictions.parquet")
    words = (tmp_path / "plain", tmp_path / "field", "--bootstrap", "20", "--output", tmp_path / "out")
    found = ask("compare", *words)
    assert found["summary"].startswith("field is better by ")
    written = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    assert found["files"] == {"page": str(tmp_path / "out" / "comparison.html")}


def test_registry(tmp_path, monkeypatch) -> None:
    """Registered, promoted or not, listed and rolled back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path / "mlflow"))
    rows = split_photos(draw_photos(tmp_path / "photos"))
    for name, spoilt in (("good", 0.0), ("poor", 1.0)):
        make_run(tmp_path / name, rows, seed=1, spoilt=spoilt)
    assert ask("models") == {"registry": os.environ["MLFLOW_TRACKING_URI"], "models": []}
    assert ask("register", tmp_path / "good")["reference"] == "models:/leaves/1"
    first = ask("promote", "leaves", "--min-groups", "5")
    assert (first["verdict"], first["is_accepted"], first["dry_run"]) == ("first", True, False)
    ask("register", tmp_path / "poor")
    kept = ask("promote", "leaves", "--min-groups", "5", "--dry-run", code=3)
    assert (kept["is_accepted"], kept["dry_run"]) == (False, True)
    [model] = ask("models", "leaves")["models"]
    newest, oldest = model["versions"]
    assert (newest["version"], oldest["aliases"]) == (2, ["champion"])
    assert isinstance(oldest["value"], float)
    assert model["champions"][0]["version"] == 1
    assert ask("rollback", "leaves", "--to", "2") == {"name": "leaves", "champion": 2, "champion_before": 1}


def test_watch(stand_in, tmp_path) -> None:
    """A look, the truth, and all looks; what has changed ends with 3."""
    look = DriftLook(LOOK, "The light has changed.", n_new=8, unreadable=(("a.jpg", "empty"),), page=tmp_path / "p")
    stand_in("phytoscope.steps.drift.look_for_drift", look)
    stand_in("phytoscope.steps.model_source.resolve_package", tmp_path)
    found = ask("drift look", tmp_path, tmp_path, "--monitor", tmp_path / "watch", code=3)
    assert (found["fired"], found["n_unreadable"], found["report"]["n_groups"]) == (True, 1, 4)
    watched = Watched.__new__(Watched)
    vars(watched).update(name="leaves", model_id="m", began_at="2026-11-01", task=Task.classification)
    stand_in("phytoscope.steps.drift_folder.MonitorFolder.read_watched", watched)
    stand_in("phytoscope.steps.drift_truth.add_truth", TruthAdded(None, "Nothing is known.", n_new=1))
    found = ask("drift truth", tmp_path, tmp_path / "labels.csv", "--label", "label")
    assert (found["fired"], found["report"]) == (False, None)
    stand_in("phytoscope.steps.drift_show.show_monitor", ShownMonitor(watched, [LOOK], ["One.", "Two."], None))
    assert ask("drift show", tmp_path)["looks"][0]["fired"] is True


def test_records(tmp_path) -> None:
    """Listed with times as text, counted, written and deleted."""
    url = f"sqlite:///{tmp_path / 'records.db'}"
    ledger = open_ledger(url, None)
    now = dt.datetime.now(dt.UTC)
    ledger.add_predictions([make_prediction(0x1111110, at=now), make_weight(0x2222220, at=now, model_id="w" * 16)])
    ledger.add_feedback(make_feedback(1, about=0x1111110, label="scab"))
    ledger.close()
    newest = ask("records list", "--url", url, keys={"answers"})["answers"]
    assert {"at", "label", "verdict", "answer", "feedback"} <= set(newest[0])
    assert dt.datetime.fromisoformat(newest[0]["at"])
    answer = f"{0x1111110:032x}"
    shown = ask("records show", answer, "--url", url, keys=set(newest[0]) | {"image"})
    assert KEYS["records show"] <= set(shown)
    assert shown["feedback"][0]["label"] == "scab"
    rows = ask("records stats", "--url", url)["rows"]
    assert rows[0]["right"]["total"] == 1
    assert {row["mae"] for row in rows} == {None}
    table = tmp_path / "answers.csv"
    assert ask("records export", "--output", table, "--url", url) == {"answers": 2, "output": str(table)}
    older = CliRunner().invoke(cli.app, ["records", "export", str(tmp_path / "older.csv"), "--url", url])
    assert older.exit_code == 0, older.output
    assert ask("records purge", "--older-than", "1d", "--yes", "--url", url)["predictions"] == 0
    assert ask("records delete", "--all", "--yes", "--url", url)["predictions"] == 2


def test_pipeline(stand_in, tmp_path, monkeypatch) -> None:
    """Laid out, listed, and run."""
    for name in ("DAGSTER_HOME", "PHYTOSCOPE_WORKSPACE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    place = tmp_path / "plants"
    assert str(place / "README.md") in ask("pipeline new", place)["written"]
    (place / "datasets" / "leaves.yaml").write_text("defaults:\n- override /data: folder\ndata: {root: ../leaves}\n")
    [state] = ask("pipeline list", "--workspace", place)["datasets"]
    assert (state["name"], state["last_run"]) == ("leaves", "none yet")
    stand_in("phytoscope.pipeline.headless.run_partition", HeadlessRun("r", ["raw_dataset"], []))
    assert ask("pipeline run", "--workspace", place)["dataset"] == "leaves"


def test_trackers(tmp_path, monkeypatch) -> None:
    """Who was told how much of which run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    log = write_run(tmp_path / "runs" / "one")
    save_targets(
        log.path.parent / "tracking", [TrackTarget(TrackSink.mlflow, make_store(tmp_path / "store"), "leaves")]
    )
    [run] = ask("track status")["runs"]
    assert (run["run_dir"], run["trackers"][0]["told"]) == (str(tmp_path / "runs" / "one"), 0)
    assert run["trackers"][0]["total"] > 0
    assert ask("track sync")["runs"][0]["told"] == run["trackers"][0]["total"]


def test_data(stand_in, tmp_path) -> None:
    """Known sets, a fetched one, an imported one, and what changed between two versions."""
    assert "plantvillage" in [known["name"] for known in ask("data list")["datasets"]]
    stand_in("phytoscope.data.fetch.dataset.fetch_dataset", Fetched(tmp_path, 3, 2, False))
    assert ask("data fetch", "https://example.org/leaves.zip", "-o", tmp_path / "new")["images"] == 3
    for name in ("rust", "scab"):
        write_image(tmp_path / "leaves" / "train" / name / "1.png")
    imported = ask("data import", "imagefolder", tmp_path / "leaves", "-o", tmp_path / "labels.csv")
    assert (imported["rows"], imported["files"]) == (2, {"table": str(tmp_path / "labels.csv")})
    for name, labels in (("a", ["rust", "scab"]), ("b", ["rust", "rust"])):
        rows = {"sample_id": ["1", "2"], "sha256": ["1" * 64, "2" * 64], "label": labels, "target": np.nan}
        (tmp_path / name).mkdir()
        pd.DataFrame(rows | {"group_id": ["x", "y"]}).to_parquet(tmp_path / name / "manifest.parquet")
    assert ask("data diff", tmp_path / "a", tmp_path / "b", code=3)["counts"] == {"relabelled": 1}
    assert ask("data diff", tmp_path / "a", tmp_path / "a")["changes"] == []


def test_what_needs_no_data(tmp_path) -> None:
    """Settings, adapters, keys and the cache."""
    rows = {row["key"]: row for row in ask("settings")["settings"]}
    assert (rows["seed"]["default"], rows["serve.keys"]["default"]) == (0, None)
    assert list(ask("settings", "serve")["presets"]) == ["serve"]
    found = ask("adapters", "model.backbone=test_resnet")
    shares = {row["adapt"]: row["share"] for row in found["adapters"]}
    assert 0 < shares["head"] < shares["full"]
    keys = tmp_path / "keys.json"
    assert ask("serve-keys add", "anna", "--file", keys)["key"].startswith("phy_")
    assert [key["name"] for key in ask("serve-keys list", "--file", keys)["keys"]] == ["anna"]
    assert ask("serve-keys remove", "anna", "--file", keys)["name"] == "anna"
    (tmp_path / "cache").mkdir()
    assert ask("cache info", "--cache-dir", tmp_path / "cache")["total_bytes"] == 0
    assert ask("cache prune", "--cache-dir", tmp_path / "cache", "--all")["removed"] == []


def test_guide_lists_every_command_that_has_the_option() -> None:
    """Neither more nor fewer."""

    def walk(command, words=()):
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*words, name))
        # `package` itself hands its words to a hidden command.
        if any(param.name == "as_json" for param in command.params):
            yield " ".join(words).replace("package make", "package")

    assert set(walk(get_command(cli.app))) == set(KEYS)


def test_error_leaves_stdout_empty(tmp_path) -> None:
    """The sentence is on stderr and the code says what kind of error it is."""
    done = run_command("package", "show", str(tmp_path / "none"), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr
    inside = CliRunner().invoke(cli.app, ["cache", "info", "--cache-dir", str(tmp_path), "--json", "--nonsense"])
    assert (inside.exit_code, inside.stdout) == (2, "")


def test_what_others_print_goes_to_stderr() -> None:
    """Libraries, and child processes that know nothing of it; afterwards stdout is what it was."""
    program = (
        "import subprocess, sys\n"
        "from phytoscope.cli.json_output import print_json, reserve_stdout\n"
        "with reserve_stdout():\n"
        "    print('noise of a library')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"noise of a child\")'], check=True)\n"
        "    print_json({'leaf': 'Blätter \\udcff', 'value': float('nan')})\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8")
    document, after, rest = done.stdout.partition("\nafter\n")
    assert json.loads(document) == {"leaf": "Blätter \udcff", "value": None}
    assert (after, rest) == ("\nafter\n", "")
    assert "noise of a library" in done.stderr
    assert "noise of a child" in done.stderr


def test_stdout_comes_back_after_an_error(capsys) -> None:
    """In a process that goes on, as a notebook does."""
    message = "broken"
    with pytest.raises(ArtifactError), reserve_stdout():
        raise ArtifactError(message)
    print_json({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_values_become_plain() -> None:
    """Whatever a result may hold; 0 and false stay what they are."""

    class Kind(enum.StrEnum):
        leaf = "leaf"

    value = {
        Kind.leaf: [np.float32(0.5), np.int64(0), np.bool_(False), np.array([1.0, np.inf])],
        "path": Path("a") / "b",
        "at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        "none": None,
        "kinds": (Kind.leaf,),
    }
    assert to_plain(value) == {
        "leaf": [0.5, 0, False, [1.0, None]],
        "path": str(Path("a") / "b"),
        "at": "2026-11-01T00:00:00+00:00",
        "none": None,
        "kinds": ["leaf"],
    }
