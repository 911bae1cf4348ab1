"""How a command ends: every way out becomes a sentence and an exit code."""

import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from rich.markup import escape

from phytoscope import __version__
from phytoscope.cli.terminal import (
    EXIT_BUG,
    EXIT_CLOSED,
    EXIT_ENDED,
    EXIT_INTERRUPTED,
    EXIT_USER,
    err,
)
from phytoscope.errors import PhytoscopeError, storage_error

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MEMORY = (
    "the memory of this computer is used up. Close other programs, or take less at a time: a smaller "
    "trainer.batch_size, fewer trainer.num_workers, a smaller model.input_size_px."
)


def run_to_end(command: Callable[[], object]) -> int | str | None:
    """Runs a command and says what went wrong, if anything did.

    Args:
        command: What to run; it may end the process by itself.

    Returns:
        The exit code, one of `EXIT_CODES`.
    """
    with _heard_wish_to_end() as wishes:
        try:
            command()
        except PhytoscopeError as error:
            return _refuse(str(error))
        except SystemExit as stop:
            return _translate(stop, is_told=bool(wishes))
        except MemoryError:
            return _refuse(_MEMORY)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                # What a step writes is worded where it is written; this is the output, or a file of a library.
                _drop_unwritable_output()
                return _refuse(str(storage_error(Path(str(error.filename or "the output")), error)))
            err.print(escape(traceback.format_exc()))
            err.print(f"[red]This is a bug of phytoscope {__version__}.[/] Please report it with the text above.")
            return EXIT_BUG
    return None


def _drop_unwritable_output() -> None:
    """Lets go of output that cannot be written: the interpreter tries again at its end, and would change the code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> int:
    err.print(f"[red]Error:[/] {escape(message)}")
    return EXIT_USER


def _translate(stop: SystemExit, *, is_told: bool) -> int | str | None:
    if isinstance(stop.__context__, BrokenPipeError):
        return EXIT_CLOSED
    # The command-line library turns Ctrl-C into this exit code without a word.
    if stop.code != EXIT_INTERRUPTED:
        return stop.code
    how = "Told to end" if is_told else "Interrupted"
    err.print(f"{how}. Finished steps and epochs are kept: the same command continues.")
    return EXIT_ENDED if is_told else EXIT_INTERRUPTED


@contextlib.contextmanager
def _heard_wish_to_end() -> Iterator[list[int]]:
    """Lets SIGTERM do what Ctrl-C does, once; yields the list that it is noted in."""
    wishes: list[int] = []
    own = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != own:
            # A child process that was forked off has nothing to say.
            os.kill(os.getpid(), number)
        wishes.append(number)
        raise KeyboardInterrupt

    # Whoever started us deaf wants that, and threads cannot listen.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield wishes
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield wishes
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
