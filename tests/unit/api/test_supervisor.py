"""Workers that hang, die or cannot start; the workers are stubs, so that each does it at once."""

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from factories.process_trees import wait_until
from factories.stub_worker import REFUSAL
from phytoscope.api import supervisor as supervisor_module
from phytoscope.api.metrics import MULTIPROCESS_VARIABLE
from phytoscope.api.supervisor import Supervisor
from phytoscope.errors import PackageError
from phytoscope.schema.serve import ServeConfig


@pytest.fixture
def supervise(monkeypatch, tmp_path):
    """Gives a function that starts the workers of a supervisor; they end with the test."""
    monkeypatch.setattr(supervisor_module, "_MODULE", "factories.stub_worker")
    monkeypatch.setattr(supervisor_module, "_PAUSE_SECONDS", 0.2)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv(REFUSAL, str(supervisor_module.EXIT_NOT_STARTED))
    monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    ended = []
    with contextlib.ExitStack() as stack:

        def start(source, workers=1, **settings):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found = Supervisor(source, ServeConfig(workers=workers, **{"stop_s": 5.0, **settings}), listener)
            stack.callback(lambda: None if found in ended else found._end())
            found._children = [found._start() for _ in range(workers)]
            return found

        start.ended = ended
        yield start


def look_until(supervisor, is_done):
    """Has the supervisor look after its workers until something is so."""

    def look():
        supervisor._look()
        return is_done()

    wait_until(look, seconds=60)


def list_pids(supervisor):
    return [child.process.pid for child in supervisor._children]


def test_hung_worker_is_replaced(supervise, monkeypatch):
    """A worker whose loop turns no more is killed, and another one takes its place."""
    found = supervise("hang")
    (first,) = list_pids(found)
    look_until(found, lambda: found._children[0].has_started)
    monkeypatch.setattr(supervisor_module, "_SILENT_SECONDS", 0.1)
    look_until(found, lambda: list_pids(found) not in ([], [first]))
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_dead_worker_is_replaced_and_its_levels_are_forgotten(supervise, tmp_path):
    """What it was about ends with it; what it has counted stays."""
    found = supervise("die")
    (first,) = list_pids(found)
    level, count = tmp_path / f"gauge_livesum_{first}.db", tmp_path / f"gauge_sum_{first}.db"
    level.touch()
    count.touch()
    look_until(found, lambda: list_pids(found) not in ([], [first]))
    assert not level.exists()
    assert count.exists()


def test_settings_are_not_among_the_words(supervise):
    """Everybody on the computer can read a command line, and the address of the records may hold a password."""
    found = supervise("hang", records_url="postgresql://me:geheim@127.0.0.1/records")
    look_until(found, lambda: found._children[0].has_started)
    (pid,) = list_pids(found)
    words = psutil.Process(pid).cmdline()
    assert "factories.stub_worker" in words
    assert "geheim" not in " ".join(words)


def test_nothing_starts_when_no_worker_can(supervise):
    """The first ones decide: a package that cannot be served is told at once."""
    found = supervise("refuse", workers=2)
    with pytest.raises(PackageError, match="could not start"):
        look_until(found, lambda: False)


def test_worker_that_cannot_be_replaced_now_is_replaced_later(supervise, tmp_path):
    """While a package is being exchanged none can start: the others go on, and it is tried again with pauses."""
    flag = tmp_path / "broken"
    found = supervise(str(flag), workers=2)
    look_until(found, lambda: all(child.has_started for child in found._children))
    first, second = list_pids(found)
    flag.touch()
    found._children[0].process.kill()
    began = time.monotonic()
    look_until(found, lambda: time.monotonic() > began + 1.0)
    assert second in list_pids(found)
    flag.unlink()
    look_until(found, lambda: len(list_pids(found)) == 2 and all(child.has_started for child in found._children))
    assert first not in list_pids(found)


def test_signals_reach_the_workers_and_end_them(supervise, monkeypatch):
    """SIGHUP is told to each worker (a stub dies of it and is replaced), SIGTERM ends all in order."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    listener = socket.create_server(("127.0.0.1", 0))
    found = Supervisor("hang", ServeConfig(workers=1, stop_s=5.0), listener)
    monkeypatch.setattr(supervisor_module, "_LOOK_SECONDS", 0.05)
    seen = []

    def tell():
        try:
            wait_until(lambda: found._children and found._children[0].has_started, seconds=60)
            seen.extend(list_pids(found))
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(lambda: list_pids(found) not in ([], seen) and found._children[0].has_started, seconds=60)
            seen.extend(list_pids(found))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=tell)
    try:
        # Before the handlers are there, a signal would end the tests.
        monkeypatch.setattr(found, "_start", lambda start=found._start: (thread.ident or thread.start(), start())[1])
        found.run()
    finally:
        thread.join(60)
        listener.close()
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert len(seen) == 2
    assert not any(psutil.pid_exists(pid) for pid in seen)


def test_worker_that_does_not_end_is_killed(supervise):
    """Who does not finish in the time that the settings give is not waited for any longer."""
    found = supervise("stubborn", stop_s=0.1)
    look_until(found, lambda: found._children[0].has_started)
    (pid,) = list_pids(found)
    supervise.ended.append(found)
    found._end()
    assert not psutil.pid_exists(pid)


def test_workers_count_into_one_folder(monkeypatch):
    """It is there as long as they are, also when they cannot start."""
    seen = []

    class Refusing:
        def __init__(self, *_words):
            seen.append(os.environ[MULTIPROCESS_VARIABLE])

        def run(self):
            raise PackageError("no package")

    monkeypatch.delenv(MULTIPROCESS_VARIABLE, raising=False)
    monkeypatch.setattr(supervisor_module, "Supervisor", Refusing)
    monkeypatch.setattr(supervisor_module, "set_up_logs", lambda *_: None)
    with pytest.raises(PackageError, match="no package"):
        supervisor_module.run_workers("package", ServeConfig(workers=2), None)
    assert MULTIPROCESS_VARIABLE not in os.environ
    assert not Path(seen[0]).exists()
