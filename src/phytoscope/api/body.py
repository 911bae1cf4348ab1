"""The body of a request, as far and as long as it is allowed."""

import asyncio
from typing import Final

from starlette.requests import Request

from phytoscope.api.admission import Holding
from phytoscope.api.errors import RequestError

LOST: Final = "phytoscope.lost"
"""In a request's scope: functions that are called when its client goes away."""
BODY_LEFT: Final = "phytoscope.body_left"
"""Set in a request's scope while not all of its body has been read."""


class ClientGoneError(Exception):
    """The client has closed the connection: there is nobody to answer."""


async def read_body(request: Request, most_bytes: int, seconds: float, holding: Holding | None = None) -> bytes:
    """Reads the body.

    Args:
        request: The request.
        most_bytes: Its size at most.
        seconds: Time that the client has to send it.
        holding: Counts the bytes as held.

    Raises:
        RequestError: It is too large (413), comes too slowly (408), or too much is held already (429).
        ClientGoneError: The client has gone.
    """
    request.scope[BODY_LEFT] = True
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _refuse_size(most_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > most_bytes:
                    raise _refuse_size(most_bytes)
                if holding is not None:
                    holding.add(len(chunk))
                chunks.append(chunk)
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        text = f"the request was not sent within {seconds:g} s; send smaller pictures, or fewer at once."
        raise RequestError(408, "timeout", text) from error
    request.scope[BODY_LEFT] = False
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _refuse_size(most_bytes: int) -> RequestError:
    text = f"the request is larger than {most_bytes / 1e6:g} MB; send smaller pictures, or fewer at once."
    return RequestError(413, "too_large", text)
