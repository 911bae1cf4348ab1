import contextlib
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from factories.flaky_proxy import Manner, flaky
from factories.mlflow_stores import find_port, make_store, served
from factories.runs import command, draw_mixed_folder, run_command, run_words
from factories.told_runs import begin_run, finish_run, list_points, write_epoch
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import EventKind, EventLog, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.background import start_courier
from phytoscope.track.courier import deliver
from phytoscope.track.target import TrackTarget

slow = pytest.mark.slow
EPOCHS = 14
LONG = [
    f"trainer.max_epochs={EPOCHS}",
    f"trainer.patience={EPOCHS}",
    "trainer.mode=plain",
    "adapt.frozen_epochs=0",
    "track.system_seconds=0.5",
]
# Longer than any epoch, shorter than the shortest time that anybody would wait for a server.
LONGEST_EPOCH_S = 15.0


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    return draw_mixed_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Path]:
    """Folder of a run; couriers that still wait for a tracker when the test is over are ended."""
    monkeypatch.setenv("PHYTOSCOPE_TRACK_PATIENCE_S", "600")
    yield tmp_path / "run"
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "follow" in words and str(tmp_path / "run") in words:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def track(uri: str, *more: str) -> list[str]:
    return ["track=mlflow", f"track.uri={uri}", "track.wait_seconds=300", *more]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen | None = None, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "the run was over too early"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def list_epochs(place: Path) -> list[float]:
    """When the epochs ended, seconds."""
    path = EventLog(RunFolder(place)).path
    events = read_events(path) if path.exists() else iter(())
    return [
        event.time for event in events if event.kind is EventKind.metrics and "train/loss" in event.content["metrics"]
    ]


def find_longest_epoch(place: Path) -> float:
    times = list_epochs(place)
    return max(after - before for before, after in itertools.pairwise(times))


