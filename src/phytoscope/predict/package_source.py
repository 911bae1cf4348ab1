"""Where a package comes from: a path, or an address of a scheme that somebody provides, as `models:/NAME@champion`."""

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from phytoscope.errors import ConfigError, suggest
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.place import is_url

SOURCES_GROUP: Final = "phytoscope.package_sources"
"""Entry points: scheme -> function that takes the whole address and gives the path of the package."""
# One letter is a drive of Windows.
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):.*", re.DOTALL)


def find_package(source: str | Path) -> Path:
    """Finds a package.

    Args:
        source: Path of its folder or of a `.phyto` file, or an address `SCHEME:...` as a text.

    Returns:
        The folder or file; what an address names was fetched.

    Raises:
        ConfigError: Nobody knows the scheme.
        StorageError: The store of an address such as `s3://bucket/model.phyto` cannot be reached, or refuses.
        PhytoscopeError: What the address names cannot be had.
    """
    if is_url(source):
        return fetch_place(source)
    match = _ADDRESS.fullmatch(source) if isinstance(source, str) else None
    # A file may be called so, too.
    if match is None or Path(source).exists():
        return Path(source)
    known = {point.name: point for point in entry_points(group=SOURCES_GROUP)}
    if match[1] not in known:
        message = (
            f"the package {str(source)!r}: {match[1]!r} is no known kind of address; "
            f"{suggest(match[1], known)} Or name a folder or a .phyto file."
        )
        raise ConfigError(message)
    return Path(known[match[1]].load()(source))
