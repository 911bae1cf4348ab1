"""What went wrong with a store, in words: whether the object, the user, the network or the store is at fault."""

import errno
import re
import sys
from enum import StrEnum
from typing import Any

from phytoscope.errors import PhytoscopeError, PlaceFaultError, StorageError

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_RETRIED_CODES = frozenset(
    {"SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable", "Throttling", "TooManyRequests"}
)
_WRONG_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
    }
)
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError", "RefreshError"}
)
# Names, because the libraries that define them are optional.
_LOST_CONNECTIONS = frozenset(
    {
        "EndpointConnectionError",
        "ConnectionClosedError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyConnectionError",
        "HTTPClientError",
        "ResponseStreamingError",
        "IncompleteReadError",
        "ResponseParserError",
        "ServiceRequestError",
        "ServiceResponseError",
        "TransportError",
    }
)
_FAMILIES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
_LOST_ERRNO = frozenset({errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO)})
_USER = re.compile(r"://[^/\s:@]*:[^/\s@]*@")
_SIGNED = re.compile(r"(?i)([?&][^=&\s]*(?:sig|token|secret|key|credential|password)[^=&\s]*=)[^&\s'\"]+")


class Trouble(StrEnum):
    """Who is at fault."""

    missing = "missing"
    denied = "denied"
    no_bucket = "no_bucket"
    no_credentials = "no_credentials"
    wrong_credentials = "wrong_credentials"
    passing = "passing"
    other = "other"


def mask_secrets(text: str) -> str:
    """The text without passwords and signatures of addresses in it."""
    return _SIGNED.sub(r"\1***", _USER.sub("://***@", text))


def troubles() -> tuple[type[BaseException], ...]:
    """What the libraries of stores raise; of those that are not loaded, nothing can be raised."""
    found: list[type[BaseException]] = [OSError, EOFError, ValueError, TimeoutError]
    for module, name in _FAMILIES:
        family = getattr(sys.modules.get(module), name, None)
        if isinstance(family, type) and issubclass(family, Exception):
            found.append(family)
    return tuple(found)


def judge(error: BaseException) -> Trouble:
    """Says who is at fault for an error of a store's library."""
    code, status = _read_answer(error)
    if code in _NO_BUCKET:
        return Trouble.no_bucket
    if code in _WRONG_CREDENTIALS or status == 401:
        return Trouble.wrong_credentials
    names = {type(one).__name__ for one in _chain(error)}
    if names & _NO_CREDENTIALS or "credential" in str(error).lower():
        return Trouble.no_credentials
    if isinstance(error, PermissionError) or status == 403:
        return Trouble.denied
    if isinstance(error, FileNotFoundError | IsADirectoryError) or status == 404:
        return Trouble.missing
    return Trouble.passing if _is_passing(error, code, status, names) else Trouble.other


def _is_passing(error: BaseException, code: str, status: int | None, names: set[str]) -> bool:
    if code in _RETRIED_CODES or status in _RETRIED_STATUS or names & _LOST_CONNECTIONS:
        return True
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if any(type(one).__module__.startswith("aiohttp") for one in _chain(error)):
        return True
    return status is None and isinstance(error, OSError) and error.errno in _LOST_ERRNO


def word_trouble(error: BaseException, place: str, tries: int, waited_s: float) -> PhytoscopeError:
    """The error to raise for an error of a store's library.

    Args:
        error: What the library raised.
        place: Address that was read.
        tries: How many times it was tried.
        waited_s: How long that took.
    """
    shown, said = mask_secrets(place), mask_secrets(_say(error))
    kind = judge(error)
    if kind is Trouble.missing:
        return PlaceFaultError(shown, "the file does not exist")
    if kind is Trouble.denied:
        return PlaceFaultError(shown, f"the store does not let you read it ({said})")
    scheme, _, rest = shown.partition("://")
    bucket = f"{scheme}://{rest.partition('/')[0]}"
    if kind is Trouble.no_bucket:
        return StorageError(f"there is no bucket {bucket!r}: check its name, and that you use the right account.")
    if kind is Trouble.no_credentials:
        return StorageError(
            f"{shown!r} needs credentials and none were found ({said}): set them as the store's own tools expect "
            "them (see the guide on storage)."
        )
    if kind is Trouble.wrong_credentials:
        return StorageError(f"the store of {shown!r} refuses your credentials ({said}): renew or correct them.")
    if kind is Trouble.passing:
        return StorageError(
            f"{shown!r} cannot be read: the store did not answer properly at {tries} tries in {waited_s:.0f} s (the "
            f"last time: {said}). Check the network and the store, then run the same command again; "
            "PHYTOSCOPE_STORAGE_TRIES allows more tries."
        )
    return StorageError(f"{shown!r} cannot be read ({said}): check the address and the store's settings.")


def _say(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__
    return found


def _read_answer(error: BaseException) -> tuple[str, int | None]:
    """Code and HTTP status that a store answered with; empty and None where it did not answer."""
    for one in _chain(error):
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return code, status if isinstance(status, int) else None
        for name in ("status_code", "status", "code"):
            number = getattr(one, name, None)
            if isinstance(number, int | str) and str(number).isdigit():
                return str(getattr(one, "error_code", "")), int(number)
    return "", None
