"""What Weights & Biases is told, offline and by a server on this computer, read back from its own files."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from factories.told_runs import (
    MODEL_ID,
    begin_run,
    find_run,
    finish_run,
    list_points,
    list_row_points,
    write_epoch,
    write_run,
)
from factories.wandb_server import FakeServer, serve_wandb
from phytoscope.errors import ArtifactError, TrackingError
from phytoscope.schema.choices import TrackSink, WandbMode
from phytoscope.schema.events import EndStatus, Event, EventKind, EventLog, RunKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track import wandb_session
from phytoscope.track.target import TrackTarget
from phytoscope.track.wandb_file import find_files, read_history, read_progress, read_records
from phytoscope.track.wandb_service import SERVICE
from phytoscope.track.wandb_session import nest
from phytoscope.track.wandb_sink import WandbSink

KEY = "k" * 40


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key or home of the developer, and nothing of wandb outlives a test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    assert [child.name() for child in psutil.Process().children() if "wandb" in child.name()] == []
    assert {name for name in os.environ if name.startswith("WANDB_")} <= {"WANDB_API_KEY", "WANDB_BASE_URL"}


def make_target(tmp_path: Path, mode: WandbMode = WandbMode.offline) -> TrackTarget:
    """The tracker of the tests."""
    return TrackTarget(TrackSink.wandb, str(tmp_path / "runs" / "wandb"), "leaves", mode)


def tell(target: TrackTarget, log: EventLog, events: list[Event] | None = None, **about: Any) -> dict[str, str]:
    """Tell events, by default all of a log, as a courier does that lives no longer."""
    sink, run = WandbSink(target), find_run(log, **about)
    try:
        assert sink.open(run) == run.key
        return sink.send(run, list(read_events(log.path)) if events is None else events)
    finally:
        sink.close()


def read_rows(target: TrackTarget, log: EventLog) -> list[dict[str, Any]]:
    """All rows of all local files of a run, one file after the other."""
    return [row for file in find_files(Path(target.place), find_run(log).key) for row in read_history(file)]


def collect(target: TrackTarget, log: EventLog, kind: str) -> list[Any]:
    """All records of a kind in the local files of a run."""
    files = find_files(Path(target.place), find_run(log).key)
    records = [record for file in files for record in read_records(file)]
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def test_offline_files_hold_every_number_of_the_log_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Metrics of epochs, of the evaluation and of the machine stand in the file to the last digit, without a word."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")

    facts = tell(target, log)

    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))
    assert find_run(log).key in facts["folder"]
    assert Path(facts["folder"]).is_dir()
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "home").exists()
    assert [path.name for path in tmp_path.joinpath("runs").iterdir() if path.name != "a"] == ["wandb"]


def test_settings_data_results_files_and_package_are_in_the_offline_file(tmp_path: Path) -> None:
    """Settings as groups, hashes of the data, results in the summary, pictures, page, tables and a model artefact."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")

    folder = Path(tell(target, log)["folder"])

    config = {item.key: item.value_json for record in collect(target, log, "config") for item in record.update}
    assert config["seed"] == "0"
    assert config["trainer"] == '{"max_epochs":3,"lr":0.0}'
    assert '"data_hash":"' + "d" * 64 in config["dataset"].replace(" ", "")
    assert "phytoscope.version" in config["tags"]
    summary = {
        "/".join(item.nested_key) or item.key for record in collect(target, log, "summary") for item in record.update
    }
    assert {"test/macro_f1", "trust/accept", "status"} <= summary
    media = [name for row in read_rows(target, log) for name, value in row.items() if isinstance(value, dict)]
    assert sorted(media) == ["figures/scatter", "report/report"]
    kept = {path.relative_to(folder / "files").as_posix() for path in (folder / "files").rglob("*") if path.is_file()}
    assert {"tables/config.yaml", "report/report.html", "figures/scatter.png"} <= kept
    (artifact,) = collect(target, log, "artifact")
    assert (artifact.type, artifact.name, sorted(artifact.aliases)) == (
        "model",
        "rust-on-beans",
        sorted([MODEL_ID, "latest"]),
    )
    assert [entry.path for entry in artifact.manifest.contents] == ["model/weights.safetensors", "package.json"]
    assert all(Path(entry.local_path).is_relative_to(folder) for entry in artifact.manifest.contents)


