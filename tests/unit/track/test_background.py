import subprocess
import sys
import time

import psutil
import pytest

from factories.mlflow_stores import make_store
from factories.told_runs import begin_run, write_run
from phytoscope.errors import MissingDependencyError
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import read_events
from phytoscope.track import background
from phytoscope.track.background import start_courier
from phytoscope.track.courier import read_delivered
from phytoscope.track.cursor import DeliveredRun, load_cursor, save_cursor
from phytoscope.track.target import TrackTarget, load_targets

NOBODY = TrackTarget(TrackSink.mlflow, "http://127.0.0.1:9", "leaves")


@pytest.fixture
def child(monkeypatch):
    """Lets another program stand in for the process that tells: `child(code)` gives nothing, later starts run it."""
    real = subprocess.Popen

    def use(code: str) -> None:
        monkeypatch.setattr(
            background.subprocess, "Popen", lambda _words, **kwargs: real([sys.executable, "-c", code], **kwargs)
        )

    return use


def test_courier_tells_a_real_store_and_ends(tmp_path) -> None:
    """The process of its own tells MLflow all, in a store beside the runs, and is gone after the wait."""
    target = TrackTarget(TrackSink.mlflow, make_store(tmp_path / "store"), "leaves", pyfunc=False)
    courier = start_courier(tmp_path / "run", [target])
    log = write_run(tmp_path / "run")
    assert courier.wait(240) == ""
    assert courier.processes[target.id].poll() == 0
    assert read_delivered(tmp_path / "run", target)[log.run].seq == len(list(read_events(log.path))) - 1
    assert load_targets(tmp_path / "run" / "tracking") == [target]
    assert "0 left" in (tmp_path / "run" / "tracking" / "courier.log").read_text()


def test_absent_tracker_is_said_at_the_end(tmp_path) -> None:
    """The wait ends in time, says what is left and which command tells it later; the process ends by itself."""
    courier = start_courier(tmp_path, [NOBODY], patience_s=0.0)
    log = begin_run(tmp_path)
    began = time.monotonic()
    left = courier.wait(0.1)
    assert time.monotonic() - began < 5
    n = len(list(read_events(log.path)))
    assert left.startswith(f"{n} events of this run are not told to MLflow (http://127.0.0.1:9) yet.")
    assert left.endswith(f"Later: phytoscope track sync {tmp_path}")
    assert courier.processes[NOBODY.id].wait(120) == 3
    assert "does not answer" in courier.wait(0.0)


def test_courier_ends_when_the_run_is_killed(tmp_path) -> None:
    """A run that dies without a word closes its end of the pipe, and the process notices."""
    code = (
        "import os, sys; from pathlib import Path;"
        "from phytoscope.schema.choices import TrackSink; from phytoscope.track.background import start_courier;"
        "from phytoscope.track.target import TrackTarget;"
        "target = TrackTarget(TrackSink.mlflow, 'http://127.0.0.1:9', 'leaves');"
        f"courier = start_courier(Path({str(tmp_path)!r}), [target], patience_s=0.0);"
        "print(courier.processes[target.id].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    pid = int(result.stdout)
    deadline = time.monotonic() + 120
    while is_alive(pid):
        assert time.monotonic() < deadline, "the courier outlived its run"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    # A process whose parent is gone may stay as a zombie where nobody collects it.
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_run_does_not_fail_without_a_process(tmp_path, monkeypatch) -> None:
    """When no process can be started the run goes on, and the end says why nobody was told."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(background.subprocess, "Popen", fail)
    courier = start_courier(tmp_path, [NOBODY])
    begin_run(tmp_path)
    assert "Resource temporarily unavailable" in courier.wait(1.0)
    assert courier.wait(1.0).endswith(f"phytoscope track sync {tmp_path}")


def test_missing_package_is_said_at_once(tmp_path, monkeypatch) -> None:
    """Who asks for a tracker whose package is not installed learns it before the training, not after it."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr(background.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"phytoscope\[track\]"):
        start_courier(tmp_path, [NOBODY])


def test_damaged_list_of_trackers_stops_nobody(tmp_path, child) -> None:
    """A list that cannot be read is begun anew."""
    child("")
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / "targets.json").write_text("[{}]")
    start_courier(tmp_path, [NOBODY]).wait(60)
    assert load_targets(tmp_path / "tracking") == [NOBODY]


def test_process_that_fell_over_is_said(tmp_path, child) -> None:
    """When the process ended by a fault of its own, the sentence names the file that says more."""
    child("import sys; print('what happened', file=sys.stderr); sys.exit(1)")
    courier = start_courier(tmp_path, [NOBODY])
    begin_run(tmp_path)
    assert str(tmp_path / "tracking" / "courier.log") in courier.wait(60)
    assert (tmp_path / "tracking" / "courier.log").read_text() == "what happened\n"


def test_nothing_is_said_when_all_is_told(tmp_path, child) -> None:
    """What counts is what was told, not how the process ended."""
    child("import sys; sys.exit(1)")
    courier = start_courier(tmp_path, [NOBODY])
    log = begin_run(tmp_path)
    last = list(read_events(log.path))[-1]
    cursor = load_cursor(tmp_path, NOBODY)
    cursor.runs[log.run] = DeliveredRun("remote", last.seq, last.time)
    save_cursor(tmp_path, NOBODY, cursor)
    assert courier.wait(60) == ""


def test_slow_process_is_not_waited_for(tmp_path, child) -> None:
    """The wait ends after its seconds; the process is left to go on."""
    child("import sys; sys.stdin.read(); import time; time.sleep(600)")
    courier = start_courier(tmp_path, [NOBODY])
    begin_run(tmp_path)
    process = courier.processes[NOBODY.id]
    try:
        began = time.monotonic()
        assert courier.wait(0.2) != ""
        assert 0.15 < time.monotonic() - began < 20
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_password_is_not_said(tmp_path, monkeypatch, child) -> None:
    """The address in the sentence has lost its user and password."""
    child("")
    target = TrackTarget(TrackSink.mlflow, "http://me:secret@127.0.0.1:9", "leaves")
    courier = start_courier(tmp_path, [target])
    begin_run(tmp_path)
    assert "secret" not in courier.wait(60)


def test_long_log_is_begun_anew(tmp_path, child, monkeypatch) -> None:
    """What couriers said is kept, but not for ever."""
    monkeypatch.setattr(background, "_LONGEST_LOG_BYTES", 20)
    child("print('once more')")
    for _ in range(4):
        start_courier(tmp_path, [NOBODY]).wait(60)
    assert (tmp_path / "tracking" / "courier.log").read_text() == "once more\n"
