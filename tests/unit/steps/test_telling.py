"""What the steps write into the event log: one run from the first epoch to the package, children below their parent."""

import json
import shutil

import pandas as pd
import pytest

from factories.runs import TINY, Sentences, draw_mixed_folder, draw_mixed_table, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, PhytoscopeError
from phytoscope.schema.events import EventKind, EventLog, RunKind, read_events
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps import RunContext, choose_run_folder, run_step
from phytoscope.steps.context import plain_settings, read_report
from phytoscope.steps.cross_validate import cross_validate
from phytoscope.steps.telling import flatten_settings, name_results
from phytoscope.steps.tracking import ended


def read(run):
    return list(read_events(EventLog(run).path))


def of_kind(events, kind):
    return [event for event in events if event.kind is kind]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table of photographs with numbers."""
    return draw_mixed_table(tmp_path_factory.mktemp("data"), n=40)


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """A finished tiny run with the words it was made from."""
    words = run_words(table, tmp_path_factory.mktemp("runs") / "a", "package.onnx=never")
    return run_tiny(words)[0], words


def test_one_run_from_training_to_package(finished):
    """Training, evaluation and package stand under one key, so a tracker shows them as one run."""
    run, _ = finished
    events = read(run)
    assert len({event.run for event in events}) == 1
    kinds = [event.kind for event in events]
    assert kinds[0] is EventKind.begin
    assert kinds[-1] is EventKind.end
    assert len(of_kind(events, EventKind.package)) == 1


def test_every_epoch_is_told_as_the_history_holds_it(finished):
    """Loss, learning rate and R2 of each epoch, once, with the numbers of history.csv."""
    run, _ = finished
    history = pd.read_csv(run.history).set_index("epoch")
    told = {}
    for event in of_kind(read(run), EventKind.metrics):
        for name, value in event.content["metrics"].items():
            assert (name, event.content["step"]) not in told
            told[name, event.content["step"]] = value
    for epoch, row in history.iterrows():
        for name, value in row.dropna().items():
            assert told[name, epoch] == pytest.approx(value, rel=1e-9)
    assert {"train/loss", "val/loss", "val/r2", "learning_rate"} <= {name for name, _ in told}


def test_results_are_told_as_the_report_holds_them(finished):
    """The numbers of test and what can be believed stand behind the last epoch."""
    run, _ = finished
    report = read_report(run)
    last = of_kind(read(run), EventKind.metrics)[-1].content
    assert last["metrics"]["test/r2"] == {m.name: m.value for m in report.splits["test"].metrics}["r2"]
    assert last["metrics"] == pytest.approx(name_results(report))
    assert {"trust/accept", "trust/coverage", "trust/promised"} <= set(last["metrics"])
    assert last["step"] == len(pd.read_csv(run.history))


def test_all_settings_and_both_hashes_are_told(finished):
    """Every setting under its dotted name, lengths that were left open filled in, and what identifies the data."""
    run, words = finished
    events = read(run)
    params = of_kind(events, EventKind.params)[0].content["params"]
    settings = flatten_settings(plain_settings(compose_config(words)))
    del settings["overrides"]
    assert set(params) == set(settings)
    assert {name: params[name] for name, value in settings.items() if value is not None} == {
        name: value for name, value in settings.items() if value is not None
    }
    data = of_kind(events, EventKind.dataset)[0].content
    report = read_report(run)
    assert (data["data_hash"], data["split_hash"]) == (report.data_hash, report.split_hash)
    assert sum(data["rows"].values()) == len(pd.read_parquet(run.manifest))


def test_files_are_told_by_their_place(finished):
    """Figures, report and tables, each of which exists."""
    run, _ = finished
    told = {event.content["path"]: event.content["folder"] for event in of_kind(read(run), EventKind.artifact)}
    assert {"report.html", "figures", "predictions.parquet", "answers.parquet", "history.csv", "config.yaml"} <= set(
        told
    )
    assert all((run.root / path).exists() for path in told)


def test_a_reused_run_tells_nothing(finished):
    """The second call does no work and has nothing to say."""
    run, words = finished
    before = EventLog(run).path.read_bytes()
    run_tiny(words)
    assert EventLog(run).path.read_bytes() == before


def test_a_second_evaluation_belongs_to_the_same_run(finished, tmp_path):
    """Evaluating anew goes on with the run and gives its numbers a place of their own."""
    run = RunFolder(shutil.copytree(finished[0].root, tmp_path / "a"))
    words = [word for word in finished[1] if not word.startswith("paths.run_dir=")]
    run_tiny([*words, f"paths.run_dir={run.root}", "evaluate.coverage=0.7"], step="evaluate")
    events = read(run)
    assert len({event.run for event in events}) == 1
    steps = [e.content["step"] for e in of_kind(events, EventKind.metrics) if "test/r2" in e.content["metrics"]]
    assert steps == [2, 3]


def test_other_settings_of_the_training_are_another_run(table, tmp_path):
    """A run folder that is trained anew holds two tracked runs, the numbers of which are not mixed."""
    words = run_words(table, tmp_path / "a")
    run, _ = run_tiny(words, step="train")
    run_tiny([*words, "trainer.learning_rate=0.0005"], step="train")
    events = read(run)
    keys = list(dict.fromkeys(event.run for event in events))
    assert len(keys) == 2
    epochs = [sum("train/loss" in e.content.get("metrics", {}) for e in events if e.run == key) for key in keys]
    assert epochs == [2, 2]


def test_a_run_of_an_earlier_version_is_told_from_its_files(finished, tmp_path):
    """Without a log, everything that trackers need stands in the artefacts."""
    run, words = finished
    known = read(run)
    aside = EventLog(run).path.rename(tmp_path / "events.jsonl")
    try:
        run_tiny(words)
        told = read(run)
    finally:
        aside.replace(EventLog(run).path)

    def numbers(events):
        return {
            (name, e.content["step"]): value
            for e in of_kind(events, EventKind.metrics)
            for name, value in e.content["metrics"].items()
        }

    assert numbers(told) == pytest.approx(numbers(known))
    assert len(of_kind(told, EventKind.package)) == 1


def test_a_failed_training_says_so(table, tmp_path):
    """The end of the run holds the reason that the user read."""
    words = run_words(table, tmp_path / "a")
    run, _ = run_tiny(words, step="train")
    run.manifest.write_bytes(b"damaged")
    with pytest.raises(PhytoscopeError, match="changed or are missing"):
        run_tiny([*words, "evaluate.coverage=0.7"], step="evaluate")
    # The evaluation had not begun to tell anything: the training stays finished.
    assert of_kind(read(run), EventKind.end)[-1].content["status"] == "finished"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", ""),
        (ConfigError("trainer.x: wrong"), "failed", "trainer.x: wrong"),
        (RuntimeError("token=secret"), "failed", "RuntimeError"),
    ],
    ids=["interrupted", "ours", "a library's"],
)
def test_the_end_tells_how_it_ended(tmp_path, error, status, reason):
    """What a library says may hold a secret, so only the kind of its error is kept."""
    log = EventLog(RunFolder(tmp_path))
    log.begin("i", name="n")
    with pytest.raises(type(error)), ended(log):
        raise error
    last = read(RunFolder(tmp_path))[-1].content
    assert (last["status"], last["reason"]) == (status, reason)
    assert "secret" not in EventLog(RunFolder(tmp_path)).path.read_text()


def test_folds_are_children(table, tmp_path):
    """Each fold is a run of its own below the cross-validation, and the ensemble too."""
    words = run_words(table, tmp_path / "a", "data.split.folds=2", "package.onnx=never")
    config = compose_config(words)
    sentences = Sentences()
    cross_validate(RunContext(config, choose_run_folder(config), SilentProgress(), sentences))
    folds = tmp_path / "a" / "folds"
    parent = read(RunFolder(folds))
    assert parent[0].content["kind"] == RunKind.cross_validation.value
    told = {name for e in of_kind(parent, EventKind.metrics) for name in e.content["metrics"]}
    assert {"folds/r2", "folds/r2_sd", "pooled/r2"} <= told
    for name, kind in (("0", RunKind.fold), ("1", RunKind.fold), ("ensemble", RunKind.ensemble)):
        child = read(RunFolder(folds / name))
        assert (child[0].content["kind"], child[0].content["parent"]) == (kind.value, parent[0].run)
        assert child[-1].kind is EventKind.end
        assert any("test/r2" in e.content["metrics"] for e in of_kind(child, EventKind.metrics))
    before = {path: path.read_bytes() for path in folds.rglob("events.jsonl")}
    cross_validate(RunContext(config, choose_run_folder(config), SilentProgress(), sentences))
    changed = {path.parent.name for path, content in before.items() if path.read_bytes() != content}
    assert changed <= {"folds"}


def test_trials_are_children(tmp_path):
    """Each trial is a run of its own below the sweep, under its settings."""
    pytest.importorskip("optuna")
    from phytoscope.steps.sweep import run_sweep

    data = draw_mixed_folder(tmp_path / "images", per_class=10)
    space = "sweep.space={adapt.backbone_lr_factor: null, trainer.learning_rate: null}"
    words = [*data, *TINY, "trainer.mode=plain", "model.input_size_px=32", "sweep.n_trials=2", "sweep.pruner=none"]
    places = [f"paths.runs_dir={tmp_path / 'runs'}", f"paths.cache_dir={tmp_path / 'cache'}", "name=s", space]
    result = run_sweep(compose_config([*words, *places]), progress=SilentProgress(), say=Sentences())
    parent = read(RunFolder(result.folder.root))
    assert parent[0].content["kind"] == RunKind.sweep.value
    assert [e.content["metrics"] for e in of_kind(parent, EventKind.metrics)] == [
        {"sweep/best_objective": pytest.approx(result.trials["objective"].min())}
    ]
    for number in range(2):
        child = read(result.folder.trial(number))
        assert (child[0].content["kind"], child[0].content["parent"]) == (RunKind.trial.value, parent[0].run)
        tried = of_kind(child, EventKind.params)[0].content["params"]["trainer.weight_decay"]
        row = result.trials.set_index("trial").loc[number]
        assert tried == row["trainer.weight_decay"]
        assert len(of_kind(child, EventKind.metrics)) == row["epochs"]


def test_who_is_told_does_not_make_another_run(table, tmp_path):
    """The latest run with the same settings is continued, whoever is told about it now."""
    words = [*table, *TINY, f"paths.runs_dir={tmp_path}"]
    config = compose_config(words)
    run = choose_run_folder(config)
    run_step(RunContext(config, run, SilentProgress()), "prepare")
    assert choose_run_folder(compose_config([*words, "track.experiment=other", "promote.margin=0.01"])) == run
    assert choose_run_folder(compose_config([*words, "trainer.learning_rate=0.1"])) != run


def test_settings_become_flat():
    """Dotted names; what is not a single value is JSON."""
    flat = flatten_settings({"a": {"b": 1, "c": {"d": None}}, "e": ["x"], "f": {}})
    assert flat == {"a.b": 1, "a.c.d": None, "e": json.dumps(["x"]), "f": "{}"}


def test_package_that_was_made_again_is_told_again(finished, tmp_path):
    """It holds another time, and a tracker that kept the old one would have other files than are registered."""
    run, words = finished
    copied = RunFolder(shutil.copytree(run.root, tmp_path / "a"))
    words = [word for word in words if not word.startswith("paths.run_dir=")]
    before = len(of_kind(read(copied), EventKind.package))
    for wanted in (before, before + 1, before + 1):
        run_tiny([*words, f"paths.run_dir={copied.root}"])
        assert len(of_kind(read(copied), EventKind.package)) == wanted
        if wanted == before:
            about = json.loads((copied.package / "package.json").read_text())
            shutil.rmtree(copied.package)
    assert json.loads((copied.package / "package.json").read_text())["model"]["model_id"] == about["model"]["model_id"]
