"""How far work is, on one line that suits a terminal and a notebook alike; and what it says, or silence."""

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from phytoscope.schema.progress import Progress, SilentProgress

_EVERY_SECONDS = 0.2
_CELLS = 24


@dataclass(frozen=True)
class Told:
    """Who is told how far work is, and who is told sentences."""

    progress: Progress
    say: Callable[[str], None]


@contextlib.contextmanager
def telling(shown: bool) -> Iterator[Told]:
    """Gives receivers for one piece of work.

    Args:
        shown: Whether a person wants to see how far it is; otherwise nothing is written anywhere.
    """
    # A notebook shows what goes to stderr as if something were wrong.
    line = LineProgress(sys.stdout if _is_notebook() else sys.stderr)
    with warnings.catch_warnings():
        # Libraries that are imported on the way would draw bars of their own in notebooks, and miss what that needs.
        warnings.filterwarnings("ignore", message="IProgress not found")
        try:
            yield Told(line, line.say) if shown else Told(SilentProgress(), _ignore)
        finally:
            line.finish()


class LineProgress:
    """One line that is written again and again where it can be, else one line a stretch of work, as in a log file."""

    def __init__(self, stream: TextIO) -> None:
        """Writes nothing yet.

        Args:
            stream: Where to write.
        """
        self._stream = stream
        # A notebook is no terminal, but goes back to the beginning of a line like one.
        self._is_live = stream.isatty() or _is_notebook()
        self._description = ""
        self._note = ""
        self._total: int | None = None
        self._done = 0
        self._width = 0
        self._began = self._drawn = 0.0
        self._is_open = False

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work."""
        self.finish()
        self._description, self._total, self._done, self._note = description, total, 0, ""
        self._began = time.monotonic()
        self._is_open = True
        self._draw()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Counts what is done; the line is written anew five times a second at most."""
        self._done += units
        self._note = note or self._note
        if self._is_open and time.monotonic() - self._drawn >= _EVERY_SECONDS:
            self._draw()

    def finish(self) -> None:
        """Wipes the line out; where it cannot be, says how long it took."""
        if not self._is_open:
            return
        self._is_open = False
        if self._is_live:
            self._write("", end="\r")
        else:
            seconds = time.monotonic() - self._began
            self._write(f"{self._description}: done in {seconds:.1f} s {self._note}".rstrip(), end="\n")
        self._width = 0

    def say(self, message: str) -> None:
        """Writes a sentence on a line of its own, above the one that moves."""
        if self._is_open and self._is_live:
            self._write("", end="\r")
        self._stream.write(message + "\n")
        if self._is_open:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._is_live:
            self._write(f"{self._description} {self._word_done()} {self._note}".rstrip(), end="")

    def _word_done(self) -> str:
        if self._total is None or self._total <= 0:
            return "..."
        full = min(_CELLS, _CELLS * self._done // self._total)
        return f"[{'#' * full}{'.' * (_CELLS - full)}] {self._done}/{self._total}"

    def _write(self, text: str, end: str) -> None:
        start = "\r" if self._is_live else ""
        # What a longer line left behind is wiped out.
        self._stream.write(start + text.ljust(self._width if self._is_live else 0) + end)
        self._width = len(text)
        self._stream.flush()


def _is_notebook() -> bool:
    # Nothing is imported to find out: where nobody has IPython at hand, nobody is in a notebook.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _ignore(message: str) -> None:
    """Says nothing."""
