"""What the user sees: two consoles, progress, and the exit codes."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar
from rich.status import Status
from rich.table import Table

from phytoscope.errors import ConfigError, suggest

LOG_VARIABLE = "PHYTOSCOPE_LOG"
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
EXIT_USER, EXIT_BUG, EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_CLOSED, EXIT_ENDED = 2, 1, 3, 130, 141, 143
EXIT_CODES: Final[Mapping[int, str]] = {
    0: "done",
    EXIT_BUG: "a bug of phytoscope: please report the text above it",
    EXIT_USER: "a mistake in the command, the data or the place: the message says what to do",
    EXIT_FINDINGS: "done, and something was found that asks for a person: the output says what",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C: what is finished is kept, and the same command continues",
    EXIT_CLOSED: "whoever read the output has left, as `head` does",
    EXIT_ENDED: "told to end (SIGTERM): what is finished is kept, and the same command continues",
}
"""Every exit code of the command line, and what it means."""
_QUIET_SECONDS = 20.0
_TWO_MINUTES_S = 120
_WIDEST = 10_000


class Screen(Console):
    """A console whose bars and spinners move on a terminal only, even where FORCE_COLOR asks for colours elsewhere."""

    def __init__(self, **options: Any) -> None:
        """Takes what the console takes."""
        stream = sys.__stderr__ if options.get("stderr") else sys.__stdout__
        moves = stream is not None and not stream.closed and stream.isatty()
        super().__init__(soft_wrap=True, highlight=False, force_interactive=None if moves else False, **options)

    def on_broken_pipe(self) -> None:
        """Ends the command when whoever read the output has left.

        Raises:
            SystemExit: Always.
        """
        self.quiet = True
        silence_stdout()
        raise SystemExit(EXIT_CLOSED)

    def status(self, *args: Any, **options: Any) -> Status:
        """A spinner beside a text, or nothing where it could not move."""
        if self.is_interactive:
            return super().status(*args, **options)
        return Console(quiet=True).status(*args, **options)


out = Screen()
err = Screen(stderr=True)


class TerminalProgress:
    """A bar on a terminal; elsewhere a line now and then, so that log files stay short."""

    def __init__(self) -> None:
        """Draws nothing yet."""
        self._bar: RichBar | None = None
        self._description = ""
        self._done = 0
        self._total: int | None = None
        self._spoken_at = 0.0
        self._timed_from: tuple[float, int] | None = None

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work."""
        self.finish()
        self._description, self._total, self._done, self._spoken_at = description, total, 0, time.monotonic()
        self._timed_from = None
        if not err.is_interactive:
            err.print(f"{description} ...")
            return
        self._bar = RichBar(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=err,
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(description, total=total, note="")

    def advance(self, units: int = 1, note: str = "") -> None:
        """Moves the bar, or says how far it is when nothing was said for a while."""
        self._done += units
        if self._bar is not None:
            task = self._bar.tasks[0]
            self._bar.update(task.id, advance=units, note=escape(note) if note else task.fields["note"])
        elif not err.is_interactive and time.monotonic() - self._spoken_at > _QUIET_SECONDS:
            self._spoken_at = time.monotonic()
            whole = "" if self._total is None else f"/{self._total}"
            line = f"  {self._description}: {self._done}{whole} {escape(note)}".rstrip()
            err.print(line + self._word_time_left())
        if self._timed_from is None:
            # What is reported first may have been done long ago, by the run that is continued.
            self._timed_from = time.monotonic(), self._done

    def _word_time_left(self) -> str:
        if self._total is None or self._timed_from is None:
            return ""
        began, done_before = self._timed_from
        done = self._done - done_before
        if done <= 0:
            return ""
        seconds = max(0.0, (time.monotonic() - began) / done * (self._total - self._done))
        return f", {seconds:.0f} s left" if seconds < _TWO_MINUTES_S else f", {seconds / 60:.0f} min left"

    def finish(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def silence_stdout() -> None:
    """Keeps Python from complaining at its end that nobody reads its output any more."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def say(message: str) -> None:
    """Tells the user a sentence, beside the results."""
    err.print(escape(message))


def print_table(table: Table) -> None:
    """Prints a table: as wide as the terminal, and as wide as it needs to be for a file or another program."""
    if out.is_terminal:
        out.print(table)
        return
    needed = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    Console(file=out.file, width=max(needed, out.width), highlight=False).print(table)


def show_log() -> None:
    """Shows on the console what otherwise only `run.log` holds, from the level on that PHYTOSCOPE_LOG names.

    Raises:
        ConfigError: There is no such level.
    """
    level = os.environ.get(LOG_VARIABLE, "").strip().upper()
    if level == "":
        return
    if level not in _LOG_LEVELS:
        message = f"{LOG_VARIABLE}={level.lower()!r} is no level: {suggest(level.lower(), map(str.lower, _LOG_LEVELS))}"
        raise ConfigError(message)
    from loguru import logger

    # What was said or warned stands on the console already.
    logger.add(
        lambda text: err.print(escape(text.rstrip("\n")), style="dim"),
        level=level,
        format="{time:HH:mm:ss} {level: <8} {message}",
        filter=lambda record: not record["extra"].get("said"),
        diagnose=False,
        backtrace=False,
    )
