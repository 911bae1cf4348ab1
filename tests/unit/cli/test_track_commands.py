"""`phytoscope track` says what was told to whom, and what waits."""

import pytest
from typer.testing import CliRunner

from factories.mlflow_stores import make_store
from factories.sinks import MemoryTracker
from factories.told_runs import begin_run, write_run
from phytoscope import cli
from phytoscope.errors import ArtifactError, ConfigError, TrackingError
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import read_events
from phytoscope.track import teller
from phytoscope.track.target import TrackTarget, load_targets, local_uri, save_targets

SERVER = TrackTarget(TrackSink.mlflow, "http://127.0.0.1:9", "leaves")


@pytest.fixture
def tracker(monkeypatch, tmp_path) -> MemoryTracker:
    """A tracker in memory that stands for every tracker; the current folder is empty."""
    found = MemoryTracker()
    monkeypatch.setattr(teller, "open_sink", found.open_sink)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return found


def call(*words):
    return CliRunner().invoke(cli.app, ["track", *map(str, words)], env={"COLUMNS": "300"})


def count(log) -> int:
    return len(list(read_events(log.path)))


def test_sync_tells_every_run_below_a_folder(tracker, tmp_path):
    """Runs at any depth are found, the trackers that each was made with are told, and said line by line."""
    logs = [write_run(tmp_path / "runs" / name) for name in ("one", "sweeps/s/trials/0001", "two/folds/1")]
    for log in logs:
        save_targets(log.path.parent / "tracking", [SERVER])
    result = call("sync")
    assert result.exit_code == 0, result.output
    assert [count(log) for log in logs] == [len(tracker.seqs(log.run)) for log in logs]
    assert f"runs/one: {count(logs[0])} events told, all known, MLflow (http://127.0.0.1:9)" in result.output
    again = call("sync", tmp_path / "runs" / "one")
    assert "runs/one: all known already" in again.output
    assert "folds" not in again.output


def test_sync_to_a_named_tracker(tracker, tmp_path):
    """A run that was made without a tracker can be told to one later; from then on it is known."""
    log = write_run(tmp_path / "runs" / "one")
    result = call("sync", "--to", "mlflow", "--uri", "http://127.0.0.1:9", "--experiment", "leaves")
    assert result.exit_code == 0, result.output
    assert load_targets(log.path.parent / "tracking") == [SERVER]
    assert call("sync").exit_code == 0
    # The kind alone names the one that is known.
    assert "http://127.0.0.1:9" in call("sync", "--to", "mlflow").output


def test_address_alone_means_mlflow(tracker, tmp_path):
    """--uri needs no --to."""
    log = write_run(tmp_path / "runs" / "one")
    assert call("sync", "--uri", "http://127.0.0.1:9").exit_code == 0
    assert load_targets(log.path.parent / "tracking")[0].place == "http://127.0.0.1:9"


def test_mlflow_without_an_address(tracker, tmp_path, monkeypatch):
    """It is the one of the environment, else the file beside the runs."""
    log = write_run(tmp_path / "runs" / "one")
    assert local_uri(tmp_path / "runs" / "mlflow") in call("sync", "--to", "mlflow").output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:7")
    other = write_run(tmp_path / "runs" / "two")
    assert "http://127.0.0.1:7" in call("sync", other.path.parent, "--to", "mlflow").output
    assert len(load_targets(log.path.parent / "tracking")) == 1


def test_wandb_in_a_folder_or_online(tracker, tmp_path):
    """Weights & Biases gets a folder, unless the network was asked for."""
    log = write_run(tmp_path / "runs" / "one")
    assert call("sync", "--to", "wandb").exit_code == 0
    assert call("sync", "--to", "wandb", "--online", "--experiment", "plants").exit_code == 0
    targets = load_targets(log.path.parent / "tracking")
    assert [(target.wandb_mode.value, target.experiment) for target in targets] == [
        ("offline", "phytoscope"),
        ("online", "plants"),
    ]


def test_tracker_that_is_away_is_an_error(tracker, tmp_path):
    """All runs are gone through, each says what waits, and the end is an error with the reason, said once."""
    logs = [write_run(tmp_path / "runs" / name) for name in ("one", "two", "three", "four")]
    for log in logs:
        save_targets(log.path.parent / "tracking", [SERVER])
    tracker.away = True
    result = call("sync")
    assert isinstance(result.exception, TrackingError)
    waiting = sum(map(count, logs))
    assert str(result.exception) == f"{waiting} events could not be told. nobody answers"
    assert result.output.count("0 events told") == 4
    tracker.away = False
    assert call("sync").exit_code == 0


