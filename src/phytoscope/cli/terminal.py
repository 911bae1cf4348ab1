"""What the user sees: two consoles, progress, and the exit codes."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar

EXIT_USER, EXIT_BUG, EXIT_FINDINGS, EXIT_INTERRUPTED = 2, 1, 3, 130
_QUIET_SECONDS = 20.0

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class TerminalProgress:
    """A bar on a terminal; elsewhere a line now and then, so that log files stay short."""

    def __init__(self) -> None:
        """Draws nothing yet."""
        self._bar: RichBar | None = None
        self._description = ""
        self._done = 0
        self._total: int | None = None
        self._spoken_at = 0.0

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work."""
        self.finish()
        self._description, self._total, self._done, self._spoken_at = description, total, 0, time.monotonic()
        if not err.is_terminal:
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
        elif not err.is_terminal and time.monotonic() - self._spoken_at > _QUIET_SECONDS:
            self._spoken_at = time.monotonic()
            whole = "" if self._total is None else f"/{self._total}"
            err.print(f"  {self._description}: {self._done}{whole} {escape(note)}".rstrip())

    def finish(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def say(message: str) -> None:
    """Tells the user a sentence, beside the results."""
    err.print(escape(message))