def test_trials_are_grouped_under_their_sweep(tmp_path: Path) -> None:
    """A child has the key of its parent as its group, and what it is as its type."""
    target = make_target(tmp_path)
    log = EventLog(RunFolder(tmp_path / "runs" / "trial"))
    log.begin("trial", name="trial 1", kind=RunKind.trial, parent="p" * 32)
    log.metrics({"val/loss": 0.5})

    tell(target, log, parent="p" * 32)

    (record,) = collect(target, log, "run")
    assert (record.run_group, record.job_type, record.display_name) == ("p" * 32, "trial", "trial 1")


def test_events_that_are_told_again_change_nothing(tmp_path: Path) -> None:
    """A courier whose cursor was lost tells all again: each number still stands in one file only."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")
    tell(target, log)

    tell(target, log)

    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))


def test_what_a_lost_file_held_is_told_again(tmp_path: Path) -> None:
    """A cursor that is ahead of what arrived does no harm: the log is asked for what is missing."""
    target, log = make_target(tmp_path), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    seen = max(event.seq for event in read_events(log.path))
    finish_run(log, 1)

    tell(target, log, list(read_events(log.path, after=seen)))

    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))
    assert "seed" in {item.key for record in collect(target, log, "config") for item in record.update}


def test_a_run_that_goes_on_after_its_end_has_its_further_numbers(tmp_path: Path) -> None:
    """An evaluation days later adds to the same run, and an end that was followed by more is no end."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")
    sent = max(event.seq for event in read_events(log.path))
    tell(target, log)
    log.begin("identity", name="rust on beans")
    log.metrics({"test/macro_f1": 0.25}, step=9)

    tell(target, log, list(read_events(log.path, after=sent)))

    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))
    assert len({record.run_id for record in collect(target, log, "run")}) == 1


def test_a_killed_courier_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed between telling and remembering: what was told is in its file, and the next one goes on behind it."""
    target, log = make_target(tmp_path), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    write_epoch(log, 1)
    told = list_points(log)
    _run_and_kill(target, log)
    _wait_for_services()

    assert list_row_points(read_rows(target, log)) == sorted(told)
    write_epoch(log, 2)
    tell(target, log)

    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))


def _run_and_kill(target: TrackTarget, log: EventLog, **environment: str) -> None:
    """Tell the log from another process that is killed the moment it was told."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from factories.told_runs import find_run
        from phytoscope.schema.choices import TrackSink, WandbMode
        from phytoscope.schema.events import EventLog, read_events
        from phytoscope.schema.run_folder import RunFolder
        from phytoscope.track.target import TrackTarget
        from phytoscope.track.wandb_sink import WandbSink

        log = EventLog(RunFolder(Path(sys.argv[1])))
        run = find_run(log)
        sink = WandbSink(TrackTarget(TrackSink.wandb, sys.argv[2], "leaves", WandbMode(sys.argv[3])))
        sink.open(run)
        sink.send(run, list(read_events(log.path)))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script, str(log.path.parent), target.place, target.wandb_mode.value],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def _wait_for_services() -> None:
    """Wait until the service that a killed process left has brought everything home."""
    services = [
        process
        for process in psutil.process_iter(["name", "environ"])
        if process.info["name"] == "wandb-core" and (process.info["environ"] or {}).get("HOME") == os.environ["HOME"]
    ]
    _, alive = psutil.wait_procs(services, timeout=60)
    assert alive == []


def test_a_killed_service_is_an_absent_tracker(tmp_path: Path) -> None:
    """When wandb's own process dies, the call says so, and the next one begins anew and completes the run."""
    target, log = make_target(tmp_path), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    sink, run = WandbSink(target), find_run(log)
    sink.open(run)
    sink.send(run, list(read_events(log.path)))
    told = max(event.seq for event in read_events(log.path))
    for child in psutil.Process().children():
        if child.name() == "wandb-core":
            child.kill()
            child.wait()
    write_epoch(log, 1)

    with pytest.raises(TrackingError, match="nothing is lost"):
        sink.send(run, list(read_events(log.path, after=told)))

    sink.open(run)
    sink.send(run, list(read_events(log.path, after=told)))
    sink.close()
    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))