def test_damaged_log_holds_up_no_other_run(tracker, tmp_path):
    """The other runs are told, and the damage is the error at the end."""
    logs = [write_run(tmp_path / "runs" / name) for name in ("a", "b", "c")]
    for log in logs:
        save_targets(log.path.parent / "tracking", [SERVER])
    with logs[0].path.open("ab") as stream:
        stream.write(b"garbage\n")
    result = call("sync")
    assert isinstance(result.exception, TrackingError)
    assert "is damaged in line" in str(result.exception)
    assert [len(tracker.seqs(log.run)) for log in logs] == [0, count(logs[1]), count(logs[2])]


def test_address_with_a_slip_is_not_kept(tracker, tmp_path):
    """A tracker that never answered is not asked again by the next plain command."""
    log = write_run(tmp_path / "runs" / "one")
    tracker.away = True
    assert isinstance(call("sync", "--uri", "http://127.0.0.1:9").exception, TrackingError)
    assert load_targets(log.path.parent / "tracking") == []


def test_nobody_to_tell_is_an_error(tracker, tmp_path):
    """Runs without a tracker, and none named: the answer says how to name one."""
    write_run(tmp_path / "runs" / "one")
    result = call("sync")
    assert isinstance(result.exception, ConfigError)
    assert "--to mlflow" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--to", "wandb", "--uri", "http://x"], "--uri is an address of MLflow"),
        (["--to", "mlflow", "--online"], "--online is about Weights & Biases"),
        (["--experiment", "x"], "--experiment needs --to"),
    ],
)
def test_options_that_do_not_fit_are_refused(tracker, tmp_path, words, part):
    """No option is silently ignored."""
    write_run(tmp_path / "runs" / "one")
    result = call("sync", *words)
    assert isinstance(result.exception, ConfigError)
    assert part in str(result.exception)


@pytest.mark.parametrize("command", ["sync", "status"])
def test_place_without_runs_is_an_error(tracker, tmp_path, command):
    """A folder that is not there, or holds no run, is said."""
    absent = call(command)
    assert isinstance(absent.exception, ArtifactError)
    assert "is no folder" in str(absent.exception)
    (tmp_path / "runs" / "cache" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "cache" / "x" / "events.jsonl").write_text("")
    empty = call(command)
    assert isinstance(empty.exception, ArtifactError)
    assert "no run with an event log" in str(empty.exception)


def test_status_shows_who_knows_what(tracker, tmp_path):
    """One line a run and tracker: how much it knows, where it can be seen, or why it knows no more."""
    told, waiting, alone, damaged = (
        begin_run(tmp_path / "runs" / name) for name in ("a-told", "b-waiting", "c-alone", "d-damaged")
    )
    for log in (told, waiting, damaged):
        save_targets(log.path.parent / "tracking", [SERVER])
    call("sync", told.path.parent)
    tracker.away = True
    call("sync", waiting.path.parent)
    with damaged.path.open("ab") as stream:
        stream.write(b"garbage\n")
    result = call("status")
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()[1:]]
    assert lines[0] == ["runs/a-told", "mlflow", "3/3", "http://memory/remote-0"]
    assert lines[1] == ["runs/b-waiting", "mlflow", "0/3", "nobody", "answers"]
    assert lines[2] == ["runs/c-alone", "none"]
    assert lines[3][:2] == ["runs/d-damaged", "mlflow"]
    assert "damaged" in " ".join(lines[3])
    assert alone.path.exists()


def test_courier_of_an_unknown_tracker_is_refused(tmp_path):
    """The command that runs start themselves says what it misses."""
    result = call("follow", tmp_path, "--target", "mlflow-1")
    assert isinstance(result.exception, ConfigError)
    assert "'mlflow-1' is no tracker" in str(result.exception)


def test_help_shows_examples_and_not_the_courier():
    """What people call is explained with examples; what runs start themselves is not listed."""
    assert "phytoscope track sync" in call("sync", "--help").output
    listed = call("--help").output
    assert "status" in listed
    assert "follow" not in listed


def test_sync_with_a_real_store(tmp_path, monkeypatch):
    """Without anything in its place: a store in a file knows the run afterwards."""
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    log = write_run(tmp_path / "runs" / "one")
    uri = make_store(tmp_path / "store")
    result = call("sync", "--uri", uri, "--experiment", "beans")
    assert result.exit_code == 0, result.output
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("beans").experiment_id])
    assert [run.data.tags["phytoscope.run_key"] for run in runs] == [log.run]
