"""The address that the service listens on. It is opened first, so that a port that is taken is told at once."""

import contextlib
import signal
import socket
from typing import Final

from phytoscope.errors import ConfigError
from phytoscope.schema.serve import ServeConfig

BACKLOG: Final = 2048
"""Connections that wait to be accepted."""


def open_socket(config: ServeConfig) -> socket.socket:
    """Listens on the address of the settings.

    Raises:
        ConfigError: The address is taken, or is none of this computer's, or this system cannot run the service.
    """
    # Windows has neither; processes that are given open files, which decode the photographs, are missing there, too.
    if not hasattr(signal, "setitimer") or not hasattr(signal, "SIGALRM"):
        message = (
            "the service needs signals and processes that this system does not have. On Windows, start it in WSL "
            "(Windows Subsystem for Linux) or in the container that dockerfiles/api.Dockerfile makes; "
            "`phytoscope predict` answers without it."
        )
        raise ConfigError(message)
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        with contextlib.ExitStack() as closing:
            listener = closing.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((config.host, config.port))
            listener.listen(BACKLOG)
            listener.set_inheritable(True)
            closing.pop_all()
    except OSError as error:
        message = (
            f"serve.host={config.host} serve.port={config.port} cannot be listened on ({error.strerror or error}): "
            "choose another port, for example serve.port=8080."
        )
        raise ConfigError(message) from error
    return listener


def name_address(listener: socket.socket) -> str:
    """The address that a browser on this computer opens.

    Args:
        listener: The listening socket.
    """
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
