"""The process of one of several workers: what it is given, and how it ends."""

import io
import os
import signal
import socket
import sys

import pytest

from factories.records import wait_until
from phytoscope.api import worker
from phytoscope.api.server import pack_config
from phytoscope.api.supervisor import EXIT_NOT_STARTED
from phytoscope.errors import PackageError
from phytoscope.schema.serve import ServeConfig


@pytest.fixture
def start(monkeypatch):
    """A function that runs the worker's main in this process, with another answering part, until it returns."""
    killed = []
    monkeypatch.setattr(worker.os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setattr(sys, "stdin", io.StringIO(pack_config(ServeConfig(workers=2))))

    def run(answer):
        monkeypatch.setattr(worker, "run_worker", answer)
        life, held = os.pipe()
        heard, pulse = os.pipe()
        listener = socket.create_server(("127.0.0.1", 0))
        try:
            return worker.main([str(listener.detach()), str(life), str(pulse), "package"]), os.read(heard, 9), killed
        finally:
            os.close(held)
            # The supervisor has died: whoever watches its end tells the worker to stop.
            wait_until(lambda: killed == [(os.getpid(), signal.SIGTERM)])
            for number in (life, heard, pulse):
                os.close(number)

    return run


def test_worker_gets_settings_listener_and_pulse(start):
    """It answers with the settings of the standard input, on the socket it was given, and ends with 0."""
    given = []

    def answer(source, config, listener, beat):
        given.append((source, config, listener.getsockname()[0]))
        listener.close()
        beat()

    code, heard, _ = start(answer)
    assert (code, heard) == (0, b".")
    assert given == [("package", ServeConfig(workers=2), "127.0.0.1")]


def test_worker_that_cannot_start_says_so_by_its_code(start):
    """The supervisor then does not start it again and again."""

    def answer(source, config, listener, beat):
        listener.close()
        beat()
        raise PackageError("no package")

    assert start(answer)[0] == EXIT_NOT_STARTED
