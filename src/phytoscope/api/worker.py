"""The process of one of several workers, started by `supervisor`."""

import os
import signal
import socket
import sys
import threading

from phytoscope.api.logs import note
from phytoscope.api.server import run_worker, unpack_config
from phytoscope.api.supervisor import EXIT_NOT_STARTED
from phytoscope.errors import PhytoscopeError


def main(words: list[str]) -> int:
    """Answers until told to stop, or until the supervisor has died.

    Args:
        words: Numbers of the listening socket, of the pipe that ends with the supervisor and of the one that is told
            that the loop turns; the package. The settings stand in the standard input.

    Returns:
        The exit code.
    """
    listener = socket.socket(fileno=int(words[0]))
    life, pulse = int(words[1]), int(words[2])
    threading.Thread(target=_watch, args=(life,), daemon=True).start()
    try:
        run_worker(words[3], unpack_config(sys.stdin.read()), listener, lambda: os.write(pulse, b"."))
    except PhytoscopeError as error:
        note(f"this worker cannot start: {error}")
        return EXIT_NOT_STARTED
    return 0


def _watch(life: int) -> None:
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
