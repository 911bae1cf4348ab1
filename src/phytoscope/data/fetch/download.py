"""Fetches one large file: goes on where it stopped, and believes nothing that no checksum confirms."""

import base64
import binascii
import contextlib
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
import requests

from phytoscope.errors import DownloadError, storage_error
from phytoscope.schema.artifact import hash_file
from phytoscope.schema.progress import Progress

_CHUNK_BYTES = 1 << 18
_TRIES = 5
_FIRST_PAUSE_S = 0.5
_TIMEOUT_S = (10.0, 60.0)
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_HINTS = {
    401: "this source wants credentials",
    403: "the source refuses: are the credentials right, and were the terms of the data set accepted?",
    404: "there is no such file: was the data set moved or the name mistyped?",
    410: "the file was removed by its owner",
}


@dataclass(frozen=True)
class Downloaded:
    """One fetched file.

    Attributes:
        path: Where it lies.
        sha256: SHA-256 of its bytes.
        size_bytes: Its size.
        confirmed_by: Which checksum it was compared with: `sha256 given`, a header's name, `size only`, or `nothing`
            where the server did not even announce the size.
    """

    path: Path
    sha256: str
    size_bytes: int
    confirmed_by: str


def download_file(
    url: str,
    target: Path,
    *,
    progress: Progress,
    sha256: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Downloaded:
    """Fetches a file over HTTP; an interrupted download goes on where it stopped, also in a later call.

    What has arrived lies in `<target>.part`. It is appended to only if the server says that the file is still the same
    one (RFC 9110, If-Range), and becomes `target` when it has the announced size and matches the checksum: the one that
    is given, else one that the server sends along.

    Args:
        url: `http://` or `https://` address.
        target: File to write; one that was fetched from this address before and is still as it was is kept.
        progress: Told about every byte.
        sha256: Expected SHA-256, 64 hexadecimal digits.
        headers: Further request headers, for example credentials; they are not sent on to another host.

    Raises:
        DownloadError: The address cannot be used, the server does not answer or refuses, the connection broke
            repeatedly, or the content does not match size or checksum.
        StorageError: The place cannot be written or the disk is full.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        message = f"{url!r} cannot be fetched: the address must start with http:// or https://."
        raise DownloadError(message)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        message = f"{sha256!r} is not a SHA-256: expected 64 hexadecimal digits."
        raise DownloadError(message)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f".{target.name}.lock")):
            return _fetch_locked(url, target, sha256, dict(headers or {}), progress)
    except DownloadError:
        raise
    except OSError as error:
        raise storage_error(target, error) from error


def _fetch_locked(
    url: str, target: Path, sha256: str | None, headers: dict[str, str], progress: Progress
) -> Downloaded:
    fetched = target.with_name(f".{target.name}.fetched.json")
    earlier = _read_record(fetched)
    known = (
        sha256.lower()
        if sha256 is not None
        else earlier.get("sha256")
        if earlier.get("address") == _fingerprint(url)
        else None
    )
    if known is not None and target.is_file() and hash_file(target) == known:
        confirmed_by = "sha256 given" if sha256 is not None else str(earlier.get("confirmed_by"))
        return Downloaded(target, known, target.stat().st_size, confirmed_by)
    part = _Part(url, target)
    progress.start(f"Fetching {target.name}", None)
    try:
        answer = _fetch_with_patience(url, part, headers, progress)
    finally:
        progress.finish()
    found = hash_file(part.path)
    confirmed_by = _confirm(url, part, found, sha256, answer)
    size = part.path.stat().st_size
    part.path.replace(target)
    part.record.unlink(missing_ok=True)
    fetched.write_text(
        json.dumps({"address": _fingerprint(url), "sha256": found, "confirmed_by": confirmed_by}), encoding="utf-8"
    )
    return Downloaded(target, found, size, confirmed_by)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Without a record nothing is known of the file, and it is fetched anew.
        return {}
    return content if isinstance(content, dict) else {}


class _Part:
    """What has arrived so far, and which version of the file it belongs to."""

    def __init__(self, url: str, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.record = target.with_name(f"{target.name}.part.json")
        self._url = url
        if _read_record(self.record).get("address") != _fingerprint(url):
            self.restart()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str | None:
        """What to name in If-Range; None when the server gave nothing by which a file can be known again."""
        value = _read_record(self.record).get("validator")
        return value if isinstance(value, str) else None

    def begin(self, headers: Mapping[str, str]) -> None:
        self.path.write_bytes(b"")
        etag = headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        self.record.write_text(
            json.dumps({"address": _fingerprint(self._url), "validator": validator}), encoding="utf-8"
        )

    def restart(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Answer:
    headers: Mapping[str, str]
    total: int | None


def _fetch_with_patience(url: str, part: _Part, headers: dict[str, str], progress: Progress) -> _Answer:
    reason = ""
    for attempt in range(_TRIES):
        if attempt > 0:
            time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1))
        try:
            answer = _fetch_once(url, part, headers, progress)
        except (requests.RequestException, _TryAgain) as error:
            reason = _public_reason(url, error)
            if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
                break
            continue
        if answer.total is None or part.size >= answer.total:
            return answer
        reason = f"the connection ended after {part.size} of {answer.total} bytes"
    message = (
        f"{_public(url)} could not be fetched: {reason}. What has arrived is kept ({part.size} bytes): the same "
        "command goes on from there."
    )
    raise DownloadError(message)


class _TryAgain(Exception):  # noqa: N818 (it asks for another try and never leaves this module)
    """The server may answer better in a moment."""


def _fetch_once(url: str, part: _Part, headers: dict[str, str], progress: Progress) -> _Answer:
    # Compressed on the way, the bytes could not be counted.
    asked = {"Accept-Encoding": "identity", "User-Agent": "phytoscope", **headers}
    have = part.size
    validator = part.validator
    if have > 0 and validator is not None:
        asked |= {"Range": f"bytes={have}-", "If-Range": validator}
    with requests.get(url, headers=asked, stream=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # Either all has arrived already, or the file has become shorter: asking anew settles it.
            part.restart()
            reason = "the file has changed at its source"
            raise _TryAgain(reason)
        _check_status(url, response)
        total = _read_total(response)
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.restart()
            reason = "the server sent another part than the one asked for"
            raise _TryAgain(reason)
        if not resumed:
            part.begin(response.headers)
            have = 0
        progress.start(f"Fetching {part.path.name.removesuffix('.part')}", total)
        if have > 0:
            progress.advance(have)
        with part.path.open("ab") as stream:
            for chunk in response.iter_content(_CHUNK_BYTES):
                stream.write(chunk)
                progress.advance(len(chunk))
        return _Answer(response.headers, total)


def _check_status(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in _WORTH_ANOTHER_TRY:
        reason = f"the server answers {status} {response.reason}"
        raise _TryAgain(reason)
    if status not in (requests.codes.ok, requests.codes.partial_content):
        hint = _HINTS.get(status, "open the address in a browser to see why")
        message = f"{_public(url)} answers {status} {response.reason}: {hint}."
        raise DownloadError(message)
    if "text/html" in response.headers.get("Content-Type", ""):
        message = f"{_public(url)} answers with a web page instead of a file: it probably wants a login first."
        raise DownloadError(message)


def _read_total(response: requests.Response) -> int | None:
    content_range = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if content_range is not None:
        return int(content_range[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _confirm(url: str, part: _Part, found: str, sha256: str | None, answer: _Answer) -> str:
    if answer.total is not None and part.size != answer.total:
        size = part.size
        part.restart()
        message = f"{_public(url)}: {size} bytes arrived, {answer.total} were announced. Fetch it again."
        raise DownloadError(message)
    if sha256 is not None:
        name, wanted, got = "sha256 given", sha256.lower(), found
    else:
        name, algorithm, wanted = _announced_checksum(answer.headers, size_is_known=answer.total is not None)
        got = "" if algorithm == "" else found if algorithm == "sha256" else _digest(part.path, algorithm)
    if wanted != got:
        part.restart()
        message = (
            f"{_public(url)}: what arrived is not what was promised ({name}: {wanted}, received: {got}). It was "
            "removed; fetch it again, and if that does not help, the file was changed at its source."
        )
        raise DownloadError(message)
    return name


def _announced_checksum(headers: Mapping[str, str], *, size_is_known: bool) -> tuple[str, str, str]:
    """Name, algorithm and value of a checksum that the server sent, the strongest first."""
    etag = headers.get("X-Linked-ETag", "").strip('"')
    if re.fullmatch(r"[0-9a-f]{64}", etag):
        return "X-Linked-ETag", "sha256", etag
    patterns = (
        ("Repr-Digest", r"sha-256=:([A-Za-z0-9+/=]+):", "sha256"),
        ("Digest", r"(?i:sha-256)=([A-Za-z0-9+/=]+)", "sha256"),
        ("x-goog-hash", r"md5=([A-Za-z0-9+/=]+)", "md5"),
        ("Content-MD5", r"^([A-Za-z0-9+/=]+)$", "md5"),
    )
    for header, pattern, algorithm in patterns:
        match = re.search(pattern, headers.get(header, ""))
        if match is not None:
            with contextlib.suppress(binascii.Error):
                return header, algorithm, base64.b64decode(match[1], validate=True).hex()
    return ("size only" if size_is_known else "nothing"), "", ""


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _fingerprint(url: str) -> str:
    # Enough to know an address again, without writing down a key that may be part of it.
    return hashlib.sha256(url.encode()).hexdigest()


def public_address(url: str) -> str:
    """An address without what may be secret in it: user, password, and the query, which may be a key to the file."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _public(url: str) -> str:
    return repr(public_address(url))


def _public_reason(url: str, error: Exception) -> str:
    # The library's texts repeat the path with its query, also of an address it was sent on to.
    text = re.sub(r"\?[^\s'\")]*", "", str(error))
    return text.replace(url, public_address(url)) or type(error).__name__
