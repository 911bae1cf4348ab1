"""What can go wrong with a request, as HTTP status and a code that programs can read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from phytoscope.errors import (
    ConfigError,
    DataNotFoundError,
    DataValidationError,
    ImageReadError,
    MissingDependencyError,
    PhytoscopeError,
    RecordNotFoundError,
    StorageError,
)


class RequestError(PhytoscopeError, RuntimeError):
    """A request that is not answered as it was meant; the text is for the client."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        super().__init__(message)


@dataclass(frozen=True)
class Fault:
    """How one kind of exception is told to a client.

    Attributes:
        status: HTTP status.
        code: Code in the body.
        message: What the client reads; None for the exception's own text.
    """

    status: int
    code: str
    message: str | None = None


INTERNAL: Final = Fault(
    500, "internal", "something went wrong in the service; its log says what, under the request_id of this answer."
)
# The first class that fits counts, so children stand before their parents.
FAULTS: Final[tuple[tuple[type[BaseException], Fault], ...]] = (
    (RecordNotFoundError, Fault(404, "not_found")),
    (DataNotFoundError, Fault(404, "not_found")),
    (ConfigError, Fault(422, "bad_request")),
    (ImageReadError, Fault(422, "bad_request")),
    (DataValidationError, Fault(422, "bad_request")),
    (StorageError, Fault(503, "not_ready", "what was sent cannot be kept at the moment; try again later.")),
    (MissingDependencyError, Fault(503, "not_ready")),
    (TimeoutError, Fault(504, "timeout", "the answer took too long; try again, with fewer images at once.")),
)
CODE_OF_STATUS: Final = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "bad_request",
    429: "too_busy",
    503: "not_ready",
    504: "timeout",
}


def explain_fault(error: BaseException) -> RequestError:
    """What a client is told of an exception; nothing of the inside of the service for one that nobody expected."""
    if isinstance(error, RequestError):
        return error
    fault = next((fault for kind, fault in FAULTS if isinstance(error, kind)), INTERNAL)
    return RequestError(fault.status, fault.code, str(error) if fault.message is None else fault.message)


def refuse_busy(seconds: float) -> RequestError:
    """Tells a client to come back.

    Args:
        seconds: When there should be room again.
    """
    wait = max(1, math.ceil(seconds))
    return RequestError(
        429,
        "too_busy",
        f"the service has more to do than it can; try again in {wait} s.",
        {"Retry-After": str(wait)},
    )
