"""The pool of decoder processes: photographs in, prepared squares out, and no photograph can end the service."""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from phytoscope.api.decoder_link import DecoderLimits, DecoderLink
from phytoscope.api.fair_queue import FairQueue
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.preprocess import Preprocess

_START_SECONDS: Final = 120.0
# A process that cannot even start would otherwise be started without a pause.
_PAUSE_SECONDS: Final = 1.0


class DecodeError(Exception):
    """One photograph has no square.

    Attributes:
        code: For programs.
        reason: For people.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Decoded:
    """One photograph, ready for the network.

    Attributes:
        photo: The square with its measures.
        sha256: Hash of the file.
    """

    photo: Photo
    sha256: str


class Recipe:
    """How squares are made, ready to be sent to a decoder.

    Attributes:
        size_px: Side of the square.
        parameters: All parameters as JSON.
        max_megapixels: Larger photographs are refused.
    """

    def __init__(self, preprocess: Preprocess, max_megapixels: float | None) -> None:
        """Takes the parameters of a package.

        Args:
            preprocess: They.
            max_megapixels: A limit of the service's own; the smaller one counts.
        """
        allowed = preprocess.max_megapixels
        self.max_megapixels = allowed if max_megapixels is None else min(allowed, max_megapixels)
        self.size_px = preprocess.size_px
        limited = dataclasses.replace(preprocess, max_megapixels=self.max_megapixels)
        self.parameters = json.dumps(limited.to_dict()).encode()


_Job = tuple[bytes, Recipe, "asyncio.Future[Decoded]"]


class DecoderPool:
    """Keeps a number of decoder processes alive and busy; requests take turns."""

    def __init__(self, count: int, limits: DecoderLimits, on_fault: Callable[[str], None] = lambda _code: None) -> None:
        """Starts the processes, without waiting for them.

        Args:
            count: How many.
            limits: What one photograph may cost.
            on_fault: Told the code of each photograph that has no square.
        """
        self.restarts = 0
        self._limits, self._on_fault = limits, on_fault
        self._queue: FairQueue[_Job] = FairQueue()
        self._idle: list[DecoderLink] = []
        self._is_closing = False
        self._has_started = asyncio.Event()
        self._links = {self._open() for _ in range(count)}
        self._count = count

    @property
    def waiting(self) -> int:
        """Photographs that no process has taken yet."""
        return len(self._queue)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [link.pid for link in self._links]

    async def wait_ready(self) -> None:
        """Waits until one process can decode.

        Raises:
            TimeoutError: None does.
        """
        async with asyncio.timeout(_START_SECONDS):
            await self._has_started.wait()

    async def read(self, owner: Hashable, content: bytes, recipe: Recipe) -> Decoded:
        """Decodes, prepares and measures one photograph.

        Args:
            owner: The request; requests take turns.
            content: The file's bytes.
            recipe: How the square is made.

        Raises:
            DecodeError: It cannot be decoded, or not within the limits.
        """
        future: asyncio.Future[Decoded] = asyncio.get_running_loop().create_future()
        self._queue.push(owner, (content, recipe, future))
        self._start()
        return await future

    def close(self) -> None:
        """Ends all processes."""
        self._is_closing = True
        for link in self._links:
            link.close()
        self._links.clear()
        self._idle.clear()

    def _open(self) -> DecoderLink:
        return DecoderLink(self._limits, self._welcome, self._replace)

    def _welcome(self, link: DecoderLink) -> None:
        self._idle.append(link)
        self._has_started.set()
        self._start()

    def _start(self) -> None:
        while self._idle and len(self._queue) > 0:
            content, recipe, future = self._queue.pop()
            # Nobody waits for it any more.
            if future.done():
                continue
            link = self._idle.pop()
            reply = link.decode(content, recipe.parameters)
            job = (content, recipe, future)
            reply.add_done_callback(lambda reply, link=link, job=job: self._finish(link, job, reply.result()))  # type: ignore[misc]

    def _finish(self, link: DecoderLink, job: _Job, reply: dict[str, Any]) -> None:
        content, recipe, future = job
        if "code" in reply:
            self._on_fault(reply["code"])
            if not future.done():
                future.set_exception(DecodeError(reply["code"], reply["reason"]))
        elif not future.done():
            photo = Photo(link.read_square(recipe.size_px), reply["width_px"], reply["height_px"], reply["measures"])
            future.set_result(Decoded(photo, reply["sha256"]))
        if link in self._links:
            link.give_back(len(content))
            self._idle.append(link)
            self._start()

    def _replace(self, link: DecoderLink) -> None:
        self._links.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self.restarts += 1
        if link.is_ready:
            self._add()
        else:
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._add)

    def _add(self) -> None:
        if not self._is_closing and len(self._links) < self._count:
            self._links.add(self._open())