def count_told(uri: str) -> int:
    """Values of the training loss that MLflow knows."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("phytoscope")
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id])
    return len(client.get_metric_history(runs[0].info.run_id, "train/loss")) if runs else 0


def assert_told_once(uri: str, log: EventLog, experiment: str = "phytoscope") -> None:
    """Checks that MLflow has one run, and in it every number of the log once and nothing else."""
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len(found) == 1
    run = found[0]
    assert run.info.status == "FINISHED"
    told = [
        (name, metric.step, metric.value)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    ]
    assert sorted(told) == sorted(list_points(log))
    params = {name for e in read_events(log.path) if e.kind is EventKind.params for name in e.content["params"]}
    assert set(run.data.params) == params


@slow
def test_server_killed_in_training_knows_all_in_the_end(data, place, tmp_path) -> None:
    """The server is killed in the middle of a training and comes back: every number is there once, in one run."""
    store, port = tmp_path / "store", find_port()
    # So many that even a quick machine still trains when the server is back.
    epochs = 40
    longer = [f"trainer.max_epochs={epochs}", f"trainer.patience={epochs}"]
    words = run_words(data, place, *LONG, *longer, *track(f"http://127.0.0.1:{port}"))
    with contextlib.ExitStack() as servers:
        uri = servers.enter_context(served(store, port))
        with subprocess.Popen(command("train", *words), stderr=subprocess.PIPE, text=True) as training:
            wait_until(lambda: count_told(uri) >= 2, training)
            servers.close()
            before = len(list_epochs(place))
            wait_until(lambda: len(list_epochs(place)) >= min(before + 5, epochs))
            servers.enter_context(served(store, port))
            _, stderr = training.communicate(timeout=600)
        assert training.returncode == 0, stderr
        assert "not told" not in stderr
        assert len(list_epochs(place)) == epochs
        assert find_longest_epoch(place) < LONGEST_EPOCH_S
        assert_told_once(uri, EventLog(RunFolder(place)))


@slow
def test_absent_server_costs_nothing_and_is_told_later(data, place, tmp_path) -> None:
    """Nobody listens: the run ends well and says what to do; `track sync` fails clearly, and later tells all, once."""
    port = find_port()
    uri = f"http://127.0.0.1:{port}"
    words = run_words(data, place, *LONG, *track(uri, "track.wait_seconds=0"))
    result = run_command("train", *words, timeout=600)
    assert result.returncode == 0, result.stderr
    assert f"phytoscope track sync {place}" in result.stderr
    assert len(list_epochs(place)) == EPOCHS
    refused = run_command("track", "sync", str(place), timeout=300)
    assert refused.returncode == 2
    assert "does not answer" in refused.stderr
    assert "Traceback" not in refused.stderr
    with served(tmp_path / "store", port):
        told = run_command("track", "sync", str(place), timeout=300)
        assert told.returncode == 0, told.stderr
        assert_told_once(uri, EventLog(RunFolder(place)))
        again = run_command("track", "sync", str(place), timeout=300)
        assert "all known already" in again.stdout
        assert_told_once(uri, EventLog(RunFolder(place)))


@slow
def test_server_that_hangs_does_not_slow_training(data, place, tmp_path) -> None:
    """A server that takes the connection and never answers: no epoch waits for it, and the end waits as told."""
    plain = tmp_path / "plain"
    assert run_command("train", *run_words(data, plain, *LONG), timeout=600).returncode == 0
    with flaky(find_port()) as network:
        network.manner = Manner.hanging
        words = run_words(data, place, *LONG, *track(network.address, "track.wait_seconds=0.5"))
        result = run_command("train", *words, timeout=600)
    assert result.returncode == 0, result.stderr
    assert f"phytoscope track sync {place}" in result.stderr
    assert len(list_epochs(place)) == EPOCHS
    assert find_longest_epoch(place) < LONGEST_EPOCH_S
    spans = [list_epochs(folder)[-1] - list_epochs(folder)[0] for folder in (plain, place)]
    assert spans[1] < 2 * spans[0] + 5
    ended = [event.time for event in read_events(EventLog(RunFolder(place)).path)][-1]
    assert ended - list_epochs(place)[-1] < LONGEST_EPOCH_S


@slow
def test_training_killed_and_resumed_is_one_run(data, place, tmp_path) -> None:
    """Kill -9 in the training, then the same command: one run in MLflow, and no epoch twice."""
    uri = make_store(tmp_path / "store")
    words = run_words(data, place, *LONG, *track(uri))
    with subprocess.Popen(command("train", *words), stderr=subprocess.DEVNULL) as training:
        wait_until(lambda: len(list_epochs(place)) >= 5, training)
        training.send_signal(signal.SIGKILL)
        assert training.wait() == -signal.SIGKILL
    # What the killed run wrote is told without it.
    wait_until(lambda: count_told(uri) >= 5)
    result = run_command("run", *words, timeout=600)
    assert result.returncode == 0, result.stderr
    assert len(list_epochs(place)) == EPOCHS
    log = EventLog(RunFolder(place))
    assert len({event.run for event in read_events(log.path)}) == 1
    assert_told_once(uri, log)
    client = MlflowClient(uri)
    names = set(client.search_runs([client.get_experiment_by_name("phytoscope").experiment_id])[0].data.metrics)
    assert {"train/loss", "val/loss", "test/macro_f1"} <= names


@slow
def test_courier_killed_in_the_middle(place, tmp_path) -> None:
    """The process that tells is killed again and again; the next one goes on, and nothing is told twice."""
    target = TrackTarget(TrackSink.mlflow, make_store(tmp_path / "store"), "leaves", pyfunc=False)
    log = begin_run(place)
    stop = threading.Event()

    def write() -> None:
        epoch = 0
        while not stop.wait(0.01):
            write_epoch(log, epoch)
            epoch += 1
        finish_run(log, epoch)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            courier = start_courier(place, [target])
            process = courier.processes[target.id]
            cursor = place / "tracking" / f"{target.id}.json"
            before = cursor.stat().st_mtime_ns if cursor.exists() else 0
            wait_until(lambda: cursor.exists() and cursor.stat().st_mtime_ns > before, process)  # noqa: B023
            time.sleep(0.05 * number)
            process.kill()
            process.wait()
            courier.close()
    finally:
        stop.set()
        writer.join()
    assert deliver(place, target).waiting == 0
    assert_told_once(target.place, log, "leaves")


@slow
def test_network_that_loses_answers_doubles_nothing(place, tmp_path) -> None:
    """Every third answer is lost after the server did what was asked, and for a while it hangs: all is there once."""
    port = find_port()
    with served(tmp_path / "store", port), flaky(port) as network, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        target = TrackTarget(TrackSink.mlflow, network.address, "leaves", pyfunc=False)
        network.loses_every = 3
        log = begin_run(place)
        attempts = 0
        for epoch in range(40):
            write_epoch(log, epoch)
            if epoch % 10 == 9:
                network.manner = Manner.hanging if epoch == 19 else Manner.passing
                attempts += deliver(place, target).error != ""
        finish_run(log, 40)
        network.manner = Manner.passing
        for _ in range(60):
            if deliver(place, target).waiting == 0:
                break
        assert network.lost > 3
        assert attempts > 0
        network.loses_every = 0
        assert deliver(place, target).waiting == 0
        assert_told_once(f"http://127.0.0.1:{port}", log, "leaves")
