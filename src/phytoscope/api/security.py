"""Who may ask, and what browsers are told about the answers."""

import ipaddress
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
# Load balancers ask these by whatever name they like; nothing is told by them that a stranger could use.
_ANY_HOST: Final = ("/healthz", "/readyz")
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_READING: Final = ("GET", "HEAD", "OPTIONS")


class Door:
    """Lets requests in."""

    def __init__(self, config: ServeConfig) -> None:
        """Reads the keys.

        Raises:
            ConfigError: The file of keys cannot be read.
        """
        self._ring = None if config.keys is None else KeyRing(Path(config.keys))
        self._origins = {origin.lower().rstrip("/") for origin in config.cors_origins}
        self._hosts = {host.lower() for host in config.allowed_hosts}
        self._checks_host = bool(self._hosts) or (config.host in _LOCAL and self._ring is None)

    def check(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Lets a request in.

        Args:
            method: What is asked for, in capitals.
            path: Path of its address.
            headers: Names, in small letters, and values.

        Raises:
            RequestError: It has no key, or none that is known (401); or a page from elsewhere has sent it, or uses a
                name that is not the service's own (403).
        """
        if self._checks_host and path not in _ANY_HOST:
            self._check_host(_find(headers, b"host"))
        if self._ring is None:
            self._check_origin(method, headers)
            return
        if not path.startswith(_PROTECTED):
            return
        key = find_key(headers)
        if not self._ring.allows(key):
            message = (
                "this key is not known, or was removed: ask whoever runs the service for another one."
                if key
                else "a key is needed: send it as `Authorization: Bearer KEY`."
            )
            raise RequestError(401, "unauthorised", message, {"WWW-Authenticate": "Bearer"})

    def _check_host(self, host: str) -> None:
        """A page from elsewhere can give its own name our address (DNS rebinding), but not an address or our names."""
        name = _cut_port(host).lower().rstrip(".")
        if name in {"", "localhost", *self._hosts} or _is_address(name):
            return
        message = (
            "the service is not asked by this name; ask it by its address, or have its name added to "
            "serve.allowed_hosts."
        )
        raise RequestError(403, "forbidden", message)

    def _check_origin(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Browsers say for which page they ask; other programs say nothing, and are not tricked by pages either."""
        if method in _READING:
            return
        origin, site = _find(headers, b"origin").lower(), _find(headers, b"sec-fetch-site").lower()
        if "*" in self._origins or origin in self._origins or site in ("same-origin", "none"):
            return
        if not site and (not origin or origin.partition("://")[2] == _find(headers, b"host").lower()):
            return
        message = "pages from elsewhere may not ask this service; serve.cors_origins names those that may."
        raise RequestError(403, "forbidden", message)


def _find(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return next((value.decode("latin-1").strip() for name, value in headers if name == wanted), "")


def _cut_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def find_key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The key that a request brings; empty when it brings none."""
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key":
            return text
        if name == b"authorization" and text.lower().startswith(_BEARER):
            return text[len(_BEARER) :].strip()
    return ""