def test_offline_touches_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Python nor wandb's own process asks for anything: every way out leads to a door that counts."""
    visitors: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.1)
        closed = threading.Event()

        def count() -> None:
            while not closed.is_set():
                with contextlib.suppress(TimeoutError):
                    visitors.append(door.accept())

        keeper = threading.Thread(target=count)
        keeper.start()
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WANDB_BASE_URL"):
            monkeypatch.setenv(name, address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        try:
            tell(make_target(tmp_path), write_run(tmp_path / "runs" / "a"))
        finally:
            closed.set()
            keeper.join()
    assert visitors == []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server on this computer that wandb takes for its own."""
    with serve_wandb() as state:
        monkeypatch.setenv("WANDB_BASE_URL", state.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield state


def test_what_was_written_offline_reaches_a_server_once(tmp_path: Path, server: FakeServer) -> None:
    """`wandb sync` of all folders of a run that was told in three parts gives the server each number once."""
    target, log = make_target(tmp_path), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    tell(target, log)
    write_epoch(log, 1)
    tell(target, log)
    finish_run(log, 2)
    tell(target, log)
    folders = sorted(str(file.parent) for file in find_files(Path(target.place), find_run(log).key))

    command = [sys.executable, "-m", "wandb", "sync", *folders]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)

    run = server.runs[find_run(log).key]
    assert list_row_points(run.lines) == sorted(list_points(log))
    assert run.config["trainer"]["value"] == {"max_epochs": 3, "lr": 0.0}
    assert (run.summary["test/macro_f1"], run.summary["status"]) == (0.0, "finished")
    assert "figures/scatter.png" in run.files
    assert {"package.json", "model/weights.safetensors"} <= set(server.uploads)


def test_online_tells_a_server_everything_once(tmp_path: Path, server: FakeServer) -> None:
    """Told in two parts with a repetition between: one run, each number once, settings, files and the package."""
    target, log = make_target(tmp_path, WandbMode.online), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    tell(target, log)
    write_epoch(log, 1)
    finish_run(log, 2)

    facts = tell(target, log)

    ((key, run),) = server.runs.items()
    assert key == find_run(log).key
    assert list_row_points(run.lines) == sorted(list_points(log))
    assert key in facts["url"]
    assert run.config["seed"]["value"] == 0
    assert run.summary["trust/accept"] == pytest.approx(2 / 3)
    assert run.exits[-1] == 0
    assert server.uploads["package.json"].startswith(b'{"model_id"')
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_killed_courier_online_loses_and_doubles_nothing(tmp_path: Path, server: FakeServer) -> None:
    """What a killed courier's service did not deliver any more, the next courier does: it asks the server."""
    target, log = make_target(tmp_path, WandbMode.online), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    _run_and_kill(target, log)
    _wait_for_services()
    ahead = max(event.seq for event in read_events(log.path))
    write_epoch(log, 1)

    tell(target, log, list(read_events(log.path, after=ahead)))

    assert list_row_points(server.runs[find_run(log).key].lines) == sorted(list_points(log))


def test_numbers_that_never_reached_the_server_are_told_again(tmp_path: Path, server: FakeServer) -> None:
    """Courier and service killed at once, so the cursor is ahead of the server: the next one fills the gap."""
    target, log = make_target(tmp_path, WandbMode.online), begin_run(tmp_path / "runs" / "a")
    write_epoch(log, 0)
    tell(target, log)
    write_epoch(log, 1)
    ahead = max(event.seq for event in read_events(log.path))
    finish_run(log, 2)

    tell(target, log, list(read_events(log.path, after=ahead)))

    assert list_row_points(server.runs[find_run(log).key].lines) == sorted(list_points(log))


def test_an_absent_server_is_said_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No server: the call ends in time with advice, and the same events go into an offline folder afterwards."""
    monkeypatch.setattr(wandb_session, "START_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    log = write_run(tmp_path / "runs" / "a")

    with pytest.raises(TrackingError, match="phytoscope track sync"):
        tell(make_target(tmp_path, WandbMode.online), log)

    tell(make_target(tmp_path), log)
    assert list_row_points(read_rows(make_target(tmp_path), log)) == sorted(list_points(log))
    assert capfd.readouterr() == ("", "")


def test_a_server_that_breaks_down_holds_up_the_end_only(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a run is not told before all has arrived; once the server is back the run is complete."""
    monkeypatch.setattr(wandb_session, "FINISH_SECONDS", 2.0)
    target, log = make_target(tmp_path, WandbMode.online), begin_run(tmp_path / "runs" / "a")
    sink, run = WandbSink(target), find_run(log)
    sink.send(run, list(read_events(log.path)))
    begun = max(event.seq for event in read_events(log.path))
    server.broken = True
    write_epoch(log, 0)
    sink.send(run, list(read_events(log.path, after=begun)))
    told = max(event.seq for event in read_events(log.path))
    log.metrics({"test/macro_f1": 0.5}, step=1)
    log.end(EndStatus.finished)

    with pytest.raises(TrackingError, match="nothing is lost"):
        sink.send(run, list(read_events(log.path, after=told)))

    sink.close()
    server.broken = False
    tell(target, log, list(read_events(log.path, after=told)))
    assert list_row_points(server.runs[run.key].lines) == sorted(list_points(log))


def test_a_missing_key_is_said(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Online without a key: the text says how to get in, and how to do without."""
    monkeypatch.delenv("WANDB_API_KEY")

    with pytest.raises(TrackingError, match=r"wandb login.*track\.wandb_mode=offline"):
        tell(make_target(tmp_path, WandbMode.online), write_run(tmp_path / "runs" / "a"))


def test_a_package_that_says_nothing_of_itself_is_refused(tmp_path: Path) -> None:
    """A folder that is no package is not passed off as one."""
    log = write_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "a" / "package" / "package.json").write_text("[]")

    with pytest.raises(ArtifactError, match="is no model package"):
        tell(make_target(tmp_path), log)


def test_a_file_that_is_not_of_wandb_is_refused(tmp_path: Path) -> None:
    """Something else under the name of a local file is named, and a missing one too."""
    (tmp_path / "run-a.wandb").write_bytes(b"something else")

    with pytest.raises(ArtifactError, match="no file of Weights & Biases"):
        read_progress([tmp_path / "run-a.wandb"])
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_progress([tmp_path / "run-b.wandb"])


@pytest.mark.parametrize("kept", [0, 3, 7, 100, 5000])
def test_a_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path, kept: int) -> None:
    """Half a file gives the rows that are whole, whatever byte it ends at."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")
    tell(target, log)
    (file,) = find_files(Path(target.place), find_run(log).key)
    rows = list(read_history(file))
    file.write_bytes(file.read_bytes()[:kept])

    found = list(read_history(file))

    assert found == rows[: len(found)]


def test_long_files_are_read_across_their_blocks(tmp_path: Path) -> None:
    """A record that spans several blocks of the file is read whole."""
    target, log = make_target(tmp_path), begin_run(tmp_path / "runs" / "a")
    for step in range(60):
        log.metrics({f"val/class_{number}/f1": 1 / (number + step + 1) for number in range(40)}, step=step)

    tell(target, log)

    (file,) = find_files(Path(target.place), find_run(log).key)
    assert file.stat().st_size > 4 * 32768
    assert list_row_points(read_rows(target, log)) == sorted(list_points(log))


def test_sinks_of_one_process_do_not_disturb_each_other(tmp_path: Path) -> None:
    """A sweep and its trial are told side by side: closing the one leaves the other open, also after a failure."""
    target, one, two = make_target(tmp_path), begin_run(tmp_path / "runs" / "a"), begin_run(tmp_path / "runs" / "b")
    first, second = WandbSink(target), WandbSink(target)
    first.send(find_run(one), list(read_events(one.path)))
    second.send(find_run(two), list(read_events(two.path)))
    seen = max(event.seq for event in read_events(two.path))
    first.close()
    write_epoch(two, 0)

    second.send(find_run(two), list(read_events(two.path, after=seen)))

    SERVICE.abandon()
    seen = max(event.seq for event in read_events(two.path))
    write_epoch(two, 1)
    second.send(find_run(two), list(read_events(two.path, after=seen)))
    second.close()
    assert list_row_points(read_rows(target, two)) == sorted(list_points(two))


def test_names_of_settings_become_groups() -> None:
    """Dots make groups; a name that is value and group at once loses neither."""
    nested = nest({"a.b": 1, "a.c.d": None, "seed": 0, "x": 1, "x.y": 2})

    assert nested == {"a": {"b": 1, "c": {"d": None}}, "seed": 0, "x": 1, "x.y": 2}


def test_only_the_last_end_of_a_batch_ends_a_run(tmp_path: Path) -> None:
    """Ended and gone on before the courier looked: one session, one exit."""
    target, log = make_target(tmp_path), write_run(tmp_path / "runs" / "a")
    log.begin("identity", name="rust on beans")
    finish_run(log, 7)

    tell(target, log)

    kinds = Counter(event.kind for event in read_events(log.path))
    assert kinds[EventKind.end] == 2
    assert len(collect(target, log, "exit")) == 1
