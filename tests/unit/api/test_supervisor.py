"""Workers that hang, die or cannot start; the workers are stubs, so that each does it at once."""

import contextlib
import os
import socket
import time

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
    with contextlib.ExitStack() as stack:

        def start(source, workers=1, **settings):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found = Supervisor(source, ServeConfig(workers=workers, stop_s=5.0, **settings), listener)
            stack.callback(found._end)
            found._children = [found._start() for _ in range(workers)]
            return found

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
