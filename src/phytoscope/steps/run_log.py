"""The log of a run: everything that was said, with times, beside warnings and the place of an error."""

import contextlib
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from loguru import logger

from phytoscope.errors import PhytoscopeError, storage_error
from phytoscope.schema.run_folder import RunFolder

SAID = "said"
"""Mark of records that the user has read already, so that a console does not repeat them."""
_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <8} {message}"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LIBRARIES = ("lightning.pytorch", "lightning.fabric", "timm", "optuna")


class RunLog:
    """While it is open, what is said, warned and logged is also written into `run.log` of a run.

    Values of variables are never written, so that no secret gets into the file.
    """

    def __init__(self, run: RunFolder) -> None:
        """Takes the folder.

        Args:
            run: Its `run.log` is appended to.
        """
        self._path: Path = run.log
        self._sink: int | None = None
        self._show: Callable[..., Any] = warnings.showwarning
        self._handler = _ToLoguru()
        self._listens = False

    def __enter__(self) -> "RunLog":
        """Opens the file.

        Raises:
            StorageError: It cannot be written.
        """
        # Loguru's own first sink would repeat on the console what was said there, and show the values of variables.
        with contextlib.suppress(ValueError):
            logger.remove(0)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = logger.add(
                self._path,
                format=_FORMAT,
                level="DEBUG",
                encoding="utf-8",
                colorize=False,
                backtrace=False,
                diagnose=False,
            )
        except OSError as error:
            raise storage_error(self._path, error) from error
        self._show = warnings.showwarning
        # A log inside another one, such as that of one trial of a sweep, receives what the outer one listens to.
        self._listens = not isinstance(getattr(self._show, "__self__", None), RunLog)
        if self._listens:
            warnings.showwarning = self._show_warning
            for name in _LIBRARIES:
                logging.getLogger(name).addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes why the work ended, and closes the file."""
        if isinstance(error, PhytoscopeError):
            logger.bind(**{SAID: True}).error(str(error))
        elif error is not None and not isinstance(error, Exception):
            # Ctrl-C, or an orchestrator that was told to stop.
            logger.bind(**{SAID: True}).warning("interrupted")
        elif error is not None:
            logger.bind(**{SAID: True}).opt(exception=error).error("a bug")
        if self._listens:
            warnings.showwarning = self._show
            for name in _LIBRARIES:
                logging.getLogger(name).removeHandler(self._handler)
        if self._sink is not None:
            logger.remove(self._sink)

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        logger.bind(**{SAID: True}).warning(f"{category.__name__}: {message} ({Path(filename).name}:{lineno})")
        self._show(message, category, filename, lineno, file, line)


def log_said(say: Callable[[str], None]) -> Callable[[str], None]:
    """The same receiver of sentences, which also writes them into the log of the run."""

    def said(message: str) -> None:
        logger.bind(**{SAID: True}).info(message)
        say(message)

    return said


class _ToLoguru(logging.Handler):
    """Passes what libraries log on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.log(level, f"{record.name}: {record.getMessage()}")
