"""What tells an address of a store, such as `s3://bucket/leaves`, from a path on this computer."""

import re
from pathlib import Path

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>//?)(?P<rest>[^/].*)", re.DOTALL)
_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"})
"""Schemes that are known even when a path has lost one of the two slashes."""
_NOT_PLACES = frozenset({"models", "http", "https", "sqlite", "postgresql", "ray", "file", "local"})


def as_url(place: str | Path) -> str | None:
    """The address with both slashes, or None when this is a path on this computer (`file://` is one, too).

    Args:
        place: Text or path; that a path has lost one of the two slashes (`s3:/bucket/leaves`) does not matter for the
            stores that people have.
    """
    # A drive of Windows has one letter, a scheme has two or more.
    match = _URL.fullmatch(str(place))
    if match is None or match["scheme"] in _NOT_PLACES:
        return None
    if match["slashes"] == "/" and match["scheme"] not in _STORES:
        return None
    return f"{match['scheme']}://{match['rest']}"


def word_refusal(place: str | Path, key: str) -> str:
    """Why an address cannot be used for something that must lie on this computer, and what to do instead.

    Args:
        place: The address.
        key: The setting, argument or option that it was written for.
    """
    # What stands before an @ may be a password.
    shown = re.sub(r"://[^/@]*@", "://***@", as_url(place) or str(place))
    return (
        f"{key}: {shown!r} is an address, and this must be a file or folder of this computer: copy it here first, or "
        "write here and copy the result there."
    )
