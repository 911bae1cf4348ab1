"""One decoder process, seen from the service."""

import asyncio
import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.api.decoder_process import REPLY, REQUEST

_MODULE: Final = "phytoscope.api.decoder_process"
_MOST_SQUARE_BYTES: Final = 2048 * 2048 * 3
# Memory that a large photograph has taken is given back; for small ones that would cost more than it brings.
_KEPT_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 16
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class DecoderLimits:
    """What one photograph may cost.

    Attributes:
        most_bytes: Bytes of the file.
        memory_mb: Megabytes of memory.
        seconds: Seconds.
    """

    most_bytes: int
    memory_mb: float
    seconds: float


class DecoderLink:
    """A decoder process with its socket and the memory shared with it; it works on one photograph at a time.

    Attributes:
        is_ready: Whether it has started.
    """

    def __init__(
        self,
        limits: DecoderLimits,
        on_ready: "Callable[[DecoderLink], None]",
        on_death: "Callable[[DecoderLink], None]",
    ) -> None:
        """Starts the process.

        Args:
            limits: What one photograph may cost.
            on_ready: Called when it has started.
            on_death: Called when it has ended before it was told to.
        """
        self.is_ready = False
        self._limits = limits
        self._on_ready, self._on_death = on_ready, on_death
        self._job: asyncio.Future[dict[str, Any]] | None = None
        self._heard = bytearray()
        self._loop = asyncio.get_running_loop()
        self._socket, child = socket.socketpair()
        self._socket.setblocking(False)
        with child, _open_memory(limits.most_bytes) as source, _open_memory(_MOST_SQUARE_BYTES) as squares:
            self._source, self._squares = mmap.mmap(source.fileno(), 0), mmap.mmap(squares.fileno(), 0)
            passed = (child.fileno(), source.fileno(), squares.fileno())
            words = [*map(str, passed), str(limits.memory_mb), str(limits.seconds)]
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and words)
                [sys.executable, "-m", _MODULE, *words],
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
            )
        self._loop.add_reader(self._socket, self._listen)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def decode(self, content: bytes, parameters: bytes) -> "asyncio.Future[dict[str, Any]]":
        """Has one photograph decoded, prepared and measured.

        Args:
            content: The file's bytes, `most_bytes` at most.
            parameters: Parameters of the preparation, JSON.

        Returns:
            What the process replies; it fails with `DecoderEndedError` when the process ends over it.
        """
        self._source[: len(content)] = content
        self._job = self._loop.create_future()
        try:
            self._socket.send(REQUEST.pack(len(content), len(parameters)) + parameters)
        except OSError:
            # It has ended just now; the reader hears of it, too.
            self._loop.call_soon(self._bury)
        return self._job

    def read_square(self, side_px: int) -> NDArray[np.uint8]:
        """A copy of the prepared square of the photograph decoded last, shape (S, S, 3), uint8, RGB, 0-255."""
        return np.frombuffer(self._squares, np.uint8, side_px * side_px * 3).reshape(side_px, side_px, 3).copy()

    def give_back(self, used_bytes: int) -> None:
        """Gives the memory of a large photograph back to the system."""
        if used_bytes > _KEPT_BYTES and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError):
                self._source.madvise(mmap.MADV_REMOVE)

    def kill(self) -> None:
        """Ends the process at once; whoever waits for its work hears of it."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """Ends the process and gives everything back."""
        self._disconnect()
        self.kill()
        self._process.wait()

    def _listen(self) -> None:
        try:
            more = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._bury()
            return
        self._heard += more
        if len(self._heard) < REPLY.size:
            return
        (length,) = REPLY.unpack_from(self._heard)
        if len(self._heard) < REPLY.size + length:
            return
        reply: dict[str, Any] = json.loads(self._heard[REPLY.size : REPLY.size + length])
        self._heard.clear()
        if "ready" in reply:
            self.is_ready = True
            self._on_ready(self)
            return
        job, self._job = self._job, None
        if job is not None and not job.done():
            job.set_result(reply)

    def _bury(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._disconnect()
        self.kill()
        code = self._process.wait()
        job, self._job = self._job, None
        if job is not None and not job.done():
            job.set_result(_word_death(code, self._limits.seconds))
        self._on_death(self)

    def _disconnect(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._source.close()
            self._squares.close()


def _word_death(code: int, seconds: float) -> dict[str, Any]:
    if code == -signal.SIGALRM:
        return {"code": "decoder_timeout", "reason": f"decoding it takes more than {seconds:g} s", "kind": "timeout"}
    return {"code": "decoder_failed", "reason": "it cannot be decoded safely", "kind": f"exit {code}"}


def _open_memory(size: int) -> IO[bytes]:
    """A file that only lives in memory, and only as long as somebody holds it."""
    if hasattr(os, "memfd_create"):
        stream: IO[bytes] = os.fdopen(os.memfd_create("phytoscope"), "r+b")
    else:
        stream = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    stream.truncate(size)
    return stream
