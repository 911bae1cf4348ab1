"""How long work says how far it is, without knowing whether anybody looks."""

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress: the command line draws a bar, a test or a service ignores it."""

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work.

        Args:
            description: A few words for a person.
            total: How many units it takes; None when nobody knows.
        """

    def advance(self, units: int = 1, note: str = "") -> None:
        """Reports that `units` more are done; `note` is shown beside the bar (for example the last metric)."""

    def finish(self) -> None:
        """Ends the stretch."""


class SilentProgress:
    """Progress that nobody looks at."""

    def start(self, description: str, total: int | None) -> None:
        """Does nothing."""

    def advance(self, units: int = 1, note: str = "") -> None:
        """Does nothing."""

    def finish(self) -> None:
        """Does nothing."""
