"""One image that somebody named: where it is, and how to tell that it is still the same."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phytoscope.errors import ImageReadError
from phytoscope.storage.place import as_url
from phytoscope.storage.reading import ABSENT, stat_place
from phytoscope.transforms.decode import read_bytes


@dataclass(frozen=True)
class FoundImage:
    """An image among the sources.

    Attributes:
        name: What to call it: its path, or that of its archive and the place inside.
        mark: State of what holds it, which is another one when the content may have changed; empty when not yet known.
        read: Reads it out of an archive, before the next image is asked for; None for a file of its own.
        fault: Why there is no image; empty when there may be one.
        content: Its bytes, where they were read already.
    """

    name: str
    mark: str = ""
    read: Callable[[], bytes] | None = None
    fault: str = ""
    content: bytes | None = None

    def load(self) -> "FoundImage":
        """The same image with its bytes, where these can be had only now."""
        if self.read is None:
            return self
        try:
            return dataclasses.replace(self, content=self.read(), read=None)
        except ImageReadError as error:
            return dataclasses.replace(self, fault=error.reason, read=None)

    def check(self) -> "FoundImage":
        """The same image with its mark."""
        return self if self.mark else dataclasses.replace(self, mark=mark_file(self.name))

    def fetch(self) -> bytes:
        """Its bytes.

        Raises:
            ImageReadError: There are none.
        """
        if self.fault:
            raise ImageReadError(self.name, self.fault)
        return read_bytes(self.name) if self.content is None else self.content


def mark_file(path: Path | str) -> str:
    """Size and time of a file, and the tag of an object in a store; `-` where there is none.

    Raises:
        StorageError: The store of an address cannot be reached, or refuses.
    """
    url = as_url(path)
    if url is not None:
        state = stat_place(url)
        return "-" if state == ABSENT else ":".join(map(str, state))
    try:
        found = os.stat(path)  # noqa: PTH116 (a million times, and paths are slow)
    except (OSError, ValueError):
        return "-"
    return f"{found.st_size}:{found.st_mtime_ns}"
