"""The page's files as they are sent: read once, compressed once, and known by what they hold."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

INDEX: Final = "index.html"
MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
"""Ending of a file's name -> what it is; a file with another ending is no part of the page."""
_VERSION_MARK: Final = "VERSION"
_HASH_LENGTH: Final = 16


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
        content: The bytes.
        packed: The same compressed with gzip.
        media_type: What it is, for the header `Content-Type`.
        tag: Changes when the bytes do, for the header `ETag`.
    """

    content: bytes
    packed: bytes
    media_type: str
    tag: str


@dataclass(frozen=True)
class PageFiles:
    """The whole page.

    Attributes:
        version: Changes when any file does; stands in the address of every file but the first.
        files: Name -> file; `index.html` names the others below their version.
    """

    version: str
    files: Mapping[str, PageFile]


@cache
def read_page() -> PageFiles:
    """Reads the page's files, which come with the package."""
    folder = resources.files("phytoscope.api.page").joinpath("static")
    contents = {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if _ending(entry.name) in MEDIA_TYPES
    }
    version = _hash(b"".join(name.encode() + content for name, content in contents.items()))
    contents[INDEX] = contents[INDEX].replace(_VERSION_MARK.encode(), version.encode())
    return PageFiles(version, {name: _describe(name, content) for name, content in contents.items()})


def _describe(name: str, content: bytes) -> PageFile:
    # Without a time inside, every worker of the service sends the same bytes.
    packed = gzip.compress(content, mtime=0)
    return PageFile(content, packed, MEDIA_TYPES[_ending(name)], _hash(content))


def _ending(name: str) -> str:
    return name.rpartition(".")[2]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
