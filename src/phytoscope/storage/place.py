"""A place is a path on this computer or an address such as `s3://bucket/leaves`, and both are used alike."""

import re
from pathlib import Path
from typing import cast

from phytoscope.errors import require
from phytoscope.schema.address import as_url

__all__ = ["as_local", "as_url", "is_url", "open_place"]
_FILE = re.compile(r"(?:file|local):/*(?P<path>/.*)", re.DOTALL)


def is_url(place: str | Path) -> bool:
    """Whether this is an address of a store, such as `s3://bucket/leaves`, and no path on this computer.

    Args:
        place: Text or path; that a path has lost one of the two slashes (`s3:/bucket/leaves`) does not matter.
    """
    return as_url(place) is not None


def as_local(place: str | Path) -> str:
    """The path on this computer that `file:///data/leaves` means; any other text as it is."""
    match = _FILE.fullmatch(str(place))
    return str(place) if match is None else match["path"]


def open_place(place: str | Path) -> Path:
    """Gives something that is used as a path: a path on this computer, or an address with the same methods.

    Args:
        place: Path or address.

    Returns:
        A path. For an address it is a `upath.UPath`, which has a path's methods (`iterdir`, `open`, `read_bytes`,
        `exists`, `name`, `/`) and whose text is the address, but which `os` and libraries written in C do not take.

    Raises:
        MissingDependencyError: The library of that store is not installed.
    """
    url = as_url(place)
    if url is None:
        return Path(as_local(place))
    return cast("Path", require("upath").UPath(url))
