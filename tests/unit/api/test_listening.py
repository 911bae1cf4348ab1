"""The address that the service listens on."""

import signal

import pytest

from phytoscope.api.listening import open_socket
from phytoscope.errors import ConfigError
from phytoscope.schema.serve import ServeConfig


@pytest.mark.parametrize("name", ["setitimer", "SIGALRM"])
def test_system_without_signals_is_told_where_it_works(monkeypatch, name):
    """Windows has no such signals: the service says so before anything is loaded, and what to use instead."""
    monkeypatch.delattr(signal, name)
    with pytest.raises(ConfigError, match=r"start it in WSL .* or in the container"):
        open_socket(ServeConfig(port=0))


def test_free_port_is_listened_on():
    """Port 0 is any that is free."""
    with open_socket(ServeConfig(port=0)) as listener:
        assert listener.getsockname()[1] > 0


def test_address_that_is_taken_is_told():
    """With the port, and another one to choose."""
    with open_socket(ServeConfig(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"serve.port={port} cannot be listened on .*choose another port"):
            open_socket(ServeConfig(port=port))
