"""One worker: how it ends, what signals mean to it, and why it cannot start."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from phytoscope.api import server
from phytoscope.api.server import Worker, run_worker
from phytoscope.api.service import Phase
from phytoscope.errors import ConfigError, PackageError
from phytoscope.schema.serve import ServeConfig


@pytest.fixture
def files(monkeypatch):
    """Keeps what a worker changes for its whole process away from that of the tests; gives its limits of files."""
    found = []
    monkeypatch.setattr(server, "set_up_logs", lambda *_: None)
    monkeypatch.setattr(server, "threadpool_limits", lambda **_: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 400))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: found.append(limits))
    return found


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (PackageError("no package here"), PackageError, "no package here"),
        (TimeoutError(), ConfigError, "no process that decodes photographs has started in time"),
        (ZeroDivisionError(), ConfigError, r"cannot start \(ZeroDivisionError\); the lines above say why"),
    ],
)
def test_worker_that_cannot_start_says_why(files, monkeypatch, fault, kind, words):
    """Its own errors as they are, others without their inside."""

    def build(_source, _config, fail):
        @contextlib.asynccontextmanager
        async def live(_app):
            fail(fault)
            yield

        return FastAPI(lifespan=live)

    monkeypatch.setattr(server, "build_app", build)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(kind, match=words):
        run_worker("package", ServeConfig(), listener)


@pytest.mark.parametrize(("connections", "limit"), [(100, 356), (512, 400)])
def test_as_many_files_as_connections_are_allowed(files, monkeypatch, connections, limit):
    """As far as the system lets itself be asked."""
    monkeypatch.setattr(server, "build_app", lambda *_: FastAPI())
    monkeypatch.setattr(Worker, "run", lambda *_: None)
    run_worker("package", ServeConfig(max_connections=connections), None)
    assert files == [(limit, 400)]


def tell(*acts, service=None, **settings):
    """Does things to a worker, one after the other; gives whether it has stopped after each."""

    async def work():
        app = FastAPI()
        if service is not None:
            app.state.service = service
        worker, found = Worker(app, ServeConfig(**settings), lambda: None), []
        with worker.capture_signals():
            for act in acts:
                act(worker)
                # Signals are told by the loop.
                await asyncio.sleep(0.05)
                found.append(worker.should_exit)
        if worker._pending is not None:
            worker._pending.cancel()
        return found

    return asyncio.run(work())


def send(number):
    return lambda _worker: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_once_it_drains_and_twice_is_now(number):
    """Connections are taken for a while; whoever cannot wait says it again. The handlers are those of before, then."""
    before = signal.getsignal(signal.SIGHUP)
    assert tell(send(number), send(number), drain_s=60.0) == [False, True]
    assert tell(send(number), drain_s=0.0) == [True]
    assert signal.getsignal(signal.SIGHUP) in (before, signal.SIG_DFL)


@pytest.mark.parametrize(("phase", "after"), [(Phase.ready, Phase.stopping), (Phase.starting, Phase.starting)])
def test_load_balancers_are_told_first(phase, after):
    """A service that is ready says that it stops; one that is starting has never been asked."""
    service = SimpleNamespace(phase=phase)
    tell(lambda worker: worker.leave(), service=service, drain_s=60.0)
    assert service.phase is after


def test_hangup_looks_for_a_newer_package():
    """And does nothing before there is a service."""
    looks = []
    slot = SimpleNamespace(look_now=lambda: looks.append(1))
    assert tell(send(signal.SIGHUP), service=SimpleNamespace(phase=Phase.ready, slot=slot)) == [False]
    assert looks == [1]
    assert tell(send(signal.SIGHUP)) == [False]
