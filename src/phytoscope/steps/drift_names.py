"""Rows of a table found by the file they are about, as people name files in tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath


class NamedRows:
    """Rows of a table by the name of their image.

    A row is about a file when its name is the end of the file's path; the longest such name wins. A name may lack the
    extension of the file.

    Attributes:
        repeated: Names that stand in several rows; the last of these rows counts.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Sorts the names.

        Args:
            names: Name of each row's image: a file name, perhaps with the folders above it.
        """
        self._rows: dict[tuple[str, ...], int] = {}
        self.repeated: list[str] = []
        for row, name in enumerate(names):
            parts = _split(name)
            if parts in self._rows:
                self.repeated.append(name)
            self._rows[parts] = row
        self._longest = max(map(len, self._rows), default=0)

    def find(self, path: str | Path) -> int | None:
        """Place of the row that is about a file, counted from 0; None when there is none.

        Args:
            path: Absolute path of the file.
        """
        parts = _split(str(path))
        bare = (*parts[:-1], PurePosixPath(parts[-1]).stem) if parts else ()
        for length in range(min(self._longest, len(parts)), 0, -1):
            for name in (parts[-length:], bare[-length:]):
                if name in self._rows:
                    return self._rows[name]
        return None

    def find_all(self, paths: Iterable[str]) -> list[int | None]:
        """The same for many files."""
        return [self.find(path) for path in paths]


def _split(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name.strip().replace("\\", "/")).parts
    return tuple(part for part in parts if part != ".")
