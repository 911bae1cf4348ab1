"""Who may ask, and what browsers are told about the answers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from phytoscope.api.errors import RequestError
from phytoscope.api.keys import KeyRing
from phytoscope.schema.serve import ServeConfig

HEADERS: Final[Mapping[bytes, bytes]] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""On every answer, unless a route says otherwise of its own."""
# Photographs and answers of others are behind the key; whether the service lives, and its page, are not.
_PROTECTED: Final = ("/v1/", "/metrics")
_BEARER: Final = "bearer "


class Door:
    """Lets requests in."""

    def __init__(self, config: ServeConfig) -> None:
        """Reads the keys.

        Raises:
            ConfigError: The file of keys cannot be read.
        """
        self._ring = None if config.keys is None else KeyRing(Path(config.keys))

    def check(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Lets a request in.

        Args:
            path: Path of its address.
            headers: Names, in small letters, and values.

        Raises:
            RequestError: It has no key, or none that is known (401).
        """
        if self._ring is None or not path.startswith(_PROTECTED):
            return
        if not self._ring.allows(find_key(headers)):
            message = "a key is needed: send it as `Authorization: Bearer KEY`."
            raise RequestError(401, "unauthorised", message, {"WWW-Authenticate": "Bearer"})


def find_key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The key that a request brings; empty when it brings none."""
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key":
            return text
        if name == b"authorization" and text.lower().startswith(_BEARER):
            return text[len(_BEARER) :].strip()
    return ""
