"""The process that decodes photographs, so that what kills a decoder does not kill the service.

It is started by `decoder_link` and talks over a socket; the photograph and the prepared square lie in shared memory. It
ends when the socket is closed, and is ended by its own alarm when one photograph takes too long, whatever the decoder
does meanwhile.
"""

import contextlib
import hashlib
import json
import mmap
import os
import signal
import socket
import struct
import sys
from functools import lru_cache
from typing import Any, Final

import cv2

from phytoscope.errors import ImageReadError
from phytoscope.transforms.decode import ImageTooLargeError
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess

REQUEST: Final = struct.Struct("<QI")
"""Bytes of the photograph, and of the parameters of its preparation that follow as JSON."""
REPLY: Final = struct.Struct("<I")
"""Bytes of the JSON that follows."""


def main(words: list[str]) -> None:
    """Decodes until the socket is closed.

    Args:
        words: Numbers of the socket and of the two shared memories, megabytes and seconds that a photograph may need.
    """
    source, squares = (mmap.mmap(int(number), 0) for number in words[1:3])
    # Ctrl-C on a terminal reaches all processes of the service; what was taken is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _limit_memory(int(float(words[3]) * 1e6))
    with socket.socket(fileno=int(words[0])) as line:
        _send(line, {"ready": os.getpid()})
        while (head := _receive(line, REQUEST.size)) is not None:
            size, length = REQUEST.unpack(head)
            parameters = _receive(line, length)
            if parameters is None:
                return
            signal.setitimer(signal.ITIMER_REAL, float(words[4]))
            reply = _decode(source[:size], parameters, squares)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(line, reply)


def _decode(content: bytes, parameters: bytes, squares: mmap.mmap) -> dict[str, Any]:
    preprocess = _read_preprocess(parameters)
    try:
        photo = read_photo(content, preprocess, measured=True)
    except ImageTooLargeError as error:
        limit = f"{preprocess.max_megapixels:g} megapixels (serve.max_megapixels)"
        return {"code": "too_large", "reason": f"{error.size} are more than the limit of {limit}; send a smaller copy"}
    except ImageReadError as error:
        if isinstance(error.__cause__, MemoryError):
            return {"code": "too_large", "reason": "its pixels need more memory than the service gives to one image"}
        return {"code": "unreadable", "reason": error.reason}
    except Exception as error:  # noqa: BLE001 (a border: what a photograph does to a library is told, not suffered)
        return {"code": "decoder_failed", "reason": "it cannot be decoded", "kind": type(error).__name__}
    squares[: photo.square.nbytes] = photo.square.tobytes()
    return {
        "width_px": photo.width_px,
        "height_px": photo.height_px,
        "measures": photo.measures,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@lru_cache(4)
def _read_preprocess(parameters: bytes) -> Preprocess:
    return Preprocess.from_dict(json.loads(parameters))


def _limit_memory(allowed: int) -> None:
    # Neither exists on Windows, and not every system can tell how much is used already.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource
        from pathlib import Path

        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + allowed, used + allowed))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _receive(line: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        try:
            more = line.recv(count - len(found))
        except OSError:
            return None
        if not more:
            return None
        found += more
    return bytes(found)


def _send(line: socket.socket, content: dict[str, Any]) -> None:
    text = json.dumps(content).encode()
    # The service has gone when nobody listens; the next read says so.
    with contextlib.suppress(OSError):
        line.sendall(REPLY.pack(len(text)) + text)


if __name__ == "__main__":
    main(sys.argv[1:])
